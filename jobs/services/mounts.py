"""Mounting snapshots read-only on an access node, and taking the mounts away again (RULES V4, R6).

A row stands for one mount from the request to its end; while it stands, it holds its snapshot.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from jobs.models import How, Initiator, Job, MountState, Operation, Snapshot, SnapshotMount, SnapshotState
from jobs.selectors import active_jobs
from jobs.services.dispatch import dispatch
from jobs.services.errors import CannotLaunch
from jobs.services.launch import Actor, create_job
from jobs.services.outcomes import Done, Interrupted, Outcome, ToRetry
from jobs.services.refusals import refuse_point
from policies import audit
from policies.models import AccessNode

MOUNT: Final = "mount"
"""Parameter of both operations: the row's id."""

DEFAULT_HOURS: Final = 24
MOST_HOURS: Final = 31 * 24
TRY_AGAIN: Final = timedelta(hours=1)
"""An expired mount that is still in use is tried again after so long."""


def launch_mount(
    snapshot: Snapshot,
    *,
    node: AccessNode | None = None,
    hours: float = DEFAULT_HOURS,
    user: Actor = None,
    initiator: str = Initiator.PERSON,
    how: str = How.WEB,
) -> Job:
    """Make it readable on a node for ``hours``; ``node`` None = one that reaches the storage. Raises CannotLaunch."""
    until = _until(hours)
    with transaction.atomic():
        snapshot = (
            Snapshot.objects.select_for_update(of=("self",))
            .select_related("subclient__file_server")
            .get(pk=snapshot.pk)
        )
        if snapshot.state != SnapshotState.PRESENT or snapshot.aged_at is not None:
            raise CannotLaunch(f"{snapshot.name} is not on the storage any more, or is being deleted.")
        refuse_point(snapshot, "mounted")
        if (there := active_mount_of(snapshot)) is not None:
            raise CannotLaunch(
                f"{snapshot.name} is mounted on {there.node_label} already.",
                hint="Keep it, or unmount it first.",
            )
        person = user if isinstance(user, User) else None
        mount = SnapshotMount.objects.create(
            snapshot=snapshot,
            mounted_by=person,
            mounted_by_label=str(person) if person else "",
            node=node,
            node_label=node.name if node else "",
            expires_at=until,
        )
        job = create_job(
            operation=Operation.MOUNT,
            subclient=snapshot.subclient,
            user=user,
            initiator=initiator,
            how=how,
            snapshot=snapshot,
            parameters={MOUNT: mount.pk, **({"node": node.name} if node else {})},
        )
        _record(snapshot, user, how, f"Mounted until {until:%Y-%m-%d %H:%M} UTC: {snapshot.name}, job {job.pk}")
    return dispatch(job.pk)


def launch_unmount(
    mount: SnapshotMount,
    *,
    reason: str = "",
    user: Actor = None,
    initiator: str = Initiator.PERSON,
    how: str = How.WEB,
) -> Job:
    """Take it away from its node; the snapshot is then held no longer. Raises CannotLaunch."""
    with transaction.atomic():
        mount = _locked(mount)
        snapshot = mount.snapshot
        if (job := _job_of(mount)) is not None:
            raise CannotLaunch(f"Job {job.pk} is at it: wait until it is over.", job=job)
        if mount.state == MountState.UNMOUNTED:
            raise CannotLaunch(f"{snapshot.name} is not mounted any more.")
        if mount.node is None:
            raise CannotLaunch(f"The access node {mount.node_label} was deleted: the mount went with it.")
        mount.state = MountState.UNMOUNTING
        mount.save(update_fields=["state"])
        job = create_job(
            operation=Operation.UNMOUNT,
            subclient=snapshot.subclient,
            user=user,
            initiator=initiator,
            how=how,
            snapshot=snapshot,
            parameters={MOUNT: mount.pk, "node": mount.node.name, "reason": reason},
        )
        _record(snapshot, user, how, f"Unmounted: {snapshot.name} from {mount.node_label}, job {job.pk}")
    return dispatch(job.pk)


def keep_mounted(
    mount: SnapshotMount, *, hours: float, user: Actor = None, how: str = How.WEB, now: datetime | None = None
) -> SnapshotMount:
    """Let it stay for ``hours`` from now. Raises CannotLaunch."""
    until = _until(hours, now=now)
    with transaction.atomic():
        mount = _locked(mount)
        if mount.state not in (MountState.MOUNTING, MountState.MOUNTED):
            raise CannotLaunch(f"{mount.snapshot.name} is not mounted any more.")
        mount.expires_at = until
        mount.save(update_fields=["expires_at"])
        _record(mount.snapshot, user, how, f"Kept mounted until {until:%Y-%m-%d %H:%M} UTC: {mount.snapshot.name}")
    return mount


def active_mount_of(snapshot: Snapshot) -> SnapshotMount | None:
    """The one that holds it now."""
    return snapshot.mounts.exclude(state=MountState.UNMOUNTED).select_related("node").first()


def end_mount(mount_id: int, *, reason: str, now: datetime | None = None) -> bool:
    """Write that it is not mounted any more. False = that was known. Idempotent."""
    standing = SnapshotMount.objects.filter(pk=mount_id).exclude(state=MountState.UNMOUNTED)
    return bool(standing.update(state=MountState.UNMOUNTED, ended_at=now or timezone.now(), end_reason=reason))


def settle_mount(job: Job, outcome: Outcome, *, now: datetime) -> None:
    """What an attempt of a mount or unmount job leaves of the row; *done* is written by the outcome's own record."""
    if isinstance(outcome, Done | ToRetry | Interrupted):
        return
    mount_id = job.parameters.get(MOUNT)
    if job.operation == Operation.MOUNT:
        end_mount(mount_id, reason=f"It could not be mounted: {job.state_reason or job.get_state_display()}", now=now)
        return
    rows = SnapshotMount.objects.filter(pk=mount_id, state=MountState.UNMOUNTING)
    rows.update(state=MountState.MOUNTED)
    rows = SnapshotMount.objects.filter(pk=mount_id, state=MountState.MOUNTED, expires_at__lt=now + TRY_AGAIN)
    rows.update(expires_at=now + TRY_AGAIN)


def expire_mounts(*, now: datetime | None = None) -> int:
    """Launch the unmounting of what is over, and forget the mounts of deleted nodes; how many. Called by the sweep."""
    now = now or timezone.now()
    moved = 0
    standing = SnapshotMount.objects.exclude(state=MountState.UNMOUNTED)
    for mount in standing.filter(node=None).exclude(node_label=""):
        moved += end_mount(mount.pk, reason="Its access node was deleted.", now=now)
    over = standing.filter(state=MountState.MOUNTED, expires_at__lte=now, node__isnull=False)
    for mount in over.select_related("snapshot"):
        try:
            launch_unmount(mount, reason="Its time was over.", initiator=Initiator.SCHEDULE, how=How.POLICY)
        except CannotLaunch:
            continue
        moved += 1
    return moved


def _until(hours: float, *, now: datetime | None = None) -> datetime:
    if not 0 < hours <= MOST_HOURS:
        raise CannotLaunch(f"A snapshot is mounted for at most {MOST_HOURS // 24} days, and for more than no time.")
    return (now or timezone.now()) + timedelta(hours=hours)


def _locked(mount: SnapshotMount) -> SnapshotMount:
    rows = SnapshotMount.objects.select_for_update(of=("self",))
    return rows.select_related("snapshot__subclient__file_server", "node").get(pk=mount.pk)


def _job_of(mount: SnapshotMount) -> Job | None:
    both = (Operation.MOUNT, Operation.UNMOUNT)
    return active_jobs().filter(operation__in=both, snapshot=mount.snapshot_id, parameters__mount=mount.pk).first()


def _record(snapshot: Snapshot, user: Actor, how: str, sentence: str) -> None:
    known = how if how in audit.How.values else audit.How.SYSTEM
    audit.record(action=audit.Action.OPERATED, instance=snapshot, user=user, how=known, sentence=sentence)
