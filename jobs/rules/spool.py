"""RULES P: which snapshots of a primary snap copy without retention go once they are copied. Pure.

::

    engine       spool  catalog             started by        after copied
    any other    yes    any                 any               delete
    keeps base   yes    inline or deferred  schedule          keep the newest
    keeps base   yes    inline or deferred  person or script  delete
    keeps base   yes    skip                any               delete
    any          no     any                 any               retention
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final


class Catalog(StrEnum):
    """RULES S4."""

    INLINE = "inline"
    DEFERRED = "deferred"
    SKIP = "skip"


class AfterCopy(StrEnum):
    """What becomes of a snapshot once every copy has it."""

    DELETE = "delete"
    KEEP_NEWEST = "keep_newest"
    RETENTION = "retention"


BY_HAND: Final = frozenset({"person", "script"})
"""Initiators that make it a true spool (RULES P3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolItem:
    """One snapshot that is present.

    ``is_copied_everywhere``: every active copy that selected it has it as *copied*, never partial, and committed.
    ``is_needed``: a job, or another active copy, still reads it. ``is_base_of_next``: a copy that waits or runs
    compares with it; that holds the one an engine keeps, not those of a true spool (P3).
    """

    id: int
    taken_at: datetime
    rule: AfterCopy
    is_copied_everywhere: bool
    catalog_done: bool
    is_needed: bool = False
    is_mounted: bool = False
    is_pinned: bool = False
    is_base_of_next: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """A snapshot to delete, and why."""

    id: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSnapshot:
    """A snapshot that stays, and why."""

    id: int
    reason: str


def after_copy(*, is_spool: bool, keeps_base: bool, catalog: Catalog, initiator: str) -> AfterCopy:
    """RULES P1-P4 and P6: with a deferred catalog, too, the initiator wins.

    ``initiator`` is that of the snapshot job. Any but a person or a script counts as the schedule, which keeps more.
    """
    if not is_spool:
        return AfterCopy.RETENTION
    if keeps_base and catalog is not Catalog.SKIP and initiator not in BY_HAND:
        return AfterCopy.KEEP_NEWEST
    return AfterCopy.DELETE


def spool_removals(*, snapshots: Sequence[SpoolItem]) -> list[Removal]:
    """RULES P1, P5 and P7: what may be deleted now, oldest first. ``snapshots`` are all of one subclient."""
    newest = _newest_copied(snapshots)
    ordered = sorted(snapshots, key=_age)
    return [Removal(id=item.id, reason=_why(item)) for item in ordered if not _held(item, newest)]


def spool_holds(*, snapshots: Sequence[SpoolItem]) -> list[HeldSnapshot]:
    """The others, with the sentence that says what holds them."""
    newest = _newest_copied(snapshots)
    held = ((item, _held(item, newest)) for item in sorted(snapshots, key=_age))
    return [HeldSnapshot(id=item.id, reason=reason) for item, reason in held if reason]


def _held(item: SpoolItem, newest: SpoolItem | None) -> str:
    if item.rule is AfterCopy.RETENTION:
        return "The retention of its copy decides."
    if not item.is_copied_everywhere:
        return "It is not copied to every backup copy yet."
    if not item.catalog_done:
        return "Its deferred catalog is not done yet."
    if item.is_needed:
        return "A job or another copy still needs it."
    if item.is_mounted:
        return "It is mounted."
    if item.is_pinned:
        return "It is pinned."
    if item.rule is AfterCopy.KEEP_NEWEST and item is newest:
        return "The newest copied snapshot is kept: the next one is compared with it."
    if item.rule is AfterCopy.KEEP_NEWEST and item.is_base_of_next:
        return "The next copy is compared with it."
    return ""


def _why(item: SpoolItem) -> str:
    if item.rule is AfterCopy.KEEP_NEWEST:
        return "Spool copy: a newer snapshot is copied."
    return "Spool copy: it is copied."


def _newest_copied(snapshots: Sequence[SpoolItem]) -> SpoolItem | None:
    """The newest copied of all, also when it is to go itself: an older base goes with it (P3, P5)."""
    return max((item for item in snapshots if item.is_copied_everywhere), key=_age, default=None)


def _age(item: SpoolItem) -> tuple[datetime, int]:
    return item.taken_at, item.id
