"""Secondary snap copies: launching the transfer of snapshots to another storage, and deleting aged ones (O1, B5).

A job sends one snapshot; the next one that waits follows as a job of its own. The rows are in ``replicas``.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils import timezone

from jobs.engine.snapshots.base import Capability
from jobs.engine.snapshots.registry import ENGINES
from jobs.models import (
    CopyState,
    How,
    Initiator,
    Job,
    Operation,
    ScheduleRun,
    SnapshotReplica,
)
from jobs.rules import states
from jobs.selectors import active_jobs, backup_copies_of_policy
from jobs.services.dispatch import dispatch
from jobs.services.errors import CannotLaunch, NothingNew
from jobs.services.launch import Actor, create_job, launch_backup_copy
from jobs.services.launch_many import Launched, Scope, subclients_of
from jobs.services.outcomes import Done, Failed, Interrupted, Killed, Outcome, Suspended, ToRetry
from jobs.services.refusals import refuse_inactive
from jobs.services.replicas import (
    common_nodes,
    is_streamed,
    mark_not_sent,
    mark_replica_failed,
    next_replica,
    refresh_replicas,
    secondary_copies_of,
    source_server_of,
    target_of,
)
from policies.models import Copy, CopyKind, Subclient


def launch_secondary_copy(
    *,
    subclient: Subclient,
    copy: Copy | None = None,
    user: Actor = None,
    initiator: str = Initiator.PERSON,
    how: str = How.WEB,
    parent: Job | None = None,
    schedule_run: ScheduleRun | None = None,
) -> Job:
    """Send the oldest snapshot that waits, and after it the next until none waits.

    ``copy`` None = the policy's first secondary snap copy. A request beside a running job is that job. Raises
    CannotLaunch; NothingNew when no snapshot waits.
    """
    refuse_inactive(subclient)
    copy = copy or _first(subclient)
    _refuse_unfit(subclient, copy)
    if running := _running(subclient, copy):
        return running
    refresh_replicas(subclient)
    replica = next_replica(subclient, copy)
    if replica is None:
        raise NothingNew(f"No snapshot of {subclient.path} waits to be sent to {copy.name}.")
    try:
        with transaction.atomic():
            job = create_job(
                operation=Operation.SECONDARY_COPY,
                subclient=subclient,
                user=user,
                initiator=initiator,
                how=how,
                copy=copy,
                snapshot=replica.snapshot,
                replica=replica,
                parent=parent,
                schedule_run=schedule_run,
            )
    except IntegrityError:
        if found := _running(subclient, copy):
            return found
        raise
    return dispatch(job.pk)


def launch_secondary_copies(
    *,
    scope: Scope,
    copy: Copy | None = None,
    initiator: str,
    how: str,
    user: Actor = None,
    schedule_run: ScheduleRun | None = None,
) -> Launched:
    """Feed the secondary copies of every active subclient of the scope: snap copies, then secondary backup copies.

    ``copy`` None = all of them.
    """
    launched = Launched()
    who = {"initiator": initiator, "how": how, "user": user, "schedule_run": schedule_run}
    for subclient in subclients_of(scope):
        for target in _secondary_of(subclient, copy):
            try:
                if target.kind == CopyKind.SECONDARY_SNAP:
                    job = launch_secondary_copy(subclient=subclient, copy=target, **who)  # type: ignore[arg-type]
                else:
                    job = launch_backup_copy(subclient, target, **who)  # type: ignore[arg-type]
            except NothingNew:
                continue
            except CannotLaunch as refusal:
                launched.refused.append(f"{subclient.path} to {target.name}: {refusal.sentence}")
                continue
            launched.jobs.append(job)
    return launched


def settle_replica(job: Job, outcome: Outcome) -> bool:
    """What became of the snapshot towards the secondary copy. True = it is passed over for good (RULES B7)."""
    if job.replica is None:
        return False
    match outcome:
        case Failed():
            return mark_replica_failed(job.replica, reason=outcome.sentence, snapshot_is_gone=outcome.snapshot_is_gone)
        case ToRetry() | Killed() | Suspended() | Interrupted():
            mark_not_sent(job.replica, reason=outcome.reason if isinstance(outcome, Killed) else "")
        case _:
            pass
    return False


def next_transfer(job: Job, outcome: Outcome, *, is_passed_over: bool) -> list[int]:
    """The job that follows one that is over: the next snapshot that waits. None or one id to be dispatched."""
    if job.subclient is None or job.copy is None or not job.copy.is_active:
        return []
    if not (isinstance(outcome, Done) or is_passed_over):
        return []
    replica = next_replica(job.subclient, job.copy, without=job.replica_id)
    if replica is None:
        return []
    following = create_job(
        operation=Operation.SECONDARY_COPY,
        subclient=job.subclient,
        user=job.started_by,
        initiator=job.initiator,
        how=job.how,
        copy=job.copy,
        snapshot=replica.snapshot,
        replica=replica,
        parent=job.parent,
        schedule_run=job.schedule_run,
        priority=job.priority,
    )
    Job.objects.filter(pk=job.pk).update(result={**job.result, "next_job": following.pk})
    return [following.pk]


def delete_replica(
    replica: SnapshotReplica, *, reason: str, initiator: str = Initiator.SCHEDULE, now: datetime | None = None
) -> Job | None:
    """Mark it aged for ``reason`` and launch its deletion on the target; one that failed before is launched again.

    None = nothing was launched: it is gone, or a job works on it. Never raises a refusal (as ``retire_snapshot``).
    """
    with transaction.atomic():
        replica = (
            SnapshotReplica.objects.select_for_update(of=("self",))
            .select_related("snapshot__subclient", "copy")
            .get(pk=replica.pk)
        )
        may_go = replica.state in states.ON_MEDIA or (replica.state == CopyState.AGED and replica.deleted_at is None)
        if not may_go or active_jobs().filter(replica=replica).exists():
            return None
        replica.state, replica.state_reason = CopyState.AGED, reason
        replica.aged_at = replica.aged_at or now or timezone.now()
        replica.save(update_fields=["state", "state_reason", "aged_at"])
        job = create_job(
            operation=Operation.DELETE_SNAPSHOT,
            subclient=replica.snapshot.subclient,
            user=None,
            initiator=initiator,
            how=How.POLICY,
            copy=replica.copy,
            replica=replica,
        )
        transaction.on_commit(lambda: dispatch(job.pk))
    return job


def _refuse_unfit(subclient: Subclient, copy: Copy) -> None:
    if copy.policy_id != subclient.policy_id or copy.kind != CopyKind.SECONDARY_SNAP:
        raise CannotLaunch(f"{copy.name} is not a secondary snap copy of the policy {subclient.policy.name}.")
    if not copy.is_active:
        raise CannotLaunch(f"The copy {copy.name} is switched off, so it receives nothing.")
    source, target = source_server_of(subclient, copy), target_of(copy)
    if not target.is_active:
        raise CannotLaunch(f"The file server that {copy.name} is on is switched off.")
    kind = ENGINES.get(target.engine)
    if kind is None or Capability.REPLICATE not in kind.capabilities or source.engine != target.engine:
        raise CannotLaunch(
            f"Snapshots of {subclient.path} cannot be sent to {copy.name}: the snapshot engines do not fit.",
            hint="Choose a target with the same snapshot engine.",
        )
    if common_nodes(source, target) == frozenset() and not is_streamed(source, target):
        raise CannotLaunch(
            f"No access node reaches both the storage of {copy.name} and the one it is sent from.",
            hint="Both storages must be mounted on one node: add it to the access nodes of both file servers.",
        )


def _first(subclient: Subclient) -> Copy:
    copies = secondary_copies_of(subclient)
    if not copies:
        raise CannotLaunch(f"The storage policy {subclient.policy.name} has no active secondary snap copy.")
    return copies[0]


def _running(subclient: Subclient, copy: Copy) -> Job | None:
    return active_jobs().filter(operation=Operation.SECONDARY_COPY, subclient=subclient, copy=copy).first()


def _secondary_of(subclient: Subclient, copy: Copy | None) -> Iterable[Copy]:
    fed = [one for one in backup_copies_of_policy(subclient) if one.kind == CopyKind.SECONDARY_BACKUP]
    return [one for one in (*secondary_copies_of(subclient), *fed) if copy is None or one.pk == copy.pk]
