"""Local times as moments: what a wall clock's time is in UTC on the nights when clocks change. Pure.

Everything handed out is in UTC, because two values in the same zone are compared by their wall clocks, not as moments.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

_SECOND: Final = timedelta(seconds=1)


def offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    """How far the zone's clocks are ahead of UTC at a moment."""
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def wall(moment: datetime, zone: ZoneInfo) -> datetime:
    """What the zone's clocks show at a moment, without a zone."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def local_moment(naive: datetime, zone: ZoneInfo, *, is_late: bool = False) -> datetime:
    """When the zone's clocks show ``naive``; in UTC.

    A time that the clocks jump over = the moment of the jump. A time that they show twice = the first, with
    ``is_late`` the second.
    """
    first = naive.replace(tzinfo=zone, fold=0)
    second = naive.replace(tzinfo=zone, fold=1)
    early, late = first.astimezone(UTC), second.astimezone(UTC)
    if early > late:
        return change_between(late, early, zone)
    return late if is_late else early


def change_between(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """The moment, to the second, of the change of clocks in (``low``, ``high``], whose offsets differ; in UTC."""
    before = offset(low, zone)
    low, high = low.astimezone(UTC).replace(microsecond=0), high.astimezone(UTC)
    while high - low > _SECOND:
        middle = low + timedelta(seconds=(high - low) // _SECOND // 2)
        if offset(middle, zone) == before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)
