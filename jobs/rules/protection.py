"""Whether a subclient is protected, and the sentence that says why not (RULES D1, D2, B10).

D1: "a subclient is protected only when its snapshot *and* its backup copy succeeded within the window".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

WINDOW: Final = timedelta(days=7)
"""The field's default for the service level."""

WAITS_LONG: Final = timedelta(hours=48)
"""B10: alert when a selected snapshot waits longer."""


class Protection(StrEnum):
    PROTECTED = "protected"
    OVERDUE = "overdue"
    """The snapshot is recent, a backup copy of it is not."""
    UNPROTECTED = "unprotected"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Recovery points of one subclient. ``copies`` maps each active backup copy to the time of the newest snapshot it
    holds, None = it holds none. ``oldest_waiting`` is the time of the oldest snapshot that still waits for a copy.
    """

    is_active: bool
    snapshot: datetime | None
    copies: Mapping[str, datetime | None]
    oldest_waiting: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    protection: Protection
    reason: str


def judge(points: Points, *, now: datetime, window: timedelta = WINDOW) -> Verdict:
    """The state of one subclient now. ``window`` is how old a good snapshot and its copies may be."""
    if not points.is_active:
        return Verdict(protection=Protection.INACTIVE, reason="It is switched off: nothing runs for it.")
    if points.snapshot is None:
        return _unprotected("No snapshot was taken yet.")
    if now - points.snapshot > window:
        return _unprotected(f"The newest snapshot is {_days(now - points.snapshot)} old.")
    if not points.copies:
        return _unprotected("Its policy has no active backup copy, so there are snapshots only.")
    never = sorted(name for name, point in points.copies.items() if point is None)
    if len(never) == len(points.copies):
        return _unprotected("No snapshot was copied to media yet.")
    if never:
        return Verdict(protection=Protection.OVERDUE, reason=f"Never copied to {', '.join(never)}.")
    late = {name: now - point for name, point in points.copies.items() if point and now - point > window}
    if late:
        name = max(late, key=lambda copy: late[copy])
        return Verdict(protection=Protection.OVERDUE, reason=f"The newest data on {name} is {_days(late[name])} old.")
    if points.oldest_waiting is not None and now - points.oldest_waiting > WAITS_LONG:
        waited = _days(now - points.oldest_waiting)
        return Verdict(protection=Protection.OVERDUE, reason=f"A snapshot has waited {waited} for its copy.")
    return Verdict(protection=Protection.PROTECTED, reason="Snapshot and backup copies are within the window.")


def _unprotected(reason: str) -> Verdict:
    return Verdict(protection=Protection.UNPROTECTED, reason=reason)


def _days(age: timedelta) -> str:
    if age < timedelta(days=2):
        return f"{age // timedelta(hours=1)} hours"
    return f"{age.days} days"
