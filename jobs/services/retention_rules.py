"""The retention of a copy, as its row has it or as an edit would make it, in the terms of the rules (RULES R1-R3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from zoneinfo import ZoneInfo

from jobs.rules.periods import Period
from jobs.rules.retention import BackupRule, Extended, SnapRule
from policies.models import Copy, Installation
from policies.models.policy_choices import Retention


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Days and weeks are those of the installation (RULES B3)."""

    zone: ZoneInfo
    week_start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How long one copy keeps what it has. ``ages`` False: nothing is aged, whatever the figures say."""

    retention: str
    days: int | None
    cycles: int | None
    count: int | None
    ages: bool
    extended: tuple[Extended, ...] = ()

    @property
    def is_spool(self) -> bool:
        return self.retention == Retention.SPOOL

    @property
    def ages_nothing(self) -> bool:
        """Nothing can be over its retention: whoever only looks for that need not look."""
        return not self.ages or self.retention == Retention.INFINITE

    def for_backups(self) -> BackupRule:
        """Raises ValueError for extended rules that R3 does not allow."""
        if self.retention == Retention.INFINITE:
            return BackupRule(days=None, cycles=None)
        return BackupRule(days=self.days, cycles=self.cycles, extended=self.extended)

    def for_snapshots(self) -> SnapRule:
        """Raises ValueError for figures that R2 does not allow."""
        if self.retention == Retention.DAYS:
            return SnapRule(days=self.days)
        return SnapRule(count=self.count) if self.retention == Retention.COUNT else SnapRule()


def calendar() -> Calendar:
    here = Installation.objects.filter(pk=1).first() or Installation()
    return Calendar(zone=ZoneInfo(here.time_zone), week_start=here.week_start)


def kept_by(copy: Copy, changes: Mapping[str, Any] | None = None) -> Kept:
    """As the row has it; ``changes`` as :func:`policies.previews.deletions_of_edit` takes them."""
    given = dict(changes or {})
    retention = given.get("retention", copy.retention)
    if retention == Retention.BASIC:
        extended = _extended(
            given["extended"] if "extended" in given else copy.extended.values("period", "pick", "days")
        )
    else:
        extended = ()
    return Kept(
        retention=retention,
        days=given.get("retention_days", copy.retention_days),
        cycles=given.get("retention_cycles", copy.retention_cycles),
        count=given.get("retention_count", copy.retention_count),
        ages=given.get("ages", copy.ages),
        extended=extended,
    )


def _extended(rules: Iterable[Mapping[str, Any]]) -> tuple[Extended, ...]:
    return tuple(
        Extended(period=Period(rule["period"]), pick=_pick(rule.get("pick", "first")), days=rule.get("days"))
        for rule in rules
    )


def _pick(value: str) -> Literal["first", "last"]:
    return "last" if value == "last" else "first"
