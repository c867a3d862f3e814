"""When schedules run next, and what keeps them from it: the configuration seen through the rules of recurrence."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import QuerySet

from jobs.rules.recurrence import Blackout, blackout_until, jitter_seconds, next_slots
from policies.models import BlackoutWindow, Schedule


def schedules() -> QuerySet[Schedule]:
    """With all that the pages say of what they are of."""
    return Schedule.objects.select_related(
        "policy", "file_server", "subclient__file_server", "copy__policy", "media"
    ).order_by("name")


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
