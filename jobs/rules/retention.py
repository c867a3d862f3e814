"""RULES R1-R3 and R5-R8: which backup copies and snapshots are aged now, and until when the others stay. Pure.

Here is only the judgement of one chain (one subclient and copy). Marking and pruning are jobs (R4).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from .holds import Claim, Hold, Verdict, guards, judge
from .levels import RunLevel, restore_chain
from .periods import FRIDAY, Period, period_start

__all__ = [
    "BackupItem",
    "BackupRule",
    "Extended",
    "Hold",
    "SnapItem",
    "SnapRule",
    "Verdict",
    "age_backups",
    "age_snapshots",
    "limit_warning",
]

MOST_EXTENDED: Final = 3
WARN_PERCENT: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Extended:
    """RULES R3: keeps the first or last full of each period. ``days`` None = for ever."""

    period: Period
    pick: Literal["first", "last"] = "first"
    days: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupRule:
    """RULES R1: days *and* cycles; either None = for ever. ValueError: extended rules that R3 does not allow."""

    days: int | None = 30
    cycles: int | None = 1
    extended: tuple[Extended, ...] = ()

    def __post_init__(self) -> None:
        if len(self.extended) > MOST_EXTENDED:
            raise ValueError(f"At most {MOST_EXTENDED} extended rules are allowed.")
        if self.extended and self.days is None:
            raise ValueError("What is kept for ever anyway needs no extended rule.")
        if any(rule.days is not None and rule.days <= (self.days or 0) for rule in self.extended):
            raise ValueError("An extended rule must keep longer than the basic rule.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupItem:
    """One backup copy on media. ``is_complete`` False: it did not succeed as a whole, so as a full it opens no cycle.

    ``is_pinned`` without ``pinned_until`` = until somebody unpins it. ``is_locked_until``: the medium's own lock.
    ``is_in_use``: a running job reads it. ``holds``: what else holds it now, as a copy that it still has to feed (R5).
    """

    id: int
    started_at: datetime
    level: RunLevel
    is_complete: bool = True
    is_pinned: bool = False
    pinned_until: datetime | None = None
    is_locked_until: datetime | None = None
    is_in_use: bool = False
    holds: tuple[Hold, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapRule:
    """RULES R2: days, or a number of snapshots from 1, never both (ValueError); neither = for ever."""

    days: int | None = None
    count: int | None = None

    def __post_init__(self) -> None:
        if self.days is not None and self.count is not None:
            raise ValueError("Snapshots are kept for days or by their number, never both.")
        if self.count is not None and self.count < 1:
            raise ValueError("The number of snapshots that are kept is at least 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapItem:
    """One snapshot that is present. ``holds``: what holds it now (R5, R6); ``pinned_until`` = “retain until”."""

    id: int
    taken_at: datetime
    holds: tuple[Hold, ...] = ()
    pinned_until: datetime | None = None


def age_backups(
    items: Iterable[BackupItem],
    rule: BackupRule,
    *,
    now: datetime,
    zone: ZoneInfo,
    week_start: int = FRIDAY,
    is_off: bool = False,
    is_frozen: bool = False,
    is_chained: bool = False,
) -> dict[int, Verdict]:
    """RULES R1, R3, R6 and R7 for all backup copies of one subclient and copy that are on media.

    A cycle is a full and everything after it until the next full; it ages as a whole, by the start of its last job.
    An extended rule, a pin, a lock and a job hold single copies. ``is_chained``: they cannot be restored without
    those they are built on, as dumps; then these are held with them.
    """
    ordered = sorted(items, key=lambda item: (item.started_at.astimezone(UTC), item.id))
    cycles = _cycles(ordered)
    own = {item.id: _own_claims(item) for item in ordered}
    for full, claims in _extended_claims(ordered, rule, zone, week_start):
        own[full].extend(claims)
    if is_chained:
        _hold_bases(cycles, own, now)
    stop = guards(is_off=is_off, is_frozen=is_frozen)
    reason = _aged_reason(rule)
    verdicts = {}
    for position, cycle in enumerate(cycles):
        basic = _basic_claims(cycles, position, rule)
        for item in cycle:
            verdicts[item.id] = judge([*stop, *own[item.id], *basic], now=now, aged_reason=reason)
    return verdicts


def age_snapshots(
    items: Iterable[SnapItem], rule: SnapRule, *, now: datetime, is_off: bool = False, is_frozen: bool = False
) -> dict[int, Verdict]:
    """RULES R2 and R5-R7 for all snapshots of one subclient and snap copy that are present."""
    ordered = sorted(items, key=lambda item: (item.taken_at.astimezone(UTC), item.id))
    stop = guards(is_off=is_off, is_frozen=is_frozen)
    reason = f"Older than {_days(rule.days or 0)}." if rule.count is None else f"{rule.count} newer ones are kept."
    verdicts = {}
    for position, item in enumerate(ordered):
        held = [Claim(hold=hold) for hold in item.holds]
        if item.pinned_until is not None:
            held.append(Claim(hold=Hold.PINNED, until=item.pinned_until))
        claims = [*stop, *held, _snap_claim(ordered, position, rule)]
        verdicts[item.id] = judge(claims, now=now, aged_reason=reason)
    return verdicts


def limit_warning(*, present: int, limit: int | None) -> str:
    """RULES R8: a sentence from 80 % of the engine's limit on; empty below, or when there is no limit."""
    if not limit or present * 100 < limit * WARN_PERCENT:
        return ""
    if present >= limit:
        return f"All {limit:,} snapshots that the storage allows are taken: the next one will be refused."
    return f"{present:,} of the {limit:,} snapshots that the storage allows are taken."


def _cycles(ordered: Sequence[BackupItem]) -> list[list[BackupItem]]:
    """Oldest first. What is older than the first successful full is a group of its own."""
    cycles: list[list[BackupItem]] = []
    for item in ordered:
        if not cycles or (item.level is RunLevel.FULL and item.is_complete):
            cycles.append([item])
        else:
            cycles[-1].append(item)
    return cycles


def _basic_claims(cycles: Sequence[Sequence[BackupItem]], position: int, rule: BackupRule) -> list[Claim]:
    """R1: days from the last job of the cycle, and until as many newer fulls succeeded as cycles are kept."""
    if rule.days is None or rule.cycles is None:
        return [Claim(hold=Hold.INFINITE)]
    last = cycles[position][-1].started_at.astimezone(UTC)
    until = last + timedelta(days=rule.days)
    claims = [Claim(hold=Hold.DAYS, until=until, reason=f"{_days(rule.days)} from the last job of its cycle.")]
    pushed_by = position + rule.cycles
    if pushed_by < len(cycles):
        claims.append(Claim(hold=Hold.CYCLES, until=cycles[pushed_by][0].started_at))
    else:
        missing = pushed_by - len(cycles) + 1
        fulls = "1 more full succeeds" if missing == 1 else f"{missing} more fulls succeed"
        claims.append(Claim(hold=Hold.CYCLES, reason=f"Its cycle is kept until {fulls}."))
    return claims


def _own_claims(item: BackupItem) -> list[Claim]:
    claims = [Claim(hold=hold) for hold in item.holds]
    if item.is_in_use:
        claims.append(Claim(hold=Hold.RUNNING))
    if item.is_pinned or item.pinned_until is not None:
        claims.append(Claim(hold=Hold.PINNED, until=item.pinned_until))
    if item.is_locked_until is not None:
        claims.append(Claim(hold=Hold.LOCKED, until=item.is_locked_until))
    return claims


def _extended_claims(
    ordered: Sequence[BackupItem], rule: BackupRule, zone: ZoneInfo, week_start: int
) -> Iterable[tuple[int, list[Claim]]]:
    """R3: of each period its first or last successful full."""
    fulls = [item for item in ordered if item.level is RunLevel.FULL and item.is_complete]
    for extended in rule.extended:
        chosen: dict[datetime, BackupItem] = {}
        for item in fulls if extended.pick == "last" else reversed(fulls):
            chosen[period_start(item.started_at, extended.period, zone, week_start)] = item
        reason = f"The {extended.pick} full of its {extended.period.words}"
        for item in chosen.values():
            if extended.days is None:
                yield item.id, [Claim(hold=Hold.EXTENDED, reason=f"{reason} is kept for ever.")]
            else:
                until = item.started_at.astimezone(UTC) + timedelta(days=extended.days)
                kept = f"{reason} is kept {_days(extended.days)}."
                yield item.id, [Claim(hold=Hold.EXTENDED, until=until, reason=kept)]


def _hold_bases(cycles: Sequence[Sequence[BackupItem]], own: dict[int, list[Claim]], now: datetime) -> None:
    """R6: what a held copy is built on is held as long."""
    for cycle in cycles:
        if cycle[0].level is not RunLevel.FULL:
            continue
        numbers: list[int] = []
        for index, item in enumerate(cycle):
            numbers.append(_number(item.level, numbers))
            held = [claim for claim in own[item.id] if claim.lasts(now) and claim.hold is not Hold.BASE]
            for base in restore_chain(numbers, index)[:-1]:
                own[cycle[base].id] += [Claim(hold=Hold.BASE, until=claim.until) for claim in held]


def _number(level: RunLevel, before: Sequence[int]) -> int:
    if level is RunLevel.FULL:
        return 0
    return 1 if level is RunLevel.DIFFERENTIAL else before[-1] + 1


def _snap_claim(ordered: Sequence[SnapItem], position: int, rule: SnapRule) -> Claim:
    if rule.days is not None:
        until = ordered[position].taken_at.astimezone(UTC) + timedelta(days=rule.days)
        return Claim(hold=Hold.DAYS, until=until, reason=f"Kept {_days(rule.days)}.")
    if rule.count is None:
        return Claim(hold=Hold.INFINITE)
    if position + rule.count < len(ordered):
        return Claim(hold=Hold.SNAPSHOTS, until=ordered[position + rule.count].taken_at)
    return Claim(hold=Hold.SNAPSHOTS, reason=f"It is among the newest {rule.count} snapshots.")


def _aged_reason(rule: BackupRule) -> str:
    cycles = "1 newer cycle is" if rule.cycles == 1 else f"{rule.cycles} newer cycles are"
    return f"Its cycle is older than {_days(rule.days or 0)}, and {cycles} kept."


def _days(days: int) -> str:
    return "1 day" if days == 1 else f"{days} days"
