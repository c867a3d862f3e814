"""Hours, days, weeks, months, quarters, half-years and years in a time zone (RULES B2, B3, R3). Pure.

Periods follow each other without gap or overlap, also when clocks change: a day is from local midnight to local
midnight, 23 to 25 hours long; an hour begins when the clocks show a full hour, or when they change.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from .zones import change_between, local_moment, offset, wall

FRIDAY: Final = 4
"""The field's default for the start of a week (RULES B3)."""

_HOUR: Final = timedelta(hours=1)


class Period(StrEnum):
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    HALF_YEAR = "half_year"
    YEAR = "year"

    @property
    def words(self) -> str:
        """As people say it: “half-year”."""
        return self.value.replace("_", "-")


_MONTHS: Final = {Period.MONTH: 1, Period.QUARTER: 3, Period.HALF_YEAR: 6, Period.YEAR: 12}


def period_start(moment: datetime, period: Period, zone: ZoneInfo, week_start: int = FRIDAY) -> datetime:
    """When the period that ``moment`` is in begins, in UTC. ``week_start`` counts from Monday = 0."""
    if period is Period.HOUR:
        return _hour_start(moment, zone)
    return local_moment(_first_day(wall(moment, zone), period, week_start), zone)


def period_end(moment: datetime, period: Period, zone: ZoneInfo, week_start: int = FRIDAY) -> datetime:
    """When the next period begins, in UTC: the first moment that is no longer in this one."""
    if period is Period.HOUR:
        return _hour_end(moment, zone)
    first = _first_day(wall(moment, zone), period, week_start)
    if period is Period.DAY:
        following = first + timedelta(days=1)
    elif period is Period.WEEK:
        following = first + timedelta(days=7)
    else:
        months = first.month - 1 + _MONTHS[period]
        following = first.replace(year=first.year + months // 12, month=months % 12 + 1)
    return local_moment(following, zone)


def _first_day(local: datetime, period: Period, week_start: int) -> datetime:
    day = datetime(local.year, local.month, local.day)  # noqa: DTZ001 - a wall clock's time
    if period is Period.DAY:
        return day
    if period is Period.WEEK:
        return day - timedelta(days=(day.weekday() - week_start) % 7)
    return day.replace(day=1, month=(day.month - 1) // _MONTHS[period] * _MONTHS[period] + 1)


def _hour_start(moment: datetime, zone: ZoneInfo) -> datetime:
    local = wall(moment, zone)
    into = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    start = moment.astimezone(UTC) - into
    return start if offset(start, zone) == offset(moment, zone) else change_between(start, moment, zone)


def _hour_end(moment: datetime, zone: ZoneInfo) -> datetime:
    local = wall(moment, zone)
    left = _HOUR - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    end = moment.astimezone(UTC) + left
    return end if offset(end, zone) == offset(moment, zone) else change_between(moment, end, zone)
