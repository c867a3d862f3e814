"""Whether a subclient is protected, and the sentence that says why not (RULES D1, D2, B10).

D1: "a subclient is protected only when its snapshot *and* its backup copy succeeded within the window".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from .waiting import ALERT_AFTER, OVERDUE_AFTER, OverdueAction, WaitingVerdict, waiting_verdict

WINDOW: Final = timedelta(days=7)
"""The field's default for the service level."""

WAITS_LONG: Final = ALERT_AFTER
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
    holds, None = it holds none. ``oldest_waiting`` is since when the first selected snapshot waits for a copy;
    ``alert_after``, ``overdue_after`` and ``overdue_action`` are the policy's (B10).
    """

    is_active: bool
    snapshot: datetime | None
    copies: Mapping[str, datetime | None]
    oldest_waiting: datetime | None = None
    alert_after: timedelta = WAITS_LONG
    overdue_after: timedelta = OVERDUE_AFTER
    overdue_action: OverdueAction = OverdueAction.ALERT_ONLY


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
    if waits := _waits_too_long(points, now):
        return Verdict(protection=Protection.OVERDUE, reason=waits)
    return Verdict(protection=Protection.PROTECTED, reason="Snapshot and backup copies are within the window.")


def _waits_too_long(points: Points, now: datetime) -> str:
    """RULES B10; '' = it does not."""
    if points.oldest_waiting is None:
        return ""
    waited = now - points.oldest_waiting
    verdict = waiting_verdict(
        selected_at=points.oldest_waiting,
        now=now,
        alert_after=points.alert_after,
        overdue_after=points.overdue_after,
        action=points.overdue_action,
    )
    if verdict is WaitingVerdict.FINE:
        return ""
    overdue = f" That is overdue: over {_days(points.overdue_after)}." if verdict is WaitingVerdict.OVERDUE else ""
    return f"A snapshot has waited {_days(waited)} for its copy.{overdue}"


def _unprotected(reason: str) -> Verdict:
    return Verdict(protection=Protection.UNPROTECTED, reason=reason)


def _days(age: timedelta) -> str:
    if age < timedelta(days=2):
        return f"{age // timedelta(hours=1)} hours"
    return f"{age.days} days"
