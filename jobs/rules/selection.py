"""RULES B2-B4: which snapshots a backup copy takes: all, fulls, or the first or last full of each period. Pure.

States that come later (copying, copied, failed) are the job's; what is copied already is not selected again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from .levels import RunLevel
from .periods import FRIDAY, Period, period_end, period_start
from .states import CopyState


class SelectionKind(StrEnum):
    ALL = "all"
    FULLS = "fulls"
    FIRST = "first_full"
    LAST = "last_full"


class Mark(StrEnum):
    """What somebody decided by hand about one snapshot and one copy; it beats the rule."""

    NONE = ""
    PICK = "pick"
    PREVENT = "prevent"


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionRule:
    """RULES B2. ``period`` is needed for the first or last of it; ``starts_at`` None = from the beginning.

    ``defer_days`` is how many times 24 hours a snapshot rests before it is copied. ``week_start``: Monday = 0.
    """

    kind: SelectionKind = SelectionKind.ALL
    period: Period | None = None
    starts_at: datetime | None = None
    defer_days: int = 0
    zone: ZoneInfo
    week_start: int = FRIDAY

    def __post_init__(self) -> None:
        if self.period is None and self.kind in {SelectionKind.FIRST, SelectionKind.LAST}:
            raise ValueError(f"{self.kind} needs a period.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selectable:
    """One snapshot. ``is_excluded``: its subclient is excluded from this copy."""

    id: int
    taken_at: datetime
    level: RunLevel
    mark: Mark = Mark.NONE
    is_excluded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """What the rule makes of one snapshot. ``due_at``: not to be copied, or decided, before; None = at once."""

    state: CopyState
    reason: str
    due_at: datetime | None = None


def select(items: Iterable[Selectable], rule: SelectionRule, *, now: datetime) -> dict[int, Selected]:
    """Every snapshot of one subclient towards one copy: not selected, candidate, to be copied or prevented.

    Pass also what is deleted or copied already: the second full of a week does not become its first because the first
    is gone. A mark changes the marked one only. Asked again later, or with more snapshots, the answer for a closed
    period stays the same.
    """
    ordered = sorted(items, key=lambda item: (item.taken_at.astimezone(UTC), item.id))
    chosen = _of_periods([item for item in ordered if not _refused(item, rule)], rule)
    return {item.id: _decide(item, rule, chosen, now) for item in ordered}


def _decide(item: Selectable, rule: SelectionRule, chosen: set[int], now: datetime) -> Selected:
    if item.mark is Mark.PREVENT:
        return Selected(state=CopyState.PREVENTED, reason="Prevented by hand.")
    if item.mark is Mark.PICK:
        return Selected(state=CopyState.TO_BE_COPIED, reason="Picked by hand.")
    if refused := _refused(item, rule):
        return Selected(state=CopyState.NOT_SELECTED, reason=refused)
    if rule.kind is SelectionKind.ALL:
        return _selected(item, rule, "Every snapshot is copied.")
    if rule.kind is SelectionKind.FULLS or rule.period is None:
        return _selected(item, rule, "Every full is copied.")
    place = "first" if rule.kind is SelectionKind.FIRST else "last"
    if item.id not in chosen:
        reason = f"It is not the {place} full of its {rule.period.words}."
        return Selected(state=CopyState.NOT_SELECTED, reason=reason)
    closes_at = period_end(item.taken_at, rule.period, rule.zone, rule.week_start)
    if rule.kind is SelectionKind.LAST and now < closes_at:
        reason = f"The last full of its {rule.period.words} so far: decided when the {rule.period.words} ends."
        return Selected(state=CopyState.CANDIDATE, reason=reason, due_at=closes_at)
    return _selected(item, rule, f"The {place} full of its {rule.period.words}.")


def _refused(item: Selectable, rule: SelectionRule) -> str:
    """Why the rule does not look at it; empty when it does."""
    if item.is_excluded:
        return "Its subclient is excluded from this copy."
    if rule.starts_at is not None and item.taken_at.astimezone(UTC) < rule.starts_at.astimezone(UTC):
        return "It was taken before the start date of this copy."
    if rule.kind is not SelectionKind.ALL and item.level is not RunLevel.FULL:
        return "Only fulls are copied."
    return ""


def _of_periods(fulls: Sequence[Selectable], rule: SelectionRule) -> set[int]:
    """The first or last of each period; of all others nothing is to be chosen."""
    if rule.period is None or rule.kind not in {SelectionKind.FIRST, SelectionKind.LAST}:
        return set()
    by_period: dict[datetime, list[int]] = {}
    for item in fulls:
        start = period_start(item.taken_at, rule.period, rule.zone, rule.week_start)
        by_period.setdefault(start, []).append(item.id)
    place = 0 if rule.kind is SelectionKind.FIRST else -1
    return {ids[place] for ids in by_period.values()}


def _selected(item: Selectable, rule: SelectionRule, reason: str) -> Selected:
    if not rule.defer_days:
        return Selected(state=CopyState.TO_BE_COPIED, reason=reason)
    due_at = item.taken_at.astimezone(UTC) + timedelta(days=rule.defer_days)
    days = "1 day" if rule.defer_days == 1 else f"{rule.defer_days} days"
    return Selected(state=CopyState.TO_BE_COPIED, reason=f"{reason} Deferred by {days}.", due_at=due_at)
