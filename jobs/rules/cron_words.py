"""Cron expressions from plain choices, and plain words for cron expressions. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from datetime import time
from typing import Final

from .cron_slots import InvalidRecurrence, parse

DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SYMBOLS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


def simple_cron(
    at: time | None = None,
    *,
    days: Collection[int] = (),
    day_of_month: int | None = None,
    every_minutes: int | None = None,
    every_hours: int | None = None,
) -> str:
    """A cron expression for what people choose most.

    ``every_minutes``: a divisor of 60; ``every_hours``: a divisor of 24, at the minute of ``at``. Else at the time
    ``at`` (None = midnight) on ``days`` (Monday = 0), or on ``day_of_month`` (-1 = the last), or every day.
    ValueError: a choice that does not exist.
    """
    minute = 0 if at is None else at.minute
    if every_minutes is not None:
        return f"{_step(every_minutes, 60)} * * * *"
    if every_hours is not None:
        return f"{minute} {_step(every_hours, 24)} * * *"
    moment = f"{minute} {0 if at is None else at.hour}"
    if day_of_month is not None:
        if day_of_month != -1 and not 1 <= day_of_month <= 31:
            raise ValueError("The day of the month is 1 to 31, or -1 for the last.")
        return f"{moment} {'L' if day_of_month == -1 else day_of_month} * *"
    if not set(days) <= set(range(7)):
        raise ValueError("Days count from 0 = Monday to 6 = Sunday.")
    if len(set(days)) in {0, 7}:
        return f"{moment} * * *"
    return f"{moment} * * {','.join(str((day + 1) % 7) for day in sorted(set(days)))}"


def describe(cron: str) -> str:
    """In plain words, as “every day at 20:00”, when it is simple; else, or when it is wrong, the expression itself."""
    try:
        parse(cron)
    except InvalidRecurrence:
        return cron
    written = " ".join(cron.upper().split())
    for pattern, words in _PATTERNS:
        if match := pattern.fullmatch(written):
            return words(*match.groups()) or cron
    return cron


def _step(every: int, whole: int) -> str:
    if every < 1 or whole % every:
        raise ValueError(f"{every} does not divide {whole}: the steps would not be equal.")
    return "*" if every == 1 else f"*/{every}" if every < whole else "0"


def _every_minutes(step: str | None) -> str:
    """Empty when the steps are not equal."""
    every = int(step or 1)
    if 60 % every:
        return ""
    return "every minute" if every == 1 else f"every {every} minutes"


def _every_hours(minute: str, step: str | None) -> str:
    every = int(step or 1)
    if 24 % every:
        return ""
    past = "" if int(minute) == 0 else f" at minute {int(minute)}"
    return f"every hour{past}" if every == 1 else f"every {every} hours{past}"


def _daily(minute: str, hours: str) -> str:
    return f"every day at {_times(minute, hours)}"


def _weekly(minute: str, hours: str, days: str) -> str:
    return f"{_days(days)} at {_times(minute, hours)}"


def _monthly(minute: str, hours: str, day: str) -> str:
    named = "the last day" if day == "L" else f"day {int(day)}"
    return f"on {named} of every month at {_times(minute, hours)}"


def _times(minute: str, hours: str) -> str:
    return _listed([f"{hour:02d}:{int(minute):02d}" for hour in sorted(map(int, hours.split(",")))])


def _days(written: str) -> str:
    """“every Friday”, “Monday to Friday”, “every day”."""
    first, dash, last = written.partition("-")
    if not dash:
        return f"every {_listed([DAYS[day] for day in sorted({_day(name) for name in written.split(',')})])}"
    days = [(number - 1) % 7 for number in range(_number(first), _number(last) + 1)]
    if len(set(days)) == 7:
        return "every day"
    return f"every {DAYS[days[0]]}" if len(days) == 1 else f"{DAYS[days[0]]} to {DAYS[days[-1]]}"


def _number(name: str) -> int:
    """As cron counts: Sunday = 0 or 7."""
    return _SYMBOLS.index(name) if name in _SYMBOLS else int(name)


def _day(name: str) -> int:
    return (_number(name) - 1) % 7


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


_MINUTE: Final = r"([0-5]?\d)"
_HOURS: Final = r"((?:[01]?\d|2[0-3])(?:,(?:[01]?\d|2[0-3]))*)"
_NAME: Final = rf"(?:[0-7]|{'|'.join(_SYMBOLS)})"
_PATTERNS: Final[list[tuple[re.Pattern[str], Callable[..., str]]]] = [
    (re.compile(r"\*(?:/(\d+))? \* \* \* \*"), _every_minutes),
    (re.compile(rf"{_MINUTE} \*(?:/(\d+))? \* \* \*"), _every_hours),
    (re.compile(rf"{_MINUTE} {_HOURS} \* \* \*"), _daily),
    (re.compile(rf"{_MINUTE} {_HOURS} \* \* ({_NAME}-{_NAME}|{_NAME}(?:,{_NAME})*)"), _weekly),
    (re.compile(rf"{_MINUTE} {_HOURS} (L|[1-9]|[12]\d|3[01]) \* \*"), _monthly),
]
