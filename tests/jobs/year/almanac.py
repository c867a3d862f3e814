"""Local days of the simulated year: when a schedule comes, which week or month a moment is in. Plain loops over days.

Written from RULES B2 and B3 and the sentences on clock changes, without the product's own calendar, so that both can
be compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """At ``hour:minute`` of the zone's clocks, on the given months, days of the month and weekdays (Monday = 0).

    Empty = every one. Only days or weekdays may be given, not both.
    """

    zone: str
    hour: int
    minute: int
    months: tuple[int, ...] = ()
    days: tuple[int, ...] = ()
    weekdays: tuple[int, ...] = ()

    @property
    def cron(self) -> str:
        """As the product takes it."""
        return f"{self.minute} {self.hour} {_list(self.days)} {_list(self.months)} {_list(_cron_days(self.weekdays))}"

    def moments(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """All in (``start``, ``end``), in UTC."""
        day = start.date() - _DAY
        while day <= end.date() + _DAY:
            if self._is_on(day):
                moment = clock_time(day, time(self.hour, self.minute), ZoneInfo(self.zone))
                if start < moment < end:
                    yield moment
            day += _DAY

    def _is_on(self, day: date) -> bool:
        return (
            (not self.months or day.month in self.months)
            and (not self.days or day.day in self.days)
            and (not self.weekdays or day.weekday() in self.weekdays)
        )


def clock_time(day: date, at: time, zone: ZoneInfo) -> datetime:
    """In UTC: the first time that the clocks show it; if they jump over it, the moment after the jump."""
    naive = datetime.combine(day, at)
    while True:
        moment = naive.replace(tzinfo=zone, fold=0).astimezone(UTC)
        if moment.astimezone(zone).replace(tzinfo=None) == naive:
            return moment
        naive += _MINUTE


def period_of(moment: datetime, period: str, zone: ZoneInfo, week_start: int) -> tuple[int, ...]:
    """What names the week, month ... that a moment is in: equal exactly for moments of the same one."""
    day = moment.astimezone(zone).date()
    match period:
        case "day":
            return (day.toordinal(),)
        case "week":
            return ((day - timedelta(days=(day.weekday() - week_start) % 7)).toordinal(),)
        case "month":
            return (day.year, day.month)
        case "quarter":
            return (day.year, (day.month - 1) // 3)
        case "half_year":
            return (day.year, (day.month - 1) // 6)
        case _:
            return (day.year,)


def _list(values: tuple[int, ...]) -> str:
    return ",".join(map(str, values)) or "*"


def _cron_days(weekdays: tuple[int, ...]) -> tuple[int, ...]:
    return tuple((day + 1) % 7 for day in weekdays)
