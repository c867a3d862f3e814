"""What the pages of schedules show: when each runs next, what became of its slots, and a month as a calendar."""

from __future__ import annotations

import calendar as months
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from jobs.models import ScheduleRun
from jobs.rules.recurrence import InvalidRecurrence, describe, next_slots, slots_between
from jobs.visible import visible_jobs
from policies.models import Media, Schedule
from policies.selectors.schedules import schedules, start_of
from policies.selectors.visible import Person, sees_everything

PAGE: Final = 50
NEXT_RUNS: Final = 5
MOST_SLOTS: Final = 3000
"""Of one schedule in the calendar: every quarter of an hour of a month."""

_NAMED_OF_A_DAY: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRow:
    """One schedule in words. ``next_local`` is in its own zone; both None = it is off, or never comes."""

    schedule: Schedule
    words: str
    of: str
    next_local: datetime | None
    last_run: ScheduleRun | None

    @property
    def next_at(self) -> datetime | None:
        return self.schedule.next_slot_at if self.schedule.is_active else None


@dataclass(frozen=True, slots=True, kw_only=True)
class NextRun:
    """A slot and when it starts: later, if the schedule spreads its starts."""

    local: datetime
    slot: datetime
    start: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsPage:
    """What became of slots, newest first. ``older`` is the key to page from, None = nothing there."""

    runs: Sequence[ScheduleRun]
    older: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A schedule on a day of the calendar; ``at`` is its first time there."""

    schedule: Schedule
    at: datetime
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    date: date
    is_of_month: bool
    is_today: bool
    entries: Sequence[Entry] = ()

    @property
    def named(self) -> Sequence[Entry]:
        return self.entries[:_NAMED_OF_A_DAY]

    @property
    def more(self) -> int:
        return max(0, len(self.entries) - _NAMED_OF_A_DAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """Whole weeks, from Monday. ``cut`` names schedules that come too often to be shown to the end."""

    first: date
    weeks: Sequence[Sequence[Day]]
    cut: Sequence[str] = field(default_factory=list)

    @property
    def before(self) -> date:
        return (self.first - timedelta(days=1)).replace(day=1)

    @property
    def after(self) -> date:
        return (self.first + timedelta(days=32)).replace(day=1)


def schedule_rows(among: QuerySet[Schedule] | None = None) -> list[ScheduleRow]:
    """These schedules (None = every one), by name; two queries."""
    found = list(schedules(among))
    newest = ScheduleRun.objects.filter(schedule__in=found).order_by("schedule_id", "-created_at", "-pk")
    last_runs = {run.schedule_id: run for run in newest.distinct("schedule_id")}
    return [_row(schedule, last_runs.get(schedule.pk)) for schedule in found]


def schedule_row(schedule: Schedule) -> ScheduleRow:
    return _row(schedule, schedule.runs.order_by("-created_at", "-pk").first())


def next_runs_of(schedule: Schedule, *, now: datetime | None = None) -> list[NextRun]:
    """Of an active schedule; empty when somebody wrote nonsense past the forms."""
    try:
        slots = next_slots(schedule.recurrence, now or timezone.now(), NEXT_RUNS) if schedule.is_active else []
    except InvalidRecurrence:
        return []
    zone = ZoneInfo(schedule.time_zone)
    return [NextRun(local=slot.astimezone(zone), slot=slot, start=start_of(schedule, slot)) for slot in slots]


def runs_of(schedule: Schedule, user: Person, *, before: int | None = None) -> RunsPage:
    """One page of its slots, each with ``job_count``: the jobs that the user may see."""
    seen = Q() if sees_everything(user) else Q(jobs__in=visible_jobs(user).order_by().values("pk"))
    runs = schedule.runs.annotate(job_count=Count("jobs", filter=seen)).order_by("-pk")
    found = list((runs.filter(pk__lt=before) if before is not None else runs)[: PAGE + 1])
    return RunsPage(runs=found[:PAGE], older=found[PAGE - 1].pk if len(found) > PAGE else None)


def coming_up(among: QuerySet[Schedule], *, limit: int = NEXT_RUNS) -> list[Schedule]:
    """Those of them that start next, soonest first."""
    return list(schedules(among).filter(is_active=True, next_slot_at__isnull=False).order_by("next_slot_at")[:limit])


def month_of(first: date, *, among: QuerySet[Schedule] | None = None, now: datetime | None = None) -> Month:
    """What of these (None = every one) starts in a month from now on, by days of the current time zone; one query."""
    now = timezone.localtime(now)
    days = months.Calendar().monthdatescalendar(first.year, first.month)
    begin, end = _midnight(days[0][0]), _midnight(days[-1][-1] + timedelta(days=1))
    by_day: dict[date, list[Entry]] = defaultdict(list)
    cut = []
    for schedule in schedules(among).filter(is_active=True):
        starts = _starts(schedule, max(begin, now), end)
        if len(starts) >= MOST_SLOTS:
            cut.append(schedule.name)
        for day, times in _by_day(starts).items():
            by_day[day].append(Entry(schedule=schedule, at=times[0], times=len(times)))
    weeks = [
        [
            Day(
                date=day,
                is_of_month=day.month == first.month,
                is_today=day == now.date(),
                entries=sorted(by_day[day], key=lambda entry: entry.at),
            )
            for day in week
        ]
        for week in days
    ]
    return Month(first=first, weeks=weeks, cut=cut)


def _row(schedule: Schedule, last_run: ScheduleRun | None) -> ScheduleRow:
    next_at = schedule.next_slot_at if schedule.is_active else None
    try:
        local = next_at.astimezone(ZoneInfo(schedule.time_zone)) if next_at else None
    except (LookupError, ValueError):
        local = None
    return ScheduleRow(
        schedule=schedule, words=describe(schedule.cron), of=_of(schedule), next_local=local, last_run=last_run
    )


def _of(schedule: Schedule) -> str:
    scope = schedule.scope
    if scope is None:
        return "everything" if schedule.operation == "aging" else "every active medium"
    kind = "medium" if isinstance(scope, Media) else str(scope._meta.verbose_name)
    return f"{kind} {scope}{f' to {schedule.copy.name}' if schedule.copy else ''}"


def _starts(schedule: Schedule, after: datetime, until: datetime) -> list[datetime]:
    try:
        return slots_between(schedule.recurrence, after, until, most=MOST_SLOTS)
    except InvalidRecurrence:
        return []


def _by_day(slots: Sequence[datetime]) -> dict[date, list[datetime]]:
    found: dict[date, list[datetime]] = defaultdict(list)
    for slot in slots:
        local = timezone.localtime(slot)
        found[local.date()].append(local)
    return found


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
