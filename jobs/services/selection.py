"""Which snapshot is copied next, and the rows that remember it (RULES B4, B5)."""

from __future__ import annotations

from jobs.models import BackupCopy, CopyState, Snapshot, SnapshotState
from jobs.rules import states
from jobs.rules.retry import MOST_COPY_FAILURES
from jobs.selectors import backup_copies_of_policy, last_copied, waiting_backup_copies
from policies.models import Copy, Subclient


def select_for_copying(snapshot: Snapshot) -> list[BackupCopy]:
    """Mark a new snapshot *to be copied* for every active backup copy of its policy. Idempotent."""
    return [row_of(snapshot, copy) for copy in backup_copies_of_policy(snapshot.subclient)]


def row_of(snapshot: Snapshot, copy: Copy) -> BackupCopy:
    """The row of a snapshot towards a backup copy, made *to be copied* if there is none yet."""
    if copy.media is None:
        raise ValueError(f"{copy} is no backup copy")
    row, _created = BackupCopy.objects.get_or_create(snapshot=snapshot, copy=copy, defaults={"media": copy.media})
    return row


def next_to_copy(subclient: Subclient, copy: Copy) -> BackupCopy | None:
    """The oldest snapshot that waits for this copy (RULES B5).

    Snapshots from before the copy existed are taken in first, unless a newer one is on media already: a gap is safe.
    """
    newest = last_copied(subclient, copy)
    unknown = subclient.snapshots.filter(state=SnapshotState.PRESENT).exclude(backup_copies__copy=copy)
    if newest is not None:
        unknown = unknown.filter(taken_at__gt=newest.snapshot.taken_at)
    for snapshot in unknown:
        row_of(snapshot, copy)
    return waiting_backup_copies(subclient, copy).first()


def resting_state(row: BackupCopy) -> CopyState:
    """Where a copy that was stopped goes back to (RULES J3): what is on media stays, else *to be copied*."""
    if row.snapshot_file_id is None:
        return CopyState.TO_BE_COPIED
    return CopyState.PARTIAL if row.exceptions else CopyState.COPIED


def mark_copying(row: BackupCopy, *, job_id: int) -> None:
    """The copy runs now. A recopy keeps what is on media until it succeeds."""
    BackupCopy.objects.filter(pk=row.pk).update(state=CopyState.COPYING, state_reason="", job_id=job_id)


def mark_stopped(row: BackupCopy, *, reason: str) -> None:
    """Killed, suspended or interrupted: it still is to be copied."""
    BackupCopy.objects.filter(pk=row.pk, state=CopyState.COPYING).update(state=resting_state(row), state_reason=reason)


def mark_failed(row: BackupCopy, *, reason: str, snapshot_is_gone: bool) -> None:
    """Count the failure; a snapshot that is gone or failed too often is skipped: newer ones go on (RULES B7)."""
    if row.snapshot_file_id is not None:
        BackupCopy.objects.filter(pk=row.pk).update(state=resting_state(row), state_reason=reason)
        return
    failures = row.failures + 1
    state = CopyState.FAILED
    if snapshot_is_gone:
        state, reason = CopyState.SKIPPED, "The snapshot is gone."
        Snapshot.objects.filter(pk=row.snapshot_id).update(state=SnapshotState.MISSING)
    elif failures >= MOST_COPY_FAILURES:
        state, reason = CopyState.SKIPPED, f"Failed {failures} times: {reason}"
    BackupCopy.objects.filter(pk=row.pk).exclude(state__in=states.ON_MEDIA).update(
        state=state, state_reason=reason, failures=failures
    )
