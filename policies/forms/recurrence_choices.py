"""Simple choices of a recurrence (every so many hours, daily, weekly, monthly) to cron and back, for forms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import time
from typing import Any, Final
from zoneinfo import available_timezones

from django.db import models

from jobs.rules.recurrence import simple_cron

HOURS: Final = (1, 2, 3, 4, 6, 8, 12)
LAST_DAY: Final = -1


class Repeat(models.TextChoices):
    HOURS = "hours", "Every few hours"
    DAILY = "daily", "Daily"
    WEEKLY = "weekly", "Weekly"
    MONTHLY = "monthly", "Monthly"
    CRON = "cron", "Cron expression"


FIELDS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    Repeat.HOURS: ("every_hours", "minute"),
    Repeat.DAILY: ("at",),
    Repeat.WEEKLY: ("days", "at"),
    Repeat.MONTHLY: ("day_of_month", "at"),
    Repeat.CRON: ("cron",),
}
"""The fields that each choice asks for."""

_TIMED: Final = re.compile(r"(?P<minute>\d+) (?P<hour>\d+) (?P<day>\*|L|\d+) \* (?P<days>\*|[0-6](?:,[0-6])*)")
_HOURLY: Final = re.compile(r"(?P<minute>\d+) \*(?:/(?P<hours>\d+))? \* \* \*")


def cron_of(repeat: str, values: Mapping[str, Any]) -> str:
    """The cron expression of cleaned values. Raises ValueError for what ``simple_cron`` does not take."""
    match repeat:
        case Repeat.HOURS:
            return simple_cron(time(0, values["minute"]), every_hours=int(values["every_hours"]))
        case Repeat.DAILY:
            return simple_cron(values["at"])
        case Repeat.WEEKLY:
            return simple_cron(values["at"], days=[int(day) for day in values["days"]])
        case Repeat.MONTHLY:
            return simple_cron(values["at"], day_of_month=int(values["day_of_month"]))
        case _:
            return " ".join(str(values["cron"]).split())


def choices_of(cron: str) -> dict[str, Any]:
    """The form's values that give this expression; as itself when no simple choice does."""
    for found in (_hourly(cron), _timed(cron)):
        if found and cron_of(found["repeat"], found) == cron:
            return found
    return {"repeat": Repeat.CRON.value, "cron": cron}


def zone_choices(*, present: str = "UTC") -> list[tuple[str, str]]:
    """IANA zones by place; the technical ones are left out, but UTC and the one that is chosen at ``present``."""
    places = {name for name in available_timezones() if "/" in name and not name.startswith("Etc/")}
    first = ["UTC"] if present in places | {"UTC"} else ["UTC", present]
    return [(name, name.replace("_", " ")) for name in [*first, *sorted(places)]]


def _hourly(cron: str) -> dict[str, Any] | None:
    found = _HOURLY.fullmatch(cron)
    if not found or int(found["hours"] or 1) not in HOURS or int(found["minute"]) > 59:
        return None
    return {"repeat": Repeat.HOURS.value, "every_hours": int(found["hours"] or 1), "minute": int(found["minute"])}


def _timed(cron: str) -> dict[str, Any] | None:
    found = _TIMED.fullmatch(cron)
    if not found or int(found["minute"]) > 59 or int(found["hour"]) > 23:
        return None
    at = {"at": time(int(found["hour"]), int(found["minute"]))}
    if found["day"] != "*":
        day = LAST_DAY if found["day"] == "L" else int(found["day"])
        is_alone = found["days"] == "*" and (day == LAST_DAY or 1 <= day <= 31)
        return {"repeat": Repeat.MONTHLY.value, "day_of_month": day} | at if is_alone else None
    if found["days"] == "*":
        return {"repeat": Repeat.DAILY.value} | at
    return {"repeat": Repeat.WEEKLY.value, "days": [(int(day) - 1) % 7 for day in found["days"].split(",")]} | at
