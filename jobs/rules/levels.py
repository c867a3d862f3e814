"""RULES S2, S3 and B8: as what a snapshot job and its backup copy run, and why. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RunLevel(StrEnum):
    FULL = "full"
    INCREMENTAL = "incremental"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The level it runs as, and a sentence; empty when it runs as asked."""

    level: RunLevel
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What a snapshot was taken of: a change of these makes the next one full (RULES S2)."""

    policy_id: int | None
    engine: str
    content: frozenset[str]


def snapshot_level(*, asked: str, previous: Conditions | None, current: Conditions) -> Decision:
    """RULES S2. ``previous`` None = the subclient has no snapshot yet. An unknown policy of old counts as the same."""
    if previous is None:
        return Decision(level=RunLevel.FULL, reason="The first job of a subclient is full.")
    if previous.engine != current.engine:
        return Decision(level=RunLevel.FULL, reason=f"The engine changed from {previous.engine} to {current.engine}.")
    if previous.policy_id is not None and previous.policy_id != current.policy_id:
        return Decision(level=RunLevel.FULL, reason="The subclient moved to another storage policy.")
    if added := current.content - previous.content:
        return Decision(level=RunLevel.FULL, reason=f"Content was added: {', '.join(sorted(added))}.")
    return Decision(level=RunLevel(asked))


def copy_level(*, snapshot_level: str, has_base: bool, base_is_damaged: bool = False) -> Decision:
    """RULES B8: the type of its snapshot job; without a base full, with the reason."""
    if snapshot_level == RunLevel.FULL:
        reason = "Its snapshot job was full." if has_base else "The first backup copy of a subclient is full."
        return Decision(level=RunLevel.FULL, reason=reason)
    if base_is_damaged:
        return Decision(level=RunLevel.FULL, reason="The last backup copy is no longer on the medium to compare with.")
    if not has_base:
        return Decision(level=RunLevel.FULL, reason="There is no earlier backup copy to compare with.")
    return Decision(level=RunLevel.INCREMENTAL)
