"""How fast a medium may be written and read at a moment: a limit, and a calendar of hours with limits of their own.

Pure. A calendar is lines like ``Mon-Fri 08-18: 20 MiB/s`` in local time; the first line that a moment is in decides,
and outside of all lines the medium's own limit does. ``no limit`` lifts it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final

from .cron_slots import zone_of
from .zones import local_moment, wall

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LEAST: Final = 64 << 10
"""Bytes per second. Slower than that no pack arrives before the medium is thought to be gone."""
MOST_LINES: Final = 50

_UNITS: Final = {"b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "kb": 1000, "mb": 10**6, "gb": 10**9}
_LINE: Final = re.compile(
    r"(?P<days>daily|[a-z][a-z, -]*?)\s+"
    r"(?P<start>\d+(?::\d+)?)\s*[-\u2013]\s*(?P<end>\d+(?::\d+)?)\s*:?\s+(?P<rate>\S.*)",
    re.IGNORECASE,
)
_RATE: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[kmg]?i?b)(?:/s)?", re.IGNORECASE)
_NO_LIMIT: Final = ("no limit", "unlimited")
_TIME: Final = re.compile(r"(\d{1,2})(?::(\d{2}))?")
_DAY: Final = timedelta(days=1)
_LOOKS_AHEAD_DAYS: Final = 8


class InvalidCalendarError(ValueError):
    """``sentence`` says which line, and what is wrong with it."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """One line: from ``start`` to ``end`` on ``days`` (Monday = 0), of the next day if not later than ``start``.

    ``bytes_per_second`` None = no limit.
    """

    days: frozenset[int]
    start: time
    end: time
    bytes_per_second: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """The limit of a moment. ``until`` in UTC is when another one begins; None = not within a week."""

    bytes_per_second: int | None
    until: datetime | None


def parse_rate(text: str) -> int | None:
    """Bytes per second of “20 MiB/s”; None of “no limit”. Raises InvalidCalendarError."""
    if text.strip().lower() in _NO_LIMIT:
        return None
    found = _RATE.fullmatch(text.strip())
    if found is None:
        raise InvalidCalendarError(f"“{text.strip()}” is no bandwidth. Write 20 MiB/s, 500 KiB/s or no limit.")
    rate = int(float(found["number"]) * _UNITS[found["unit"].lower()])
    if rate < LEAST:
        raise InvalidCalendarError(f"“{text.strip()}” is too slow for copies. The least is 64 KiB/s.")
    return rate


def rate_text(bytes_per_second: int | None) -> str:
    """As :func:`parse_rate` reads it, exactly: “20 MiB/s”, “no limit”."""
    if bytes_per_second is None:
        return _NO_LIMIT[0]
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if bytes_per_second % size == 0:
            return f"{bytes_per_second // size} {unit}/s"
    return f"{bytes_per_second} B/s"


def parse_calendar(text: str) -> tuple[Hours, ...]:
    """The lines of a calendar; empty lines are left out. Raises InvalidCalendarError."""
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if len(lines) > MOST_LINES:
        raise InvalidCalendarError(f"A calendar has at most {MOST_LINES} lines.")
    return tuple(_parse_line(number, line) for number, line in lines)


def limit_at(moment: datetime, calendar: tuple[Hours, ...], *, otherwise: int | None, zone: str) -> InForce:
    """The limit at a moment, and how long it lasts. ``otherwise`` is the medium's own; ``zone`` an IANA name."""
    now = _rate_at(moment, calendar, otherwise, zone)
    for change in _changes(moment, calendar, zone):
        if _rate_at(change, calendar, otherwise, zone) != now:
            return InForce(bytes_per_second=now, until=change)
    return InForce(bytes_per_second=now, until=None)


def share_of(bytes_per_second: int | None, jobs: int) -> int:
    """What one of ``jobs`` that use a medium at once may take of its limit; 0 = there is none."""
    if bytes_per_second is None:
        return 0
    return max(1, bytes_per_second // max(1, jobs))


def _parse_line(number: int, line: str) -> Hours:
    found = _LINE.fullmatch(line)
    if found is None:
        raise InvalidCalendarError(f"Line {number}, “{line}”: write it like Mon-Fri 08-18: 20 MiB/s.")
    try:
        return Hours(
            days=_parse_days(found["days"]),
            start=_parse_time(found["start"]),
            end=_parse_time(found["end"]),
            bytes_per_second=parse_rate(found["rate"]),
        )
    except InvalidCalendarError as error:
        raise InvalidCalendarError(f"Line {number}: {error.sentence}") from error


def _parse_days(text: str) -> frozenset[int]:
    if text.strip().lower() == "daily":
        return frozenset(range(7))
    days: set[int] = set()
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        begin = _parse_day(first)
        end = _parse_day(last) if dash else begin
        days.update((begin + step) % 7 for step in range((end - begin) % 7 + 1))
    return frozenset(days)


def _parse_day(text: str) -> int:
    names = [day.lower() for day in DAYS]
    if text.lower() not in names:
        raise InvalidCalendarError(f"“{text}” is no day. Days are {', '.join(DAYS)}, or daily.")
    return names.index(text.lower())


def _parse_time(text: str) -> time:
    """24:00 is midnight, as 00:00 is."""
    found = _TIME.fullmatch(text)
    hour, minute = (int(found[1]), int(found[2] or 0)) if found else (99, 0)
    if hour > 24 or minute > 59 or (hour == 24 and minute):
        raise InvalidCalendarError(f"“{text}” is no time of day. Write 08 or 08:30.")
    return time(hour % 24, minute)


def _rate_at(moment: datetime, calendar: tuple[Hours, ...], otherwise: int | None, zone: str) -> int | None:
    for hours in calendar:
        if any(start <= moment < end for start, end in _windows(hours, moment, zone, days=(-1, 0))):
            return hours.bytes_per_second
    return otherwise


def _changes(moment: datetime, calendar: tuple[Hours, ...], zone: str) -> list[datetime]:
    """Moments of the next days at which a line begins or ends, in order."""
    days = tuple(range(-1, _LOOKS_AHEAD_DAYS))
    edges = {edge for hours in calendar for window in _windows(hours, moment, zone, days=days) for edge in window}
    return sorted(edge for edge in edges if edge > moment)


def _windows(hours: Hours, moment: datetime, zone: str, *, days: tuple[int, ...]) -> list[tuple[datetime, datetime]]:
    """(begin, end) in UTC of a line, on the days counted from the moment's. As long as it can be when clocks change."""
    where = zone_of(zone)
    today = wall(moment.astimezone(UTC), where).replace(hour=0, minute=0, second=0, microsecond=0)
    found = []
    for step in days:
        day = today + step * _DAY
        if day.weekday() in hours.days:
            last_day = day + _DAY if hours.end <= hours.start else day
            begin = local_moment(datetime.combine(day, hours.start), where)
            end = local_moment(datetime.combine(last_day, hours.end), where, is_late=True)
            found.append((begin, end))
    return found
