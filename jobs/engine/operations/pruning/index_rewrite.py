"""Index files without the doomed packs: the new ones are written before the old ones go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Any, Final

import numpy as np
import orjson

from ...errors import RepositoryDamaged
from ...ids import FileId
from ...repository.index import Index
from ...repository.index_file import FULL_BLOBS, OnStored, write_index_file
from ...repository.layout import FileKind, damaged, file_name
from ...repository.repository import Repository

_SMALL_BLOBS: Final = FULL_BLOBS // 10
_ENOUGH_SMALL: Final = 16
"""So many small index files are worth being merged."""


def rewrite_index(
    repository: Repository,
    index: Index,
    doomed: AbstractSet[FileId],
    *,
    on_written: Callable[[], None],
    on_stored: OnStored | None = None,
) -> tuple[int, int]:
    """Replace index files that name a doomed pack, and small ones if there are many; (removed, written) files.

    ``on_stored`` is told of each new file; ``on_written`` is called between writing and removing. Whatever interrupts
    this leaves every pack named.
    """
    old = _affected(index, doomed)
    if not old:
        return 0, 0
    written = 0
    waiting: list[str] | None = None
    for entries in _merged_entries(repository, old, doomed):
        if waiting is not None:
            write_index_file(repository, waiting, on_stored=on_stored)
            written += 1
        waiting = entries
    # Only the last new file says what it supersedes: then all others are there.
    if waiting is not None:
        write_index_file(repository, waiting, supersedes=old, on_stored=on_stored)
        written += 1
    on_written()
    for file_id in old:
        repository.delete_file(FileKind.INDEX, file_id)
    return len(old), written


def _affected(index: Index, doomed: AbstractSet[FileId]) -> list[FileId]:
    keys = np.array([bytes.fromhex(pack) for pack in doomed], dtype=np.dtype((np.void, 32)))
    affected: set[FileId] = set()
    small: set[FileId] = set()
    for segment in index.segments:
        if not len(segment.packs):
            affected.update(segment.files)
            continue
        packs = np.ascontiguousarray(segment.packs).view(keys.dtype).ravel()
        hit = np.unique(segment.pack_files[np.isin(packs, keys)])
        affected.update(segment.files[number] for number in hit.tolist())
        counts = np.zeros(len(segment.files), dtype=np.int64)
        for table in segment.tables:
            files = segment.pack_files[table.places[:, 0]]
            counts += np.bincount(files, minlength=len(segment.files))
        small.update(segment.files[number] for number in np.flatnonzero(counts < _SMALL_BLOBS).tolist())
    if len(small - affected) >= _ENOUGH_SMALL:
        affected |= small
    return sorted(affected)


def _merged_entries(
    repository: Repository, files: Iterable[FileId], doomed: AbstractSet[FileId]
) -> Iterator[list[str]]:
    """JSON objects of the packs that stay, about FULL_BLOBS blobs at a time; a pack named twice alike comes once."""
    seen: set[tuple[str, int]] = set()
    entries: list[str] = []
    blobs = 0
    for file_id in files:
        for pack in _packs_of(repository, file_id):
            key = (str(pack["id"]), len(pack["blobs"]))
            if key[0] in doomed or key in seen:
                continue
            seen.add(key)
            entries.append(orjson.dumps(pack).decode())
            blobs += key[1]
            if blobs >= FULL_BLOBS:
                yield entries
                entries, blobs = [], 0
    if entries:
        yield entries


def _packs_of(repository: Repository, file_id: FileId) -> list[dict[str, Any]]:
    try:
        packs: list[dict[str, Any]] = orjson.loads(repository.read_file(FileKind.INDEX, file_id))["packs"] or []
    except RepositoryDamaged:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(file_name(FileKind.INDEX, file_id), "it is not an index") from error
    return packs
