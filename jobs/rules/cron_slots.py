"""A cron expression in a time zone as moments, also on the nights when clocks change. Pure.

A time that the clocks jump over comes right after the jump; a time that they show twice comes the first time. Only what
comes every hour, and at least as often as the clocks change by, goes by the time that passes instead: every half hour
stays every half hour. Expressions are read by the library ``cronsim``, which knows wall clocks only here.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from .zones import change_between, local_moment, offset, wall

_LONGEST_CRON: Final = 120
_SECOND: Final = timedelta(seconds=1)
_SOME_DAY: Final = datetime(2024, 1, 1)  # noqa: DTZ001 - a wall clock's time
_EVERY_HOUR: Final = frozenset(range(24))
_PARTS: Final = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day-of-month": "1 to 31 as its months have, or L for the last",
    "month": "1 to 12, or JAN to DEC",
    "day-of-week": "0 to 7 (0 and 7 are Sunday), or SUN to SAT",
}


class InvalidRecurrence(ValueError):
    """``field`` is ``cron`` or ``zone``; ``sentence`` says what is wrong and what is allowed."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field
        self.sentence = sentence


def zone_of(name: str) -> ZoneInfo:
    """The zone of an IANA name. Raises :class:`InvalidRecurrence`."""
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        sentence = f"“{name}” is no time zone: use a name such as Europe/Berlin or UTC."
        raise InvalidRecurrence("zone", sentence) from error


def parse(cron: str, after: datetime = _SOME_DAY) -> CronSim:
    """The wall clock's times after one, all without a zone. Raises :class:`InvalidRecurrence`."""
    parts = cron.split()
    if len(parts) != len(_PARTS) or len(cron) > _LONGEST_CRON:
        sentence = f"“{cron[:_LONGEST_CRON]}” is no cron expression: write minute, hour, day, month and day of week."
        raise InvalidRecurrence("cron", sentence)
    try:
        return CronSim(cron, after)
    except CronSimError as error:
        name = str(error).removeprefix("Bad ")
        written = dict(zip(_PARTS, parts, strict=True))[name]
        sentence = f"The {name.replace('-', ' ')} “{written}” of the cron expression is wrong: use {_PARTS[name]}."
        raise InvalidRecurrence("cron", sentence) from error


def slots(cron: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """The moments later than ``after``, in UTC, each once and in order; ends after 50 years without one."""
    last = after.astimezone(UTC)
    found = _by_time_passed if _goes_by_time_passed(cron, zone, last) else _by_wall_clock
    for slot in found(cron, zone, last):
        if slot > last:
            last = slot
            yield slot


def _goes_by_time_passed(cron: str, zone: ZoneInfo, around: datetime) -> bool:
    parsed = parse(cron)
    if parsed.hours != _EVERY_HOUR:
        return False
    minutes = sorted(parsed.minutes)
    steps = [later - earlier for earlier, later in zip(minutes, [*minutes[1:], minutes[0] + 60], strict=True)]
    offsets = [offset(around + timedelta(days=15 * half_month), zone) for half_month in range(24)]
    return timedelta(minutes=min(steps)) <= max(offsets) - min(offsets)


def _by_wall_clock(cron: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    for naive in parse(cron, wall(after, zone)):
        yield local_moment(naive, zone)


def _by_time_passed(cron: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """Between two changes of clocks the wall clock and the time that passes agree: one such stretch after the other."""
    start, position = after, wall(after, zone)
    while True:
        ahead = offset(start, zone)
        for naive in parse(cron, position):
            slot = (naive - ahead).replace(tzinfo=UTC)
            if offset(slot, zone) != ahead:
                break
            yield slot
        else:
            return
        start = change_between(start, slot, zone)
        position = wall(start, zone) - _SECOND
