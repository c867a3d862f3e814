"""What a finished copy leaves in the rows: its state, level, figures and base (RULES B4, L4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.db.models import F
from django.utils import timezone

from jobs.engine.errors import EngineError
from jobs.engine.media.base import Media as MediaDriver
from jobs.engine.media.base import Usage
from jobs.engine.plan import CopyResult
from jobs.models import BackupCopy, CopyState
from jobs.rules import levels
from jobs.services import damage
from jobs.services.copy_states import DUMP_DATES, DUMPED_FROM, FORMER_BASE
from policies.models import Media
from policies.services.media import record_copied_bytes

FORMER_FILES: Final = "former_files"
"""Token of a backup copy: ids of the snapshot files that a recopy replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpTokens:
    """What the storage gave with a dump, by content path, and the file server that gave it (RULES L5)."""

    server_id: int
    dates: Mapping[str, str]


def usage_of(driver: MediaDriver) -> Usage | None:
    """How full the medium is now. A copy that is done does not fail because nobody can tell."""
    try:
        return driver.usage()
    except EngineError:
        return None


def record_copy(
    row: BackupCopy,
    media: Media,
    base: BackupCopy | None,
    decision: levels.Decision,
    result: CopyResult,
    *,
    exceptions: int,
    usage: Usage | None,
    dump: DumpTokens | None = None,
) -> None:
    """The copy is on media: its state, level, figures and base change with the job's own end (RULES L4).

    The tokens of a dump that is only partial are worth nothing (L5).
    """
    counters = result.counters
    used = result.parent_used is not None
    BackupCopy.objects.filter(pk=row.pk).update(
        state=CopyState.PARTIAL if exceptions else CopyState.COPIED,
        state_reason=f"{exceptions} files could not be read" if exceptions else "",
        failures=F("failures") * 0,
        offline_attempts=0,
        offline_since=None,
        parent=base if used else None,
        ran_level=decision.level.value,
        level_number=decision.number,
        tokens=_tokens(row, result.snapshot_file_id, dump, is_whole=not exceptions),
        snapshot_file_id=result.snapshot_file_id,
        tree_id=result.tree_id,
        files=counters.files_done,
        logical_bytes=counters.bytes_done,
        new_bytes=counters.bytes_new,
        stored_bytes=counters.bytes_stored,
        exceptions=exceptions,
        copied_at=timezone.now(),
    )
    if row.is_damaged and result.snapshot_file_id != row.snapshot_file_id:
        damage.made_anew(row)
    record_copied_bytes(media, stored_bytes=counters.bytes_stored, usage=usage)


def _tokens(row: BackupCopy, snapshot_file_id: str, dump: DumpTokens | None, *, is_whole: bool) -> dict[str, object]:
    """A recopy leaves the snapshot file of before on the medium: remembered, so that pruning can forget it."""
    tokens = {name: value for name, value in row.tokens.items() if name not in (FORMER_BASE, DUMP_DATES, DUMPED_FROM)}
    if dump is not None:
        tokens |= {DUMPED_FROM: dump.server_id} | ({DUMP_DATES: dict(dump.dates)} if is_whole else {})
    former = row.snapshot_file_id
    if former is None or former == snapshot_file_id:
        return tokens
    files: list[str] = row.tokens.get(FORMER_FILES, [])
    return {**tokens, FORMER_FILES: [*files, former]}
