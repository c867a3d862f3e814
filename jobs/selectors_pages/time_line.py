"""The time line of a subclient around one point: months and days that have points, times of its day, its neighbours.

Bounded however many points there are: one point a month, and those of a single month.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby

from django.db.models import Q
from django.db.models.functions import TruncMonth
from django.utils import timezone

from jobs.models import CatalogState, Snapshot
from jobs.selectors_pages.restore import restore_points


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A month, a day or a time to go to: the number of its newest point."""

    at: datetime
    point: int
    is_here: bool
    is_catalogued: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLine:
    """``earlier`` and ``later`` are numbers of points, None = this is the first or the last."""

    months: Sequence[Stop]
    days: Sequence[Stop]
    times: Sequence[Stop]
    earlier: int | None
    later: int | None


def time_line(point: Snapshot) -> TimeLine:
    """In the current time zone; months and times newest first, days as in a calendar. Four queries."""
    here = timezone.localtime(point.taken_at)
    start = here.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = _first_of_next_month(start)
    points = restore_points(point.subclient)
    inside = points.filter(taken_at__gte=start, taken_at__lt=following).order_by("taken_at", "pk")
    rows = [
        (timezone.localtime(taken_at), pk, state)
        for taken_at, pk, state in inside.values_list("taken_at", "pk", "catalog_state")
    ]
    earlier = Q(taken_at__lt=point.taken_at) | Q(taken_at=point.taken_at, pk__lt=point.pk)
    later = Q(taken_at__gt=point.taken_at) | Q(taken_at=point.taken_at, pk__gt=point.pk)
    return TimeLine(
        months=_months(point, here),
        days=[
            Stop(at=of_day[-1][0], point=of_day[-1][1], is_here=day == here.date())
            for day, of_day in ((day, list(group)) for day, group in groupby(rows, key=_day))
        ],
        times=[
            Stop(at=at, point=pk, is_here=pk == point.pk, is_catalogued=state == CatalogState.DONE)
            for at, pk, state in reversed(rows)
            if at.date() == here.date()
        ],
        earlier=points.filter(earlier).values_list("pk", flat=True).first(),
        later=points.filter(later).order_by("taken_at", "pk").values_list("pk", flat=True).first(),
    )


def _months(point: Snapshot, here: datetime) -> list[Stop]:
    points = restore_points(point.subclient).annotate(month=TruncMonth("taken_at"))
    newest = points.order_by("-month", "-taken_at", "-pk").distinct("month").values_list("month", "pk")
    return [
        Stop(at=month, point=pk, is_here=(month.year, month.month) == (here.year, here.month)) for month, pk in newest
    ]


def _day(row: tuple[datetime, int, str]) -> date:
    return row[0].date()


def _first_of_next_month(start: datetime) -> datetime:
    return (start + timedelta(days=32)).replace(day=1)
