"""Which snapshot files of a medium a prune forgets: only such as this installation wrote and no longer means.

What others wrote into the same repository is never looked at (RULES O2, R4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from django.db.models import QuerySet

from jobs.engine.ids import FileId
from jobs.engine.repository.snapshot_file import SnapshotFile
from jobs.models import BackupCopy, CopyState
from jobs.rules import states
from policies.models import Media
from policies.resolve import install_id

_TAG: Final = "snapshot="


def aged_rows(media: Media) -> QuerySet[BackupCopy]:
    """Aged and not gone yet, unless a job still works with it."""
    rows = BackupCopy.objects.filter(media=media, state=CopyState.AGED, forgotten_at__isnull=True)
    return rows.exclude(jobs__state__in=states.ACTIVE)


def superseded(media: Media, files: Iterable[SnapshotFile]) -> list[FileId]:
    """Files of backup copies that were made again, or whose process died between its commit and its row.

    A file is one of these only if another file of the same snapshot is the one that its row means, nothing works on
    that row, and the other file is there, or aged as a whole.
    """
    known = list(files)
    there = {file.id for file in known}
    mine = f"sc-{install_id()}-"
    ours = [(file.id, name) for file in known if file.id and (name := _snapshot_of(file, mine))]
    meant = set(_meant(media))
    strays = {file_id: name for file_id, name in ours if file_id not in meant}
    settled = {
        name
        for name, file_id, state in BackupCopy.objects.filter(
            media=media,
            snapshot__name__in=set(strays.values()),
            snapshot_file_id__isnull=False,
            state__in=(*states.ON_MEDIA, CopyState.AGED),
        )
        .exclude(jobs__state__in=states.ACTIVE)
        .values_list("snapshot__name", "snapshot_file_id", "state")
        if file_id in there or state == CopyState.AGED
    }
    return [file_id for file_id, name in strays.items() if name in settled]


def _meant(media: Media) -> Iterator[str]:
    """Every file that some row means, whatever its state; ``None`` is no file."""
    rows = BackupCopy.objects.filter(media=media, snapshot_file_id__isnull=False)
    return (file_id for file_id in rows.values_list("snapshot_file_id", flat=True) if file_id)


def _snapshot_of(file: SnapshotFile, mine: str) -> str:
    """The name of the snapshot it was made of, if that begins with ``mine``; else empty."""
    names = [tag.removeprefix(_TAG) for tag in file.tags if tag.startswith(f"{_TAG}{mine}")]
    return names[0] if len(names) == 1 else ""
