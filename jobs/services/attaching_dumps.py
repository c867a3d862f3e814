"""Levels and chains of dumps that are imported (RULES L1, L6): believed link by link, never guessed from numbers.

A snapshot file names the one that it was built on. Where that is not among the points, what it holds cannot be put over
anything: the point is there, its images can be fetched, but it has no level and nothing is restored from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jobs.engine.operations.undumping.stored import FoundDumps
from jobs.engine.repository.snapshot_file import SnapshotFile
from jobs.models import BackupCopy, Level
from policies.models import Copy, Subclient
from policies.resolve import is_dump_stream


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedLevel:
    """``number`` None = what it was built on is not there; ``problem`` then says so."""

    level: Level = Level.FULL
    number: int | None = 0
    parent: BackupCopy | None = None
    problem: str = ""


def imported_level(
    file: SnapshotFile, dumps: FoundDumps, subclient: Subclient, copy: Copy, *, former_ids: Mapping[str, str]
) -> ImportedLevel:
    """The level of dumps whose older points are imported already. ``former_ids``: what snapshot files were called once,
    and what they are called now."""
    if dumps.level == 0:
        return ImportedLevel()
    names = {file.parent, former_ids.get(file.parent or "")} - {None}
    rows = BackupCopy.objects.filter(copy=copy, media=copy.media, snapshot__subclient=subclient)
    base = rows.filter(snapshot_file_id__in=names, level_number__lt=dumps.level).select_related("snapshot").first()
    if base is None or not is_dump_stream(base.snapshot.engine):
        problem = f"The dump of level {dumps.level} was built on one that is not there: only its images can be fetched."
        return ImportedLevel(level=Level.INCREMENTAL, number=None, problem=problem)
    is_newest = not rows.filter(snapshot__taken_at__gt=base.snapshot.taken_at).exists()
    level = Level.INCREMENTAL if dumps.level > 1 or is_newest else Level.DIFFERENTIAL
    return ImportedLevel(level=level, number=dumps.level, parent=base)
