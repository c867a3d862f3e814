"""Snapshot deletion jobs: the storage first, then the row, which stays as history of what was taken (RULES V4)."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.utils import timezone

from jobs.engine.errors import EngineError
from jobs.engine.events import PhaseName
from jobs.models import Snapshot, SnapshotState
from jobs.runner import secondary_copy
from jobs.runner.references import ref_from_row
from jobs.runner.task import Task
from jobs.services.deletion import holds_against, record_deletion
from jobs.services.failures import ConfigurationDeleted
from jobs.services.outcomes import Done, Failed, Outcome
from policies.resolve import build_engine


def run(task: Task) -> Outcome:
    """Delete it unless something took hold of it meanwhile. A snapshot that is gone already counts as deleted."""
    task.phase(PhaseName.PREPARE)
    if task.job.replica is not None:
        return secondary_copy.delete(task, task.job.replica)
    if task.job.snapshot_id is None:
        raise ConfigurationDeleted("The snapshot of this job is not known any more.")
    with transaction.atomic():
        snapshot = Snapshot.objects.select_for_update(of=("self",)).get(pk=task.job.snapshot_id)
        if held := holds_against(task.job, snapshot):
            return Failed(code="snapshot-held", sentence=f"{snapshot.name} is held: {'; '.join(held)}.")
        _set(snapshot.pk, SnapshotState.DELETING)
    engine = build_engine(snapshot.subclient.file_server)
    task.phase(PhaseName.PRUNE)
    try:
        engine.delete(ref_from_row(snapshot))
    except EngineError:
        _set(snapshot.pk, SnapshotState.PRESENT)
        raise
    task.tell("snapshot-deleted", f"Snapshot {snapshot.name} was deleted from the storage.")
    return Done(
        result={"snapshot": snapshot.name},
        record=partial(record_deletion, task.job, snapshot, now=timezone.now()),
    )


def _set(snapshot_id: int, state: SnapshotState) -> None:
    Snapshot.objects.filter(pk=snapshot_id).update(state=state)
