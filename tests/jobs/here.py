"""Jobs carried out in the test's own process, one after the other: everything real but the queue and its workers."""

from __future__ import annotations

from django.utils import timezone

from jobs import tasks
from jobs.models import Job, JobState
from jobs.services.sweep import sweep
from policies.models import AccessNode
from tests.jobs.farm import picture


def work_off(*, most: int = 100) -> list[Job]:
    """Run every queued job, also those that follow from it, until none is left; returns them in the order they ran."""
    done: list[Job] = []
    for _ in range(most):
        # This process is the node, and reports as one: a slow machine must not take it away.
        AccessNode.objects.filter(last_seen_at__isnull=False).update(last_seen_at=timezone.now())
        sweep()
        job = Job.objects.filter(state=JobState.QUEUED).order_by("priority", "pk").first()
        if job is None:
            return [Job.objects.get(pk=one.pk) for one in done]
        tasks.run(job.pk, job.attempt)
        done.append(job)
    raise AssertionError(f"more than {most} jobs\n{picture()}")


def run(job: Job) -> Job:
    """Run it and all that follows; the row as it is then."""
    work_off()
    job.refresh_from_db()
    return job
