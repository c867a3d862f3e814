"""The model's retention: what is over by days, cycles, numbers and extended rules, and what a spool gives up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from .almanac import period_of
from .model_rows import AWAITED, WAITS, Snap
from .plan import WEEK_START, ZONE, BackupPlan, ExtendedPlan, PolicyPlan

_HERE = ZoneInfo(ZONE)


def over_snapshots(policy: PolicyPlan, snaps: Sequence[Snap], now: datetime) -> list[Snap]:
    """R2: older than so many days, or so many newer ones are there."""
    there = [snap for snap in snaps if snap.present and not snap.is_going]
    if policy.snap_days is not None:
        return [snap for snap in there if snap.taken + timedelta(days=policy.snap_days) <= now]
    if policy.snap_count is not None:
        return there[: max(0, len(there) - policy.snap_count)]
    return []


def aged_backups(backup: BackupPlan, snaps: Sequence[Snap], now: datetime, *, busy: Snap | None) -> list[Snap]:
    """R1, R3, R6: a cycle ages as a whole when its days are over and enough newer cycles are there."""
    if backup.days is None:
        return []
    cycles: list[list[Snap]] = []
    for snap in snaps:
        row = snap.rows[backup.name]
        if not row.is_on_media:
            continue
        if not cycles or (row.level == "full" and row.state == "copied"):
            cycles.append([])
        cycles[-1].append(snap)
    spared = {id(snap) for rule in backup.extended for snap in _extended(rule, backup.name, snaps, now)}
    aged = []
    for position, cycle in enumerate(cycles):
        newer = len(cycles) - position - 1
        if newer < backup.cycles or cycle[-1].taken + timedelta(days=backup.days) > now:
            continue
        aged += [snap for snap in cycle if id(snap) not in spared and not snap.is_pinned(now) and snap is not busy]
    return aged


def _extended(rule: ExtendedPlan, copy: str, snaps: Iterable[Snap], now: datetime) -> list[Snap]:
    """The first or last successful full of each period, for as long as the rule says."""
    chosen: dict[tuple[int, ...], Snap] = {}
    for snap in snaps:
        row = snap.rows[copy]
        if row.level != "full" or row.exceptions or row.copied_at is None:
            continue
        period = period_of(snap.taken, rule.period, _HERE, WEEK_START)
        if rule.pick == "last" or period not in chosen:
            chosen[period] = snap
    return [snap for snap in chosen.values() if rule.days is None or snap.taken + timedelta(days=rule.days) > now]


def spool_goes(
    snaps: Sequence[Snap],
    now: datetime,
    *,
    keeps_base: bool,
    last_copied: Callable[[str, datetime], Snap | None],
) -> list[Snap]:
    """P1-P7: copied everywhere and needed by nobody; of scheduled ones the newest copied stays where a base is kept."""
    there = [snap for snap in snaps if snap.present]
    copied = [snap for snap in there if _is_copied(snap)]
    bases = {
        id(last_copied(copy, snap.taken)) for snap in there for copy, row in snap.rows.items() if row.state in WAITS
    }
    goes = []
    for snap in copied:
        is_kept = keeps_base and snap.by == "schedule" and (snap is copied[-1] or id(snap) in bases)
        if not is_kept and not snap.is_pinned(now):
            goes.append(snap)
    return goes


def _is_copied(snap: Snap) -> bool:
    states = {row.state for row in snap.rows.values()}
    return bool(states & {"copied", "aged"}) and not states & (AWAITED | {"partial"})
