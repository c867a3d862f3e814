"""The order in which waiting jobs are placed: lower priorities first, then older jobs (RULES J5)."""

from __future__ import annotations

from typing import Final

from django.db import transaction

from jobs.models import How, Job, JobState
from jobs.progress import note
from jobs.services.errors import CannotControl
from jobs.services.launch import Actor
from policies import audit

HIGHEST: Final = 1
LOWEST: Final = 999
_WAITING: Final = (JobState.WAITING, JobState.PENDING, JobState.SUSPENDED)


def set_priority(job: Job, *, priority: int, user: Actor = None, how: str = How.WEB) -> Job:
    """1 goes first, 999 last. Raises CannotControl for a job that no longer waits: it has its place."""
    if not HIGHEST <= priority <= LOWEST:
        raise CannotControl(f"A priority is a number from {HIGHEST} (first) to {LOWEST} (last).", job=job)
    with transaction.atomic():
        job = Job.objects.select_for_update(of=("self",)).get(pk=job.pk)
        if job.state not in _WAITING:
            state = str(job.get_state_display()).lower()
            raise CannotControl(f"Job {job.pk} does not wait any more, it is {state}.", job=job)
        before = job.priority
        if before == priority:
            return job
        job.priority = priority
        job.save(update_fields=["priority"])
        who = f" by {user}" if user is not None and user.is_authenticated else ""
        note(job.pk, "priority", f"Priority changed from {before} to {priority}{who}.")
        audit.record(
            action=audit.Action.OPERATED,
            instance=job,
            user=user,
            how=how if how in audit.How.values else audit.How.SYSTEM,
            changes={"priority": [before, priority]},
            sentence=f"Priority of {job}: {priority}",
        )
    return job
