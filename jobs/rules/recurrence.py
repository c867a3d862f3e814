"""When a schedule is due: its slots in UTC, what was missed, and how starts are spread. Pure.

How a cron expression becomes moments is in :mod:`.cron_slots`, its words in :mod:`.cron_words`, windows in which
nothing starts in :mod:`.blackout`; their names can be had from here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Final

from .blackout import Blackout, blackout_until
from .cron_slots import InvalidRecurrence, parse, slots, zone_of
from .cron_words import describe, simple_cron

__all__ = [
    "Blackout",
    "Due",
    "InvalidRecurrence",
    "Recurrence",
    "blackout_until",
    "describe",
    "due",
    "jitter_seconds",
    "next_slots",
    "simple_cron",
    "slots_between",
    "zone_of",
]

MOST_SLOTS: Final = 1000
"""How many slots one question answers at most, and how far missed ones are counted."""

GRACE: Final = timedelta(minutes=5)
"""A slot that is found later than this was missed."""

_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """``cron``: five parts, minute to day of week. ``zone``: an IANA name. Raises :class:`InvalidRecurrence`."""

    cron: str
    zone: str

    def __post_init__(self) -> None:
        zone_of(self.zone)
        if next(parse(self.cron), None) is None:
            sentence = f"“{self.cron}” never comes: no day is all of these. Change the day, month or day of week."
            raise InvalidRecurrence("cron", sentence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """``slot`` to run now, None = nothing. ``missed`` slots are not run, counted up to 1,000.

    ``latest`` is the newest slot that was looked at: what to remember as the last one, whether it runs or not.
    """

    slot: datetime | None = None
    missed: int = 0
    latest: datetime | None = None


def next_slots(recurrence: Recurrence, after: datetime, count: int) -> list[datetime]:
    """The next ``count`` slots later than ``after``, in UTC."""
    return list(islice(slots(recurrence.cron, zone_of(recurrence.zone), after), count))


def slots_between(
    recurrence: Recurrence, after: datetime, until: datetime, *, most: int = MOST_SLOTS
) -> list[datetime]:
    """The slots in (``after``, ``until``], in UTC, oldest first, at most ``most``."""
    later = slots(recurrence.cron, zone_of(recurrence.zone), after)
    return list(islice(takewhile(lambda slot: slot <= until, later), most))


def due(
    *, recurrence: Recurrence, last_slot: datetime | None, now: datetime, missed: str, grace: timedelta = GRACE
) -> Due:
    """Whether to run now. After an outage ``catch_up`` runs the newest missed slot once, ``skip`` waits for the next.

    ``last_slot``: the newest one dealt with, or when the schedule was switched on; None = only look back ``grace``.
    """
    passed = slots_between(recurrence, now - grace if last_slot is None else last_slot, now)
    if not passed:
        return Due()
    latest = passed[-1] if len(passed) < MOST_SLOTS else _latest(recurrence, passed[-1], now)
    if missed == "skip" and now - latest > grace:
        return Due(missed=len(passed), latest=latest)
    return Due(slot=latest, missed=len(passed) - 1, latest=latest)


def jitter_seconds(schedule_id: int, slot: datetime, most: int) -> int:
    """How much later, from 0 to ``most`` seconds, this slot of this schedule starts: always the same."""
    text = f"{schedule_id} {slot.astimezone(UTC).isoformat()}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % (most + 1)


def _latest(recurrence: Recurrence, known: datetime, now: datetime) -> datetime:
    """The newest slot up to ``now`` of a schedule that comes often, without going through all since ``known``."""
    reach = _HOUR
    while now - reach > known and not (found := slots_between(recurrence, now - reach, now)):
        reach *= 4
    if now - reach > known:
        known = found[-1]
    while passed := slots_between(recurrence, known, now):
        known = passed[-1]
    return known
