"""Jobs carried out in the test's own process, one after the other: everything real but the queue and its workers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from django.utils import timezone

from jobs import queues, tasks
from jobs.models import Job, JobState
from jobs.runner import answering
from jobs.services.sweep import sweep
from policies.models import AccessNode, access_node
from tests.jobs.farm import picture


def work_off(*, most: int = 100) -> list[Job]:
    """Run every queued job, also those that follow from it, until none is left; returns them in the order they ran."""
    done: list[Job] = []
    for _ in range(most):
        # This process is the node, and reports as one: a slow machine must not take it away.
        now = timezone.now()
        AccessNode.objects.filter(last_seen_at__lt=now).update(last_seen_at=now)
        sweep()
        job = Job.objects.filter(state=JobState.QUEUED).order_by("priority", "pk").first()
        if job is None:
            return [Job.objects.get(pk=one.pk) for one in done]
        tasks.run(job.pk, job.attempt)
        done.append(job)
    raise AssertionError(f"more than {most} jobs\n{picture()}")


@contextmanager
def answering_here() -> Iterator[None]:
    """Questions to a node are answered in this process: everything real but the queue.

    What reported once stays online within the block, however slow the machine is.
    """

    def ask(_node: AccessNode, question: str, values: dict[str, Any], *, seconds: float) -> dict[str, Any]:
        assert seconds > 0
        answered: dict[str, Any] = json.loads(json.dumps(answering.answer(question, json.loads(json.dumps(values)))))
        return answered

    with mock.patch.object(queues, "ask", ask), mock.patch.object(access_node, "ONLINE_SECONDS", 600):
        yield


def run(job: Job) -> Job:
    """Run it and all that follows; the row as it is then."""
    work_off()
    job.refresh_from_db()
    return job
