"""One order for many jobs: each answers for itself, and one that cannot take it says so (RULES J3)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from django.db.models import QuerySet

from jobs.models import How, Initiator, Job
from jobs.services.control import acknowledge_job, kill_job, resume_job, suspend_job
from jobs.services.errors import JobRefusal
from jobs.services.launch import Actor
from jobs.services.resubmit import resubmit_job

MOST_AT_ONCE: Final = 200


class Order(StrEnum):
    SUSPEND = "suspend"
    RESUME = "resume"
    KILL = "kill"
    RESUBMIT = "resubmit"
    ACKNOWLEDGE = "acknowledge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of the order at one job."""

    job_id: int
    is_done: bool
    sentence: str


def order_jobs(
    job_ids: Collection[int],
    order: Order,
    *,
    among: QuerySet[Job] | None = None,
    user: Actor = None,
    how: str = How.WEB,
    initiator: str = Initiator.PERSON,
) -> list[Answer]:
    """Give each job the order, oldest first, each in a transaction of its own. Numbers of no job are refused, too.

    ``among``: the jobs that the person may see (None = all); another is answered as if it did not exist.
    """
    carry_out = _carry_out(order, user=user, how=how, initiator=initiator)
    known = Job.objects.all() if among is None else among
    found = known.in_bulk(sorted(job_ids)[:MOST_AT_ONCE])
    return [_answer(job_id, found.get(job_id), carry_out) for job_id in sorted(job_ids)[:MOST_AT_ONCE]]


def _answer(job_id: int, job: Job | None, carry_out: Callable[[Job], str]) -> Answer:
    if job is None:
        return Answer(job_id=job_id, is_done=False, sentence=f"There is no job {job_id}.")
    try:
        return Answer(job_id=job_id, is_done=True, sentence=carry_out(job))
    except JobRefusal as refusal:
        return Answer(job_id=job_id, is_done=False, sentence=f"{refusal.sentence} {refusal.hint}".strip())


def _carry_out(order: Order, *, user: Actor, how: str, initiator: str) -> Callable[[Job], str]:
    def resubmit(job: Job) -> str:
        again = resubmit_job(job, user=user, how=how, initiator=initiator)
        return f"Job {job.pk} runs again as job {again.pk}."

    def give(act: Callable[..., Job], said: str) -> Callable[[Job], str]:
        def given(job: Job) -> str:
            if act is acknowledge_job:
                act(job, user=user)
            else:
                act(job, user=user, how=how)
            return f"Job {job.pk} {said}."

        return given

    match order:
        case Order.SUSPEND:
            return give(suspend_job, "is told to stop at its next checkpoint")
        case Order.RESUME:
            return give(resume_job, "goes on")
        case Order.KILL:
            return give(kill_job, "is told to end")
        case Order.ACKNOWLEDGE:
            return give(acknowledge_job, "is acknowledged")
        case Order.RESUBMIT:
            return resubmit
