"""RULES R5-R7: what can hold a backup copy or a snapshot back from aging, and the one answer people read. Pure.

A *claim* says until when something holds an item. It is aged when no claim lasts any longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final


class Hold(StrEnum):
    """The reasons of RULES R7, in the words that rows show."""

    DAYS = "days"
    CYCLES = "cycles"
    EXTENDED = "extended"
    SNAPSHOTS = "number of snapshots"
    NOT_COPIED = "not copied"
    BASE = "base of incremental"
    PINNED = "pinned"
    MOUNTED = "mounted"
    LOCKED = "locked"
    RUNNING = "running job"
    AGING_OFF = "aging off"
    FROZEN = "source guard"
    INFINITE = "infinite"


SENTENCES: Final[Mapping[Hold, str]] = {
    Hold.DAYS: "Its days are not over.",
    Hold.CYCLES: "It belongs to a cycle that is kept.",
    Hold.EXTENDED: "An extended rule keeps it.",
    Hold.SNAPSHOTS: "It is among the newest snapshots that are kept.",
    Hold.NOT_COPIED: "It is selected for a backup copy and not copied yet.",
    Hold.BASE: "The next incremental is compared with it.",
    Hold.PINNED: "It is pinned.",
    Hold.MOUNTED: "It is mounted.",
    Hold.LOCKED: "The storage has it locked.",
    Hold.RUNNING: "A running job uses it.",
    Hold.AGING_OFF: "Aging is switched off.",
    Hold.FROZEN: "The source guard froze aging until somebody acknowledges it.",
    Hold.INFINITE: "It is kept for ever.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """``until`` None = nobody knows, or for ever; ``reason`` empty = the sentence of its hold."""

    hold: Hold
    until: datetime | None = None
    reason: str = ""

    def lasts(self, now: datetime) -> bool:
        return self.until is None or self.until > now

    @property
    def sentence(self) -> str:
        return self.reason or SENTENCES[self.hold]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``retain_until``: when the last claim ends, or ended; in UTC; None = nobody knows, or for ever.

    ``hold`` is what holds it longest, None when it is aged. ``reason`` is a sentence either way.
    """

    is_aged: bool
    retain_until: datetime | None
    hold: Hold | None
    reason: str


def judge(claims: Iterable[Claim], *, now: datetime, aged_reason: str) -> Verdict:
    """The verdict of all claims; of several without an end the first one speaks."""
    known = list(claims)
    lasting = [claim for claim in known if claim.lasts(now)]
    if not lasting:
        ended = max((claim.until.astimezone(UTC) for claim in known if claim.until is not None), default=None)
        return Verdict(is_aged=True, retain_until=ended, hold=None, reason=aged_reason)
    longest = max(lasting, key=lambda claim: claim.until or datetime.max.replace(tzinfo=UTC))
    until = longest.until.astimezone(UTC) if longest.until is not None else None
    return Verdict(is_aged=False, retain_until=until, hold=longest.hold, reason=longest.sentence)


def guards(*, is_off: bool, is_frozen: bool) -> list[Claim]:
    """What stops aging of everything at once."""
    claims = [Claim(hold=Hold.AGING_OFF)] if is_off else []
    return [*claims, Claim(hold=Hold.FROZEN)] if is_frozen else claims
