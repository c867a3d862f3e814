"""What follows a backup copy job: snapshots asked for by name, then the next one that waits (RULES B4, B5, B11)."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db import transaction

from jobs.models import BackupCopy, CopyState, Job, JobState, Operation
from jobs.progress import note
from jobs.rules import states
from jobs.services.feeding import Supply, feed_of
from jobs.services.selection import next_to_copy

GOES_ON: Final = "goes_on"
"""Parameter of a job: True = it copies whatever waits, one after the other."""

THEN: Final = "then"
"""Parameter of a job: ids of rows that were asked for while it ran."""


def ask_after(running: Job, row: BackupCopy | None, *, parent: Job | None = None) -> Job | None:
    """RULES B11: a second request attaches to the job that runs. ``row`` None = whatever waits.

    None = it ended meanwhile, without what was asked for.
    """
    with transaction.atomic():
        running = Job.objects.select_for_update(of=("self",)).get(pk=running.pk)
        if row is not None and row.pk == running.backup_copy_id:
            return running
        if running.state in states.FINAL:
            return None
        if row is None:
            if running.parameters.get(GOES_ON) and not (parent and running.parent_id is None):
                return running
            running.parameters[GOES_ON] = True
            said = "Another request attached: the job goes on with the next snapshot that waits."
        elif row.pk in running.parameters.get(THEN, []):
            return running
        else:
            running.parameters[THEN] = [*running.parameters.get(THEN, []), row.pk]
            said = f"Another request attached: {row.snapshot.name} is copied after this."
        running.parent = running.parent or parent
        running.save(update_fields=["parameters", "parent"])
        note(running.pk, "attached", said)
    return running


def next_of_chain(job: Job, *, goes_on: bool, is_killed: bool, now: datetime) -> list[int]:
    """The job that follows one that is over, as a list of none or one id to be dispatched.

    A killed job takes the requests that attached to it with it; one that failed does not.
    """
    if is_killed or job.subclient is None or job.copy is None or not job.copy.is_active:
        return []
    asked = list(job.parameters.get(THEN, []))
    row = None
    while asked and row is None:
        row = _still_possible(asked.pop(0))
    if row is None and goes_on and job.parameters.get(GOES_ON):
        row = next_to_copy(job.subclient, job.copy, now=now, without=_of(job))
    return [] if row is None else [_follow(job, row, asked)]


def _of(job: Job) -> set[int]:
    return {job.backup_copy_id} if job.backup_copy_id is not None else set()


def _still_possible(row_id: int) -> BackupCopy | None:
    row = BackupCopy.objects.select_related("snapshot", "copy__source", "copy__policy").filter(pk=row_id).first()
    if row is None or row.state in (CopyState.PREVENTED, CopyState.AGED):
        return None
    return row if feed_of(row.snapshot, row.copy).supply in (Supply.READY, Supply.COMING) else None


def _follow(job: Job, row: BackupCopy, asked: list[int]) -> int:
    following = Job.objects.create(
        operation=Operation.BACKUP_COPY,
        state=JobState.PENDING,
        state_reason="looking for a node",
        subclient=job.subclient,
        subclient_label=job.subclient_label,
        file_server_label=job.file_server_label,
        copy=job.copy,
        copy_label=job.copy_label,
        media_label=job.media_label,
        snapshot=row.snapshot,
        backup_copy=row,
        parent=job.parent,
        initiator=job.initiator,
        how=job.how,
        schedule_run=job.schedule_run,
        started_by=job.started_by,
        started_by_label=job.started_by_label,
        priority=job.priority,
        asked_level=row.snapshot.asked_level,
        parameters={GOES_ON: bool(job.parameters.get(GOES_ON)), THEN: asked},
    )
    Job.objects.filter(pk=job.pk).update(result={**job.result, "next_job": following.pk})
    return following.pk
