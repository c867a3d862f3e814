"""Jobs that wait, in the order in which they will be placed, each with what it waits for (RULES J5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import QuerySet
from django.utils import timezone

from jobs.models import Job, JobState
from jobs.visible import only_visible
from policies.selectors.visible import Person, sees_everything

SHOWN: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """``place`` counts the jobs that wait for the same thing, from 1; None = it is not in line before ``retry_at``."""

    job: Job
    place: int | None

    @property
    def ordinal(self) -> str:
        """“3rd in line”; empty when it is in no line."""
        return f"{_ordinal(self.place)} in line" if self.place else ""

    @property
    def words(self) -> str:
        """“3rd in line: No free slot on n1.”"""
        reason = self.job.state_reason[:1].upper() + self.job.state_reason[1:]
        return ": ".join(part for part in (self.ordinal, reason) if part)


def waiting_jobs() -> QuerySet[Job]:
    """In the order in which the scheduler tries to place them; who awaits its children waits for nothing of its own."""
    waiting = (JobState.WAITING, JobState.PENDING)
    return (
        Job.objects.filter(state__in=waiting, want=Job.Want.RUN)
        .exclude(awaits_children=True)
        .order_by("priority", "pk")
    )


def in_line(user: Person, *, now: datetime | None = None) -> list[Waiting]:
    """The first of them that the user may see, with their places among all; one query, or two with a scope."""
    now = now or timezone.now()
    if sees_everything(user):
        return _placed(waiting_jobs()[:SHOWN], now)
    seen = set(only_visible(waiting_jobs(), user).values_list("pk", flat=True))
    return [row for row in _placed(waiting_jobs(), now) if row.job.pk in seen][:SHOWN]


def place_of(job: Job, *, now: datetime | None = None) -> Waiting | None:
    """Of one job; None when it does not wait. One query, or none."""
    if job.state not in (JobState.WAITING, JobState.PENDING) or job.awaits_children:
        return None
    now = now or timezone.now()
    same = waiting_jobs().filter(state_reason=job.state_reason)
    return next((found for found in _placed(same, now) if found.job.pk == job.pk), None)


def _placed(jobs: Iterable[Job], now: datetime) -> list[Waiting]:
    seen: Counter[str] = Counter()
    placed = []
    for job in jobs:
        if job.retry_at is not None and job.retry_at > now:
            placed.append(Waiting(job=job, place=None))
            continue
        seen[job.state_reason] += 1
        placed.append(Waiting(job=job, place=seen[job.state_reason]))
    return placed


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
