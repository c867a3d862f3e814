"""What jobs make of a selected snapshot towards its copy: copying, stopped, failed, skipped (RULES B4, B7, J3)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from jobs.models import BackupCopy, CopyState, Snapshot, SnapshotState
from jobs.rules import states, waiting
from jobs.rules.retry import MOST_COPY_FAILURES

GONE: Final = "The snapshot is gone."
"""How the reason of what was skipped(missing) begins (RULES B7); by it a snapshot that returns is waited for again."""

FORMER_BASE: Final = "former_base"
"""Token of a row that is being copied: the base of what is on media, should this attempt fail (RULES L4)."""

DUMP_DATES: Final = "dump_dates"
"""Token of a row that is *copied*: what the storage gave with the dump, by content path (RULES L5)."""

DUMPED_FROM: Final = "dumped_from"
"""Token of a row that is a dump: the file server that gave it; to another its tokens say nothing."""


def resting_state(row: BackupCopy) -> CopyState:
    """Where a copy that was stopped goes back to (RULES J3): what is on media stays, else *to be copied*."""
    if row.snapshot_file_id is None:
        return CopyState.TO_BE_COPIED
    return CopyState.PARTIAL if row.exceptions else CopyState.COPIED


def mark_copying(row: BackupCopy, *, job_id: int, base: BackupCopy | None = None) -> Snapshot | None:
    """The copy runs now. A recopy keeps what is on media until it succeeds.

    Returns the snapshot of ``base`` if it may be read for comparison: from then on it is held. None = it is gone, or
    on its way out.
    """
    with transaction.atomic():
        older = None
        if base is not None:
            older = Snapshot.objects.select_for_update(of=("self",)).get(pk=base.snapshot_id)
        tokens = {FORMER_BASE: row.parent_id, **row.tokens} if row.snapshot_file_id else row.tokens
        BackupCopy.objects.filter(pk=row.pk).update(
            state=CopyState.COPYING, state_reason="", job_id=job_id, parent=base, tokens=tokens
        )
    return older if older is not None and older.is_present and older.aged_at is None else None


def mark_stopped(row: BackupCopy, *, reason: str) -> None:
    """Killed, suspended or interrupted: it still is to be copied."""
    copying = BackupCopy.objects.filter(pk=row.pk, state=CopyState.COPYING)
    copying.update(state=resting_state(row), state_reason=reason, **_as_before(row))


def mark_failed(row: BackupCopy, *, reason: str) -> None:
    """Count the failure; what failed too often is skipped, so that newer ones go on."""
    if _keeps_what_it_has(row, reason):
        return
    failures = row.failures + 1
    if failures >= MOST_COPY_FAILURES:
        _skip(row, f"Failed {failures} times: {reason}", failures=failures)
    else:
        _set(row, state=CopyState.FAILED, state_reason=reason, failures=failures)


def mark_missing(row: BackupCopy) -> None:
    """RULES B7: the snapshot is gone; newer ones go on."""
    Snapshot.objects.filter(pk=row.snapshot_id, state=SnapshotState.PRESENT).update(
        state=SnapshotState.MISSING,
        missing_at=timezone.now(),
        state_reason=f"Job {row.job_id} found that it is gone." if row.job_id else "A backup copy found it gone.",
    )
    if not _keeps_what_it_has(row, GONE):
        _skip(row, GONE, failures=row.failures + 1)


def mark_offline(row: BackupCopy, *, now: datetime) -> bool:
    """RULES B7: the source was not there. True = it was tried long enough and is skipped now: newer ones go on."""
    attempts, since = row.offline_attempts + 1, row.offline_since or now
    policy = row.copy.policy
    verdict = waiting.offline_verdict(
        attempts=attempts,
        first_failed_at=since,
        now=now,
        most_attempts=policy.offline_attempts,
        most_days=policy.offline_days,
    )
    if _keeps_what_it_has(row, verdict.reason):
        return False
    counted = {"offline_attempts": attempts, "offline_since": since}
    if verdict.action is waiting.Offline.SKIP:
        _skip(row, f"Source offline. {verdict.reason}", **counted)
        return True
    _set(row, state=CopyState.FAILED, state_reason=verdict.reason, **counted)
    return False


def _keeps_what_it_has(row: BackupCopy, reason: str) -> bool:
    """A recopy that failed leaves the copy that is on media."""
    if row.snapshot_file_id is None:
        return False
    BackupCopy.objects.filter(pk=row.pk).update(state=resting_state(row), state_reason=reason, **_as_before(row))
    return True


def _as_before(row: BackupCopy) -> dict[str, Any]:
    """The base that belongs to what is on media; nothing is, nothing it has (RULES L4)."""
    if row.snapshot_file_id is None:
        return {"parent": None}
    if FORMER_BASE not in row.tokens:
        return {}
    tokens = {name: value for name, value in row.tokens.items() if name != FORMER_BASE}
    return {"parent": row.tokens[FORMER_BASE], "tokens": tokens}


def _skip(row: BackupCopy, reason: str, **values: object) -> None:
    _set(row, state=CopyState.SKIPPED, state_reason=reason, **values)


def _set(row: BackupCopy, **values: object) -> None:
    BackupCopy.objects.filter(pk=row.pk).exclude(state__in=states.ON_MEDIA).update(**values, **_as_before(row))
