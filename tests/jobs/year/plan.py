"""What the simulated year is about, as plain values that both the product's rows and the model are made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from .almanac import Times

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2027, 1, 1, tzinfo=UTC)
ZONE = "Europe/Berlin"
"""The installation's zone."""
WEEK_START = 4
"""Weeks of the installation start on Fridays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendedPlan:
    period: str
    pick: str
    days: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupPlan:
    """One backup copy on a medium of its own. ``days`` None = kept for ever."""

    name: str
    days: int | None = 30
    cycles: int = 1
    extended: tuple[ExtendedPlan, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPlan:
    """``snap_days`` or ``snap_count``, or neither: for ever, or a spool with ``is_spool``."""

    name: str
    backups: tuple[BackupPlan, ...]
    is_inline: bool = False
    is_spool: bool = False
    snap_days: int | None = None
    snap_count: int | None = None
    selection: str = "all"
    period: str = ""
    starts_on: date | None = None
    defer_days: int = 0
    catalog: str = "skip"
    overdue_action: str = "alert"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPlan:
    """``engine``: plain, diff (tells what changed) or base (keeps its base snapshot). ``limit``: RULES L2."""

    name: str
    engine: str
    node: str
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubclientPlan:
    name: str
    server: ServerPlan
    policy: PolicyPlan
    is_excluded: bool = False

    @property
    def path(self) -> str:
        return f"/srv/{self.server.name}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePlan:
    """``policy`` or ``subclient``: whose; neither = of everything (aging, pruning of all media)."""

    name: str
    operation: str
    times: Times
    policy: PolicyPlan | None = None
    subclient: SubclientPlan | None = None
    backup: str = ""
    level: str = "incremental"
    missed: str = "catch_up"

    def concerns(self, subclient: SubclientPlan) -> bool:
        if self.policy is not None:
            return self.policy == subclient.policy
        return self.subclient is None or self.subclient == subclient


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From ``start`` to before ``end``. ``kind``: what fails; ``about``: a subclient's path, or a node's name."""

    kind: str
    about: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What a person does at one moment. ``nth``: which snapshot, 0 = the newest that is present."""

    at: datetime
    subclient: SubclientPlan
    what: str
    nth: int = 0
    backup: str = ""
    level: str = "incremental"
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Year:
    policies: tuple[PolicyPlan, ...]
    servers: tuple[ServerPlan, ...]
    subclients: tuple[SubclientPlan, ...]
    schedules: tuple[SchedulePlan, ...]
    spans: tuple[Span, ...]
    acts: tuple[Act, ...]
    nodes: tuple[str, ...]
    begin: datetime = FIRST_DAY
    end: datetime = END

    def fails(self, kind: str, about: str, at: datetime) -> bool:
        return any(span.kind == kind and span.about == about and span.start <= at < span.end for span in self.spans)

    def back_at(self, kind: str, about: str, at: datetime) -> datetime:
        """``at``, or when what fails then is over."""
        ends = [s.end for s in self.spans if s.kind == kind and s.about == about and s.start <= at < s.end]
        return max(ends, default=at)

    def edges(self) -> Iterator[datetime]:
        """Moments at which something outside the product changes and the product has to look."""
        for span in self.spans:
            if span.kind in {"node", "scheduler"}:
                yield from (span.start, span.end)
