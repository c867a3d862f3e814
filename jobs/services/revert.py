"""Putting a subclient's live data back to one of its snapshots: what stands in the way, and the launch (RULES S6, V4).

What it will do is told beforehand by the storage's engine, on its node; a person accepts exactly that.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from django.db import transaction

from jobs.engine.snapshots.base import Capability
from jobs.engine.snapshots.registry import ENGINES, EngineKind
from jobs.models import How, Initiator, Job, Level, Operation, Snapshot, SnapshotState
from jobs.selectors import active_jobs
from jobs.services.dispatch import dispatch
from jobs.services.errors import CannotLaunch
from jobs.services.launch import Actor, create_job
from jobs.services.refusals import refuse_point
from policies import audit
from policies.models import Subclient

ACCEPTED: Final = "accepted"
"""Parameter: names of the newer snapshots that whoever launched it knows to be lost."""

SAFETY: Final = "with_safety_snapshot"
BEGAN: Final = "began"
"""Checkpoint: the live data may be half reverted; the next attempt goes on without asking again."""

_BESIDE: Final = (Operation.MOUNT, Operation.UNMOUNT, Operation.CATALOG, Operation.DRILL)
"""They only read snapshots, and none of the live data."""


def launch_revert(
    snapshot: Snapshot,
    *,
    confirmation: str,
    accepted: Collection[str] = (),
    with_safety_snapshot: bool = True,
    user: Actor = None,
    initiator: str = Initiator.PERSON,
    how: str = How.WEB,
) -> Job:
    """Make the live data what it is in the snapshot.

    ``confirmation`` is the subclient's name, typed by whoever wants it. ``accepted`` are names of the newer snapshots
    that may be lost; the job fails, and changes nothing, where another one would be. Raises CannotLaunch.
    """
    with transaction.atomic():
        Subclient.objects.select_for_update(of=("self",)).get(pk=snapshot.subclient_id)
        snapshot = Snapshot.objects.select_related("subclient__file_server", "subclient__policy").get(pk=snapshot.pk)
        subclient = snapshot.subclient
        kind = refuse_revert(snapshot)
        if confirmation.strip() != subclient.name:
            raise CannotLaunch(
                f"Type the name of the subclient, “{subclient.name}”, to confirm that its live data is to be replaced."
            )
        is_safe = with_safety_snapshot and can_be_made_safe(kind)
        job = create_job(
            operation=Operation.REVERT,
            subclient=subclient,
            user=user,
            initiator=initiator,
            how=how,
            snapshot=snapshot,
            asked_level=Level.INCREMENTAL if is_safe else "",
            parameters={ACCEPTED: sorted(accepted), SAFETY: is_safe},
        )
        audit.record(
            action=audit.Action.OPERATED,
            instance=snapshot,
            user=user,
            how=how if how in audit.How.values else audit.How.SYSTEM,
            sentence=f"Revert of {subclient.path} to {snapshot.name}, job {job.pk}"
            + ("" if is_safe else ", without a safety snapshot"),
            changes={"lost snapshots": [None, sorted(accepted)]} if accepted else None,
        )
    return dispatch(job.pk)


def refuse_revert(snapshot: Snapshot) -> EngineKind:
    """Everything that can be known without the storage. Raises CannotLaunch."""
    subclient = snapshot.subclient
    if snapshot.state != SnapshotState.PRESENT or snapshot.aged_at is not None:
        raise CannotLaunch(f"{snapshot.name} is not on the storage any more, or is being deleted.")
    refuse_point(snapshot, "reverted to")
    kind = ENGINES.get(snapshot.engine)
    if snapshot.engine != subclient.file_server.engine or kind is None:
        raise CannotLaunch(f"{subclient.file_server.name} has another snapshot engine now than {snapshot.name} is of.")
    if not can_revert(snapshot.engine):
        raise CannotLaunch(f"The snapshot engine {kind.label} cannot revert.", hint="Restore in place instead.")
    if (job := in_the_way_of_revert(subclient)) is not None:
        raise CannotLaunch(
            f"Job {job.pk} ({job.get_operation_display().lower()}) works on {subclient.path}: wait until it is over.",
            job=job,
        )
    return kind


def can_revert(engine: str) -> bool:
    """Whether an engine of that name reverts at all."""
    kind = ENGINES.get(engine)
    return kind is not None and Capability.REVERT in kind.capabilities


def can_be_made_safe(kind: EngineKind) -> bool:
    """Whether a safety snapshot survives the revert: where newer ones are lost, it would be lost with them."""
    return Capability.REVERT_DELETES_NEWER not in kind.capabilities


def in_the_way_of_revert(subclient: Subclient, *, but: Job | None = None) -> Job | None:
    """A job that reads or writes what a revert replaces, whether it runs or waits."""
    jobs = active_jobs().filter(subclient=subclient).exclude(operation__in=_BESIDE)
    if but is not None:
        jobs = jobs.exclude(pk=but.pk)
    return jobs.order_by("pk").first()
