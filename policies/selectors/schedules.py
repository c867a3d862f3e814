"""When schedules run next, and what keeps them from it: the configuration seen through the rules of recurrence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from jobs.rules.recurrence import Blackout, blackout_until, jitter_seconds, next_slots
from policies.models import BlackoutWindow, Schedule, ScheduledOperation, Weekday


def schedules(among: QuerySet[Schedule] | None = None) -> QuerySet[Schedule]:
    """These (None = every one) with all that the pages say of what they are of."""
    return (
        (Schedule.objects.all() if among is None else among)
        .select_related("policy", "file_server", "subclient__file_server", "copy__policy", "media")
        .order_by("name")
    )


def start_of(schedule: Schedule, slot: datetime) -> datetime:
    """When the slot really starts: later by the schedule's spread, always the same for the same slot."""
    return slot + timedelta(seconds=jitter_seconds(schedule.pk or 0, slot, schedule.jitter_seconds))


def next_start(schedule: Schedule, after: datetime) -> datetime | None:
    """Of the next slot later than ``after``; None = it never comes again. Raises InvalidRecurrence."""
    following = next_slots(schedule.recurrence, after, 1)
    return start_of(schedule, following[0]) if following else None


def put_off_until(operation: str, moment: datetime, windows: Iterable[BlackoutWindow]) -> datetime | None:
    """When blackout windows let a scheduled operation start that would start at ``moment``; None = it may at once."""
    of_it = [window for window in windows if not window.operations or operation in window.operations]
    return blackout_until(
        moment,
        [
            Blackout(days=frozenset(window.days), start=window.starts_at, end=window.ends_at, zone=window.time_zone)
            for window in of_it
        ],
    )


def active_windows() -> list[BlackoutWindow]:
    return list(BlackoutWindow.objects.filter(is_active=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedWindow:
    """A blackout window in words. ``until``: when it ends, if it is on now."""

    window: BlackoutWindow
    days: str
    operations: str
    until: datetime | None


def described_windows(*, now: datetime | None = None) -> list[DescribedWindow]:
    """Every blackout window, by name."""
    now = now or timezone.now()
    return [
        DescribedWindow(
            window=window,
            days=_days(window.days),
            operations=", ".join(ScheduledOperation(name).label for name in window.operations) or "Everything",
            until=put_off_until(window.operations[0] if window.operations else "", now, [window])
            if window.is_active
            else None,
        )
        for window in BlackoutWindow.objects.all()
    ]


def _days(days: Sequence[int]) -> str:
    known = {tuple(range(7)): "Every day", tuple(range(5)): "Monday to Friday", (5, 6): "Saturday and Sunday"}
    return known.get(tuple(sorted(days))) or ", ".join(Weekday(day).label for day in sorted(days))
