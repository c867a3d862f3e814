"""Revert jobs: look once more, take a safety snapshot, revert, and write down what was lost with it (RULES S6)."""

from __future__ import annotations

from functools import partial

from django.utils import timezone

from jobs.engine.errors import EngineUnsupported, Retryable, Stopped
from jobs.engine.events import Level, PhaseName
from jobs.engine.snapshots.base import Reverted, Reverter, SnapshotRef
from jobs.holds import holds_of
from jobs.models import Job, Snapshot, SnapshotState
from jobs.rules.holds import Hold
from jobs.runner.references import ref_from_row
from jobs.runner.snapshot import take
from jobs.runner.task import Task
from jobs.services.failures import ConfigurationDeleted, RevertChanged
from jobs.services.losses import record_losses
from jobs.services.outcomes import Done, Failed, Outcome
from jobs.services.revert import ACCEPTED, BEGAN, SAFETY, in_the_way_of_revert
from policies.models import Subclient
from policies.resolve import build_engine

LOOK_SECONDS = 2.0
MOST_WARNINGS = 50


def run(task: Task) -> Outcome:
    """An attempt that was cut off after the live data was touched goes on where it was; nothing is asked again."""
    snapshot, subclient = task.job.snapshot, task.job.subclient
    if snapshot is None or subclient is None:
        raise ConfigurationDeleted("The subclient or the snapshot of this job was deleted.")
    engine = build_engine(subclient.file_server)
    if not isinstance(engine, Reverter):
        raise EngineUnsupported(f"The snapshot engine {engine.label} cannot revert.", hint="Restore in place instead.")
    ref = ref_from_row(snapshot)
    task.phase(PhaseName.PREPARE)
    if not task.job.checkpoint.get(BEGAN):
        try:
            refusal = _prepare(task, engine, ref, subclient)
        except Retryable as error:
            return Failed.by(error)
        if refusal is not None:
            return refusal
    task.phase(PhaseName.REVERT)
    try:
        done = engine.revert(ref, task.orders)
    except Stopped:
        task.tell("revert-unfinished", _unfinished(task), level=Level.WARNING)
        raise
    _tell(task, done, snapshot, subclient)
    lost = list(Snapshot.objects.filter(name__in=done.lost).values_list("pk", flat=True))
    return Done(
        exceptions=len(done.failed),
        result=_result(task, done, snapshot),
        record=partial(_record_losses, lost, task.job.pk),
    )


def _prepare(task: Task, engine: Reverter, ref: SnapshotRef, subclient: Subclient) -> Failed | None:
    """Nothing was touched yet: whatever is not as it was accepted ends the job."""
    job = task.job
    if (other := in_the_way_of_revert(subclient, but=job)) is not None:
        return Failed(
            code="storage-busy",
            sentence=f"Job {other.pk} ({other.get_operation_display().lower()}) works on {subclient.path}.",
            hint="Wait until it is over, then revert again.",
        )
    plan = engine.plan_revert(ref, task.orders, seconds=LOOK_SECONDS)
    unknown = sorted(set(plan.lost) - set(job.parameters.get(ACCEPTED, ())))
    if unknown:
        names = ", ".join(unknown)
        return Failed.by(RevertChanged(f"The storage would delete {names} with it, which was not accepted before."))
    used = _used(list(plan.lost))
    if used:
        return Failed(code="snapshot-held", sentence=f"What would be lost with it is in use: {used}.")
    if job.parameters.get(SAFETY) and not Snapshot.objects.filter(job=job).exists():
        target = job.snapshot
        reason = f"safety snapshot before the revert to {target.taken_at:%Y-%m-%d %H:%M} UTC" if target else ""
        take(task, subclient, pin_reason=reason)
    Job.objects.filter(pk=job.pk, attempt=job.attempt).update(checkpoint={BEGAN: True})
    return None


def _used(names: list[str]) -> str:
    """RULES R6: what somebody reads is not pulled from under him, even where the storage would."""
    rows = {row.pk: row for row in Snapshot.objects.filter(name__in=names)}
    held = holds_of(rows.values())
    return "; ".join(
        f"{rows[pk].name}: {one.sentence}"
        for pk, holds in held.items()
        for one in holds
        if one.hold in (Hold.RUNNING, Hold.MOUNTED)
    )


def _tell(task: Task, done: Reverted, snapshot: Snapshot, subclient: Subclient) -> None:
    for failed in done.failed:
        task.recorder.emit(failed)
    for warning in done.warnings[:MOST_WARNINGS]:
        task.tell("revert-warning", warning, level=Level.WARNING)
    how = (
        "exchanged whole"
        if done.is_exchanged
        else f"{done.created} paths came back, {done.replaced} were replaced, {done.removed} removed"
    )
    task.tell("reverted", f"{subclient.path} is what it was at {snapshot.taken_at:%Y-%m-%d %H:%M:%S} UTC: {how}.")
    for name in done.lost:
        task.tell("snapshot-lost", f"The storage deleted the newer snapshot {name} with it.", level=Level.WARNING)


def _result(task: Task, done: Reverted, snapshot: Snapshot) -> dict[str, object]:
    safety = Snapshot.objects.filter(job=task.job).first()
    return {
        "snapshot": snapshot.name,
        "safety_snapshot": safety.name if safety else "",
        "is_exchanged": done.is_exchanged,
        "created": done.created,
        "replaced": done.replaced,
        "removed": done.removed,
        "lost": list(done.lost),
    }


def _unfinished(task: Task) -> str:
    safety = Snapshot.objects.filter(job=task.job).first()
    back = f", or go back to the safety snapshot {safety.name}" if safety else ""
    return f"The revert was stopped half-way: a part of the live data may be reverted. Revert again to finish it{back}."


def _record_losses(lost: list[int], job_id: int) -> None:
    record_losses(
        lost, state=SnapshotState.DELETED, reason=f"Deleted by the revert of job {job_id}.", now=timezone.now()
    )
