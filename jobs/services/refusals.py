"""Reasons not to launch a snapshot or a copy, looked for before anything is written."""

from __future__ import annotations

from jobs.models import BackupCopy, CopyState, Operation, Snapshot, SnapshotState
from jobs.rules import states
from jobs.selectors import active_jobs, backup_copies_of_policy, holds_on, waiting_backup_copies
from jobs.services.errors import CannotLaunch
from jobs.services.feeding import Supply, feed_of
from policies.models import Copy, Subclient
from policies.resolve import is_dump_stream, is_point


def nothing_waits(subclient: Subclient, copy: Copy) -> str:
    """Why no snapshot is copied now, by what becomes of those that are there."""
    if not subclient.snapshots.exists():
        return f"{subclient.path} has no snapshot yet."
    oldest = waiting_backup_copies(subclient, copy).filter(due_at__isnull=True).first()
    if oldest is not None and (feed := feed_of(oldest.snapshot, copy)).supply is not Supply.READY:
        return feed.sentence
    rows = BackupCopy.objects.filter(
        snapshot__subclient=subclient, snapshot__state=SnapshotState.PRESENT, copy=copy
    ).exclude(state__in=states.ON_MEDIA)
    later = rows.filter(state=CopyState.TO_BE_COPIED, due_at__isnull=False).order_by("due_at").first()
    if later is not None:
        return f"No snapshot of {subclient.path} is due for {copy.name} yet: the next one is deferred."
    if rows.filter(state=CopyState.CANDIDATE).exists():
        return f"No snapshot of {subclient.path} is due for {copy.name} yet: its candidate is decided later."
    if rows.exists():
        return f"No snapshot of {subclient.path} waits to be copied to {copy.name}: the rest is not selected."
    return f"Every snapshot of {subclient.path} is already copied to {copy.name}."


def hint_for_nothing(subclient: Subclient, copy: Copy) -> str:
    known = BackupCopy.objects.filter(snapshot__subclient=subclient, snapshot__state=SnapshotState.PRESENT, copy=copy)
    if known.exclude(state__in=states.ON_MEDIA).exists():
        return "Pick one on the subclient's page to copy it at once."
    return "Take a snapshot first."


def refuse_held(snapshot: Snapshot) -> None:
    """RULES V4: a snapshot that is held is not deleted."""
    if snapshot.state not in (SnapshotState.PRESENT, SnapshotState.DELETING):
        raise CannotLaunch(f"{snapshot.name} is not on the storage any more.")
    if held := holds_on(snapshot):
        raise CannotLaunch(f"{snapshot.name} is held: {'; '.join(held)}.")


def refuse_point(snapshot: Snapshot, verb: str) -> None:
    """What needs a snapshot on a storage is not for points. ``verb``: “mounted”. Raises CannotLaunch."""
    if is_dump_stream(snapshot.engine):
        why = (
            f"{snapshot.subclient.file_server.name} keeps no snapshots. It is a point in the history, and its files "
            "are in its backup copies."
            if is_point(snapshot.engine)
            else "its files are read by NDMP only."
        )
        raise CannotLaunch(
            f"{snapshot.name} cannot be {verb}: {why}",
            hint="Restore from one of its backup copies.",
        )


def refuse_inactive(subclient: Subclient) -> None:
    """Nothing starts of what is switched off, nor while its live data is being reverted (RULES S6)."""
    if not subclient.is_active:
        raise CannotLaunch(f"{subclient.path} is switched off.", hint="Switch it on on its form.")
    if not subclient.file_server.is_active:
        raise CannotLaunch(f"The file server {subclient.file_server.name} is switched off.")
    if not subclient.policy.is_active:
        raise CannotLaunch(f"The storage policy {subclient.policy.name} is switched off.")
    reverting = active_jobs().filter(operation=Operation.REVERT, subclient=subclient).first()
    if reverting is not None:
        raise CannotLaunch(f"Job {reverting.pk} reverts {subclient.path}: wait until it is over.", job=reverting)


def first_backup_copy(subclient: Subclient) -> Copy:
    copies = backup_copies_of_policy(subclient)
    if not copies:
        raise CannotLaunch(
            f"The storage policy {subclient.policy.name} has no active backup copy.",
            hint="Add a backup copy on a medium to the policy.",
        )
    return copies[0]


def refuse_wrong_copy(subclient: Subclient, copy: Copy) -> None:
    if copy.policy_id != subclient.policy_id or not copy.is_backup:
        raise CannotLaunch(f"{copy.name} is not a backup copy of the policy {subclient.policy.name}.")
    if not copy.is_active:
        raise CannotLaunch(f"The copy {copy.name} is switched off, so it receives nothing.")
    if copy.media is None or not copy.media.is_active:
        raise CannotLaunch(f"The medium of the copy {copy.name} is switched off.")
