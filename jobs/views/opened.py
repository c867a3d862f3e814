"""Opened repositories, kept per process so that a click in the browser costs a few milliseconds, not a scrypt.

An entry is used for at most ten minutes and then opened again; at most four are kept, so memory is bounded.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.utils import timezone

from jobs.engine.errors import NotInCopy
from jobs.engine.ids import FileId
from jobs.engine.operations.browse import Browser
from jobs.engine.repository.index_load import load_index
from jobs.engine.repository.reader import BlobReader
from jobs.engine.repository.repository import Repository
from jobs.engine.repository.snapshot_file import SnapshotFile, read_snapshot_file
from jobs.models import BackupCopy, Snapshot
from jobs.restore_sources import choose_source
from jobs.rules.restore_source import NoSource, SourceKind
from policies.models import Copy, Media
from policies.resolve import media_password, resolve_media
from snapcopy_site.lib.home import Home

KEPT: Final = 4
LIFETIME_SECONDS: Final = 600.0
_SNAPSHOT_FILES_KEPT: Final = 64


@dataclass(slots=True, kw_only=True)
class _Opened:
    """One repository with its index as of ``read_at``; a copy made later needs it read again."""

    reader: BlobReader
    read_at: datetime
    opened: float
    version: datetime
    snapshot_files: OrderedDict[str, SnapshotFile]


_guard = threading.Lock()
_opened: OrderedDict[int, _Opened] = OrderedDict()
_one_at_a_time: dict[int, threading.Lock] = {}


def on_media(point: Snapshot, chosen: Copy | None) -> BackupCopy:
    """The backup copy that a point is browsed in: the chosen one, else by RULES V1. Raises NotInCopy."""
    answer = choose_source(point, wanted=chosen, kinds=(SourceKind.MEDIA,))
    row = None if isinstance(answer, NoSource) else answer.source.backup_copy
    if row is None:
        raise NotInCopy("No backup copy of this point is on media, so its files cannot be listed.")
    return row


def browser_of(backup_copy: BackupCopy) -> Browser:
    """A browser of this backup copy. Raises the engine's errors: media, password, damage, NotInCopy."""
    opened = _current(backup_copy)
    file_id = backup_copy.snapshot_file_id or ""
    with _guard:
        snapshot = opened.snapshot_files.get(file_id)
    if snapshot is None:
        snapshot = read_snapshot_file(opened.reader.repository, FileId(file_id))
        with _guard:
            opened.snapshot_files[file_id] = snapshot
            while len(opened.snapshot_files) > _SNAPSHOT_FILES_KEPT:
                opened.snapshot_files.popitem(last=False)
    return Browser(opened.reader, snapshot)


def forget_all() -> None:
    """Close everything; for tests, and after a fork."""
    with _guard:
        gone = list(_opened.values())
        _opened.clear()
    for opened in gone:
        opened.reader.repository.media.close()


def _current(backup_copy: BackupCopy) -> _Opened:
    media = backup_copy.media
    with _guard:
        lock = _one_at_a_time.setdefault(media.pk, threading.Lock())
    with lock:
        with _guard:
            found = _opened.get(media.pk)
            if found is not None and _serves(found, backup_copy):
                _opened.move_to_end(media.pk)
                return found
        fresh = _open(media)
        with _guard:
            _opened[media.pk] = fresh
            while len(_opened) > KEPT:
                _opened.popitem(last=False)
        return fresh


def _serves(opened: _Opened, backup_copy: BackupCopy) -> bool:
    is_young = time.monotonic() - opened.opened < LIFETIME_SECONDS
    copied_before = backup_copy.copied_at is not None and backup_copy.copied_at < opened.read_at
    return is_young and copied_before and opened.version == backup_copy.media.updated_at


def _open(media: Media) -> _Opened:
    read_at = timezone.now()
    repository = Repository.open(resolve_media(media), media_password(media))
    index = load_index(repository, cache_directory=Home.current().index_cache(media.pk))
    return _Opened(
        reader=BlobReader(repository, index),
        read_at=read_at,
        opened=time.monotonic(),
        version=media.updated_at,
        snapshot_files=OrderedDict(),
    )
