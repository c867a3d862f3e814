"""RULES B5-B7, B10 and R5: what waits for its copy, what is next, from where, and when waiting ends. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from .states import WAITS, CopyState

ALERT_AFTER: Final = timedelta(hours=48)
OVERDUE_AFTER: Final = timedelta(days=14)
MOST_OFFLINE_ATTEMPTS: Final = 10
MOST_OFFLINE_DAYS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingItem:
    """One snapshot towards one copy. Until ``due_at`` it is deferred; until ``retry_at`` it is not tried again."""

    id: int
    taken_at: datetime
    state: CopyState = CopyState.TO_BE_COPIED
    due_at: datetime | None = None
    retry_at: datetime | None = None


def next_to_copy(items: Iterable[WaitingItem], *, now: datetime | None = None) -> WaitingItem | None:
    """RULES B5: the oldest that is due; None while one is copied, or while the oldest waits for its next try.

    ``now`` None = everything is due, and may be tried again.
    """
    known = list(items)
    if any(item.state is CopyState.COPYING for item in known):
        return None
    due = [item for item in known if item.state in WAITS and _has_come(item.due_at, now)]
    oldest = min(due, key=lambda item: (item.taken_at.astimezone(UTC), item.id), default=None)
    return oldest if oldest is not None and _has_come(oldest.retry_at, now) else None


def _has_come(moment: datetime | None, now: datetime | None) -> bool:
    return moment is None or now is None or moment <= now


def waits_for_copy(state: CopyState, *, is_copy_active: bool) -> bool:
    """RULES R5: whether a snapshot is held for this copy: until copied, skipped, prevented, or its copy deactivated.

    What was copied with exceptions no longer waits: a file that nobody may read must not hold snapshots for ever.
    """
    return is_copy_active and (state in WAITS or state in {CopyState.CANDIDATE, CopyState.COPYING})


class Source(StrEnum):
    PRIMARY = "primary"
    SECONDARY = "secondary"
    WAIT = "wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceChoice:
    source: Source
    reason: str


def choose_source(
    *, wanted_is_primary: bool, wanted_has_it: bool, primary_has_it: bool, allow_primary: bool
) -> SourceChoice:
    """RULES B6: the primary snap or the chosen secondary; not there yet = wait, never fall back silently."""
    if wanted_is_primary:
        if wanted_has_it:
            return SourceChoice(source=Source.PRIMARY, reason="Copied from the primary snap copy.")
        return SourceChoice(source=Source.WAIT, reason="The snapshot is not on the primary snap copy.")
    if wanted_has_it:
        return SourceChoice(source=Source.SECONDARY, reason="Copied from the secondary snap copy, as the policy says.")
    if not allow_primary:
        return SourceChoice(source=Source.WAIT, reason="The snapshot is not on the secondary snap copy yet.")
    if primary_has_it:
        reason = "Not on the secondary snap copy yet: copied from the primary, as the policy allows."
        return SourceChoice(source=Source.PRIMARY, reason=reason)
    return SourceChoice(
        source=Source.WAIT, reason="The snapshot is on neither the secondary nor the primary snap copy."
    )


class Offline(StrEnum):
    RETRY = "retry"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineVerdict:
    action: Offline
    reason: str


def offline_verdict(
    *,
    attempts: int,
    first_failed_at: datetime,
    now: datetime,
    most_attempts: int = MOST_OFFLINE_ATTEMPTS,
    most_days: int = MOST_OFFLINE_DAYS,
) -> OfflineVerdict:
    """RULES B7, after ``attempts`` that found the source volume offline: again in a later run, or skipped."""
    if attempts >= most_attempts:
        return OfflineVerdict(action=Offline.SKIP, reason=f"The source was offline at {attempts} attempts.")
    if now - first_failed_at >= timedelta(days=most_days):
        return OfflineVerdict(action=Offline.SKIP, reason=f"The source has been offline for {most_days} days.")
    reason = f"The source is offline: attempt {attempts} of {most_attempts}, tried again in a later run."
    return OfflineVerdict(action=Offline.RETRY, reason=reason)


class WaitingVerdict(StrEnum):
    FINE = "fine"
    ALERT = "alert"
    OVERDUE = "overdue"


class OverdueAction(StrEnum):
    """RULES B10: what a policy does about a snapshot that waits for its copy beyond the limit.

    In none of them is a snapshot that still waits let go: R5 holds it until it is copied, skipped or prevented.
    """

    ALERT_ONLY = "alert"
    """An alarm is raised; nothing else changes: it stays selected and held, and is copied as soon as it can be."""
    SKIP_OLDER = "skip_older"
    """All but the newest are skipped, which ends their hold; the next copy of the newest holds their changes (B5)."""
    KEEP_WAITING = "keep_waiting"
    """Waiting is what is expected here, as of a medium that is attached once a quarter: never overdue, no alarm."""


def waiting_verdict(
    *,
    selected_at: datetime,
    now: datetime,
    alert_after: timedelta = ALERT_AFTER,
    overdue_after: timedelta = OVERDUE_AFTER,
    action: OverdueAction = OverdueAction.ALERT_ONLY,
) -> WaitingVerdict:
    """RULES B10, of a snapshot that was selected then and still waits; under *keep waiting* it is never overdue."""
    waited = now - selected_at
    if waited > overdue_after and action is not OverdueAction.KEEP_WAITING:
        return WaitingVerdict.OVERDUE
    return WaitingVerdict.ALERT if waited > alert_after else WaitingVerdict.FINE


@dataclass(frozen=True, slots=True, kw_only=True)
class OverdueItem:
    """A snapshot that still waits for one copy."""

    id: int
    taken_at: datetime
    selected_at: datetime


def overdue_skips(
    items: Iterable[OverdueItem], action: OverdueAction, now: datetime, overdue_after: timedelta = OVERDUE_AFTER
) -> list[int]:
    """RULES B10, “skip older and copy the newest”: as soon as one is overdue, all but the newest; oldest first."""
    if action is not OverdueAction.SKIP_OLDER:
        return []
    ordered = sorted(items, key=lambda item: (item.taken_at.astimezone(UTC), item.id))
    if not any(now - item.selected_at > overdue_after for item in ordered):
        return []
    return [item.id for item in ordered[:-1]]
