"""What a backup copy is compared with or built on, and the level that makes it (RULES S3, B5, B8, L5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from jobs.engine.ids import FileId
from jobs.engine.repository.layout import FileKind, file_name
from jobs.engine.snapshots.base import Capability
from jobs.models import BackupCopy, Job, Snapshot
from jobs.rules import dump_dates, levels, tokens
from jobs.runner.snapshot_sources import SnapshotSource
from jobs.selectors import bases_of
from jobs.services.copy_states import DUMP_DATES, DUMPED_FROM
from jobs.services.damage import is_mended
from policies.models import Copy, Subclient
from policies.resolve import incremental_limit, resolve_media


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyBase:
    """``row`` None = full. ``base_dates`` are the tokens of a dump (L5); None = the engine knows no tokens."""

    row: BackupCopy | None
    decision: levels.Decision
    base_dates: dict[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """How a file server that is read as a stream knows what a dump is built on: by tokens, or by ``dates`` of its own,
    which are those that it was asked for, by content path."""

    has_tokens: bool
    dates: Mapping[str, Sequence[dump_dates.DumpDate]]


def choose_base(
    row: BackupCopy, subclient: Subclient, copy: Copy, source: SnapshotSource, *, stream: Stream | None = None
) -> CopyBase:
    """An incremental builds on the last copied one of any kind, a differential on the last full that was copied.

    What could not be read whole is compared with like any other, but no dump is built on it (L4). ``stream``: it is
    read as the stream of a dump.
    """
    is_dump = stream is not None or Capability.DUMP_TOKENS in source.engine.capabilities
    latest, full = bases_of(subclient, copy, before=row.snapshot, is_whole=is_dump)
    decide = partial(
        levels.copy_level,
        snapshot_level=row.snapshot.ran_level,
        has_base=latest is not None,
        base_number=latest.level_number if latest else None,
        has_full=full is not None,
        limit=incremental_limit(subclient.file_server),
    )
    decision = decide()
    if stream is not None and not stream.has_tokens:
        last_id, full_id = (one.pk if one is not None else None for one in (latest, full))
        decision = dump_dates.sound_level(decision, dates=stream.dates, last=last_id, full=full_id)
    base = {levels.RunLevel.FULL: None, levels.RunLevel.DIFFERENTIAL: full}.get(decision.level, latest)
    if base is not None and (base.is_damaged or row.is_damaged) and is_mended(base.media):
        base, decision = None, decide(base_is_damaged=True)
    elif base is not None and not is_on_media(base):
        base, decision = None, decide(base_is_lost=True)
    if not is_dump or (stream is not None and not stream.has_tokens):
        return CopyBase(row=base, decision=decision)
    kept = partial(_dates_of, server_id=source.server_id(subclient))
    ask = partial(tokens.base_dates, content=row.snapshot.content, last_full=kept(full), last_copied=kept(latest))
    dates = ask(level=decision.level)
    if dates is None:
        base, decision = None, decide(has_tokens=False)
        dates = ask(level=decision.level)
    return CopyBase(row=base, decision=decision, base_dates=dates)


def store_level(job: Job, decision: levels.Decision, snapshot: Snapshot) -> None:
    """As what the copy runs, and why: its own reason, else that of the snapshot job whose level it has."""
    reason = decision.reason or _why_not_as_asked(snapshot)
    Job.objects.filter(pk=job.pk).update(
        ran_level=decision.level.value, level_number=decision.number, level_reason=reason
    )


def is_on_media(base: BackupCopy) -> bool:
    """Whether its snapshot file is still on the medium."""
    driver = resolve_media(base.media)
    try:
        return driver.exists(file_name(FileKind.SNAPSHOT, FileId(base.snapshot_file_id or "")))
    finally:
        driver.close()


def _dates_of(row: BackupCopy | None, *, server_id: int) -> dict[str, str] | None:
    if row is None or row.tokens.get(DUMPED_FROM) != server_id:
        return None
    dates: dict[str, str] | None = row.tokens.get(DUMP_DATES)
    return dates


def _why_not_as_asked(snapshot: Snapshot) -> str:
    is_as_asked = snapshot.job is None or snapshot.asked_level == snapshot.ran_level
    return "" if is_as_asked or snapshot.job is None else snapshot.job.level_reason
