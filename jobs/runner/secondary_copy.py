"""Secondary snap copy jobs: one snapshot sent to another storage, from the newest that both have, by their engines."""

from __future__ import annotations

from functools import partial

from django.utils import timezone

from jobs.engine.errors import EngineUnsupported, SnapshotMissing
from jobs.engine.events import Counters, PhaseName, Progress
from jobs.engine.snapshots.base import Replicated, Replicator, SnapshotRef
from jobs.models import CopyState, Job, SnapshotReplica
from jobs.rules import states
from jobs.runner.references import ref_from_row, ref_of_replica, ref_to_json
from jobs.runner.task import Task
from jobs.runner.transfer import send_to_node
from jobs.services.failures import ConfigurationDeleted
from jobs.services.outcomes import Done, Failed, Outcome
from jobs.services.replicas import is_streamed, mark_sending, newest_replica, source_server_of, target_of
from policies.models import Copy, Subclient
from policies.resolve import build_engine


def run(task: Task) -> Outcome:
    """Send the job's snapshot. One that is gone from its source fails the job and lets newer ones go on (RULES B7)."""
    job, replica = task.job, task.job.replica
    if replica is None or job.subclient is None or job.copy is None or job.copy.target_server is None:
        raise ConfigurationDeleted("The subclient, copy or snapshot of this job was deleted.")
    try:
        return _send(task, replica, job.subclient, job.copy)
    except SnapshotMissing as error:
        return Failed.by(error, snapshot_is_gone=True)


def delete(task: Task, replica: SnapshotReplica) -> Outcome:
    """Delete an aged secondary snapshot from its target; one that is gone already counts as deleted."""
    task.phase(PhaseName.PRUNE)
    build_engine(replica.file_server).delete(ref_of_replica(replica))
    name = replica.snapshot.name
    task.tell("snapshot-deleted", f"Snapshot {name} was deleted from {replica.copy.name}.")
    return Done(result={"snapshot": name}, record=partial(_record_deletion, replica))


def _send(task: Task, replica: SnapshotReplica, subclient: Subclient, copy: Copy) -> Outcome:
    task.phase(PhaseName.PREPARE)
    server, target = source_server_of(subclient, copy), target_of(copy)
    source, engine = build_engine(server), build_engine(target)
    if not isinstance(engine, Replicator):
        raise EngineUnsupported(f"The snapshot engine of {copy.name} does not take over snapshots of another storage.")
    base = newest_replica(subclient, copy, before=replica.snapshot)
    mark_sending(replica, job_id=task.job.pk, base=base)
    task.phase(PhaseName.COPY)
    ref = _ref_at_source(replica, copy)
    if is_streamed(server, target):
        done = send_to_node(task, replica, source, ref, _base_ref(base, copy))
    else:
        done = engine.replicate(ref, source, _base_ref(base, copy), task.orders)
    counters = Counters(bytes_total=done.sent_bytes, bytes_done=done.sent_bytes, bytes_read=done.sent_bytes)
    task.recorder.emit(Progress(counters=counters))
    used = base if base is not None and done.base == base.snapshot.name else None
    sentence = f"Snapshot {replica.snapshot.name} was sent to {copy.name}, "
    sentence += f"as the difference from {done.base}." if done.base else "complete."
    task.tell("snapshot-sent", sentence)
    return Done(
        result={"snapshot": replica.snapshot.name, "sent_bytes": done.sent_bytes, "base": done.base or ""},
        record=partial(_record, task.job, replica, copy, used, done),
    )


def _ref_at_source(replica: SnapshotReplica, copy: Copy) -> SnapshotRef:
    """The snapshot where it is sent from. Raises SnapshotMissing."""
    if copy.source is None or copy.source.target_server is None:
        return ref_from_row(replica.snapshot)
    there = _replica_on(copy.source, replica.snapshot_id)
    if there is None:
        raise SnapshotMissing(f"The snapshot {replica.snapshot.name} is not on {copy.source.name}.")
    return ref_of_replica(there)


def _base_ref(base: SnapshotReplica | None, copy: Copy) -> SnapshotRef | None:
    """The base where it is sent from; the engine looks itself whether both still have it."""
    if base is None:
        return None
    if copy.source is None or copy.source.target_server is None:
        return ref_from_row(base.snapshot)
    there = _replica_on(copy.source, base.snapshot_id)
    return ref_of_replica(there) if there is not None else None


def _replica_on(copy: Copy, snapshot_id: int) -> SnapshotReplica | None:
    rows = SnapshotReplica.objects.filter(copy=copy, snapshot=snapshot_id, state__in=states.ON_MEDIA)
    return rows.select_related("snapshot", "file_server").first()


def _record(job: Job, replica: SnapshotReplica, copy: Copy, base: SnapshotReplica | None, done: Replicated) -> None:
    """It is there: state, reference and base change with the job's own end."""
    SnapshotReplica.objects.filter(pk=replica.pk).update(
        state=CopyState.COPIED,
        state_reason="",
        failures=0,
        job=job,
        base=base,
        file_server=target_of(copy),
        ref=ref_to_json(done.ref),
        sent_bytes=done.sent_bytes,
        copied_at=timezone.now(),
    )


def _record_deletion(replica: SnapshotReplica) -> None:
    SnapshotReplica.objects.filter(pk=replica.pk, state=CopyState.AGED).update(deleted_at=timezone.now())
