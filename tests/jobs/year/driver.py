"""A year passes: from one moment at which something is due to the next, with the product's own services and runners.

One process stands for the scheduler and for all nodes: jobs are claimed, worked on and ended as a node does it, one
after the other, each in no time.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.db import connection
from django.db.models import Min, Q

from jobs import tasks
from jobs.models import Job, JobState
from jobs.runner.attempt import Attempt
from jobs.selectors import jobs_to_place
from jobs.services.schedules import tick
from jobs.services.sweep import place_waiting
from policies.models import AccessNode, Schedule

from .machines import Machines
from .picture import Picture
from .plan import Year
from .world import World

IN_TURNS: Final = 25
"""Beyond so many, waiting jobs are looked at in turns."""


@dataclass(slots=True)
class Driver:
    """``ran``: how many attempts of each operation."""

    year: Year
    world: World
    machines: Machines
    ran: Counter[str] = field(default_factory=Counter)
    moments: int = 0

    def run(self, until: datetime) -> None:
        """Up to, and without, that moment."""
        year, machines = self.year, self.machines
        known = sorted({*(act.at for act in year.acts), *year.edges()})
        while True:
            later = [moment for moment in (*self._due(), *self._first(known)) if moment is not None]
            moment = min(later, default=until)
            if moment >= until:
                return
            machines.now = moment
            self._live(moment)

    def figures(self, picture: Picture, seconds: float) -> str:
        """For whoever watches a long run."""
        jobs = sum(self.ran.values())
        states = Counter(fact.state for fact in picture.snapshots.values())
        states.update(fact.state for fact in picture.copies.values())
        return (
            f"{seconds:.0f} s, {self.moments} moments, {jobs} attempts ({1000 * seconds / max(1, jobs):.1f} ms each): "
            f"{dict(self.ran)}; {dict(states)}"
        )

    def _first(self, known: list[datetime]) -> list[datetime]:
        while known and known[0] <= self.machines.now:
            known.pop(0)
        return known[:1]

    def _due(self) -> list[datetime | None]:
        """The next slot, if a scheduler looks then, and the next retry."""
        now = self.machines.now
        slot = Schedule.objects.filter(is_active=True).aggregate(first=Min("next_slot_at"))["first"]
        pending = Job.objects.filter(state=JobState.PENDING, retry_at__gt=now)
        retry = pending.aggregate(first=Min("retry_at"))["first"]
        return [self.year.back_at("scheduler", "", moment) if moment else None for moment in (slot, retry)]

    def _live(self, now: datetime) -> None:
        self.moments += 1
        alive = [node for node in self.year.nodes if not self.year.fails("node", node, now)]
        AccessNode.objects.filter(name__in=alive).update(last_seen_at=now)
        for act in self.year.acts:
            if act.at == now:
                self.world.act(act)
        is_scheduled = not self.year.fails("scheduler", "", now)
        if is_scheduled:
            tick(now=now)
        self._work_off(now, is_scheduled=is_scheduled)

    def _work_off(self, now: datetime, *, is_scheduled: bool) -> None:
        """Until nothing that could run is left. Of many that wait, each sweep looks at some."""
        in_vain = 0
        while True:
            while job := Job.objects.filter(state=JobState.QUEUED).order_by("pk").first():
                self._work(job)
                in_vain = 0
            if not is_scheduled or in_vain > self._waiting(now) // IN_TURNS:
                return
            in_vain = 0 if place_waiting() else in_vain + 1

    def _waiting(self, now: datetime) -> int:
        """How many a scheduler looks at in turns while one of them could go on now; -1 = none could.

        Those without a node wait until one comes back.
        """
        ready = Q(state=JobState.WAITING) | Q(state=JobState.PENDING, retry_at__lte=now)
        if now in set(self.year.edges()):
            ready |= Q(state=JobState.PENDING, retry_at=None)
        is_any_ready = Job.objects.filter(ready, awaits_children=False).exists()
        return jobs_to_place().count() if is_any_ready else -1

    def _work(self, job: Job) -> None:
        """As :func:`jobs.tasks.run`, without the thread that keeps the lease."""
        self.ran[job.operation] += 1
        attempt = Attempt(job.pk, job.attempt)
        assert attempt._guard._claim(), f"{job} could not be claimed"
        try:
            attempt.end(tasks._outcome(attempt))
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock_all()")
