"""How a job that met a passing failure is tried again: what an admin set, else the defaults (RULES J4)."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone

from jobs.models import Job
from policies.selectors.restarts import restart_rule


def retry_wait_seconds(job: Job, *, now: datetime | None = None) -> float | None:
    """Seconds until this job's next try; None = it was tried often or long enough."""
    elapsed = (now or timezone.now()) - job.created_at
    return restart_rule(job.operation).wait_seconds(job.retries, elapsed_seconds=elapsed.total_seconds())
