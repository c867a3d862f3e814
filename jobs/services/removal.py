"""Snapshots that a rule gives up: marked aged, then deleted by a job of their own (RULES R4, P7)."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from jobs.models import How, Initiator, Job, Operation, Snapshot, SnapshotState
from jobs.selectors import active_jobs
from jobs.services.dispatch import dispatch
from jobs.services.errors import CannotLaunch
from jobs.services.launch import create_job
from jobs.services.refusals import refuse_held


def retire_snapshot(
    snapshot: Snapshot, *, reason: str, initiator: str = Initiator.SCHEDULE, now: datetime | None = None
) -> Job | None:
    """Mark it aged for ``reason`` and launch its deletion; a deletion that failed before is launched again.

    None = nothing was launched: something holds it, it is gone, or its deletion is under way. Never raises a refusal,
    so that whoever calls it goes on (RULES P7).
    """
    with transaction.atomic():
        snapshot = Snapshot.objects.select_for_update(of=("self",)).select_related("subclient").get(pk=snapshot.pk)
        if snapshot.state != SnapshotState.PRESENT or _deletion_runs(snapshot):
            return None
        try:
            refuse_held(snapshot)
        except CannotLaunch:
            return None
        snapshot.aged_at = snapshot.aged_at or now or timezone.now()
        snapshot.aged_reason = reason
        snapshot.save(update_fields=["aged_at", "aged_reason"])
        job = create_job(
            operation=Operation.DELETE_SNAPSHOT,
            subclient=snapshot.subclient,
            user=None,
            initiator=initiator,
            how=How.POLICY,
            snapshot=snapshot,
        )
        transaction.on_commit(lambda: dispatch(job.pk))
    return job


def _deletion_runs(snapshot: Snapshot) -> bool:
    return active_jobs().filter(operation=Operation.DELETE_SNAPSHOT, snapshot=snapshot).exists()
