"""Windows of the week in which no scheduled job starts. Pure. What runs already goes on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final

from .cron_slots import zone_of
from .zones import local_moment, wall

_DAY: Final = timedelta(days=1)

LOOKS_AHEAD: Final = timedelta(days=14)
"""Windows that leave no gap are over after this long: then it is asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blackout:
    """From ``start`` to ``end`` on local ``days`` (Monday = 0) of an IANA zone; ``end`` itself is free again.

    When ``end`` is not later than ``start`` it is of the next day; the window belongs to the day it starts on. On the
    nights when clocks change it is as long as it can be. Raises :class:`~.cron_slots.InvalidRecurrence`.
    """

    days: frozenset[int]
    start: time
    end: time
    zone: str

    def __post_init__(self) -> None:
        zone_of(self.zone)

    def end_after(self, moment: datetime) -> datetime | None:
        """When the window that ``moment`` is in ends, in UTC; None = it is in none."""
        zone = zone_of(self.zone)
        today = wall(moment, zone).replace(hour=0, minute=0, second=0, microsecond=0)
        for day in (today - _DAY, today):
            if day.weekday() not in self.days:
                continue
            last_day = day + _DAY if self.end <= self.start else day
            start = local_moment(datetime.combine(day, self.start), zone)
            end = local_moment(datetime.combine(last_day, self.end), zone, is_late=True)
            if start <= moment < end:
                return end
        return None


def blackout_until(moment: datetime, windows: Iterable[Blackout]) -> datetime | None:
    """When all windows that ``moment`` is in, and those that follow without a gap, are over, in UTC; None = in none."""
    known = list(windows)
    until = moment.astimezone(UTC)
    while until - moment < LOOKS_AHEAD:
        ends = [end for window in known if (end := window.end_after(until)) is not None]
        if not ends:
            break
        until = max(ends)
    return until if until > moment else None
