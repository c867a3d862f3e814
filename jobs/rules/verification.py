"""How a schedule becomes “everything is read back within so many days”. Pure; which packs are read is the engine's."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from .recurrence import Recurrence, next_slots, slots_between

_LOOKED_AT: Final = 60
"""So many runs ahead are looked at for the longest time between two."""


def gap_problem(recurrence: Recurrence, *, days: int, after: datetime) -> str:
    """Why everything cannot be read within ``days`` by this recurrence, as a sentence; empty = it can."""
    slots = next_slots(recurrence, after, _LOOKED_AT)
    longest = max((later - earlier for earlier, later in pairwise(slots)), default=timedelta(0))
    if len(slots) > 1 and longest <= timedelta(days=days):
        return ""
    if len(slots) < 2:
        return "It runs only once: nothing can be promised for the time after."
    apart = -(-longest // timedelta(days=1))
    return (
        f"Two runs are up to {apart} days apart, so everything is read within {days} at best by chance. "
        "Let it run more often, or allow more days."
    )


def percent_each(recurrence: Recurrence, *, days: int, after: datetime) -> float:
    """About how much of the data each run reads when all of it is read within ``days``, 0 to 100."""
    runs = len(slots_between(recurrence, after, after + timedelta(days=days)))
    return 100 / max(runs, 1)


def runs_for(percent: float) -> int:
    """Within so many runs everything is read when each reads ``percent`` of it."""
    return max(1, int(-(-100 // percent)))


def coming_seconds(recurrence: Recurrence, *, days: int, after: datetime) -> tuple[int, ...]:
    """The starts of the runs within ``days``, s since the epoch."""
    slots = slots_between(recurrence, after, after + timedelta(days=days))
    return tuple(int(slot.timestamp()) for slot in slots)
