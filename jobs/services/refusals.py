"""Reasons not to launch a snapshot or a copy, looked for before anything is written."""

from __future__ import annotations

from jobs.models import Snapshot, SnapshotState
from jobs.selectors import backup_copies_of_policy, holds_on
from jobs.services.errors import CannotLaunch
from policies.models import Copy, Subclient


def nothing_waits(subclient: Subclient, copy: Copy) -> str:
    if not subclient.snapshots.exists():
        return f"{subclient.path} has no snapshot yet."
    return f"Every snapshot of {subclient.path} is already copied to {copy.name}."


def refuse_held(snapshot: Snapshot) -> None:
    """RULES V4: a snapshot that is held is not deleted."""
    if snapshot.state not in (SnapshotState.PRESENT, SnapshotState.DELETING):
        raise CannotLaunch(f"{snapshot.name} is not on the storage any more.")
    if held := holds_on(snapshot):
        raise CannotLaunch(f"{snapshot.name} is held: {'; '.join(held)}.")


def refuse_inactive(subclient: Subclient) -> None:
    if not subclient.is_active:
        raise CannotLaunch(f"{subclient.path} is switched off.", hint="Switch it on on its form.")
    if not subclient.file_server.is_active:
        raise CannotLaunch(f"The file server {subclient.file_server.name} is switched off.")
    if not subclient.policy.is_active:
        raise CannotLaunch(f"The storage policy {subclient.policy.name} is switched off.")


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
