"""RULES S2, S3, L1-L3 and B8: as what a snapshot job and its backup copy run, and why. Pure.

The number of a level is that of dumps (L1): full 0, differential 1, incremental last + 1. A dump of level n holds the
changes since the latest dump of any lower level.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum


class RunLevel(StrEnum):
    FULL = "full"
    DIFFERENTIAL = "differential"
    INCREMENTAL = "incremental"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The level it runs as, its number (L1), and a sentence; empty when it runs as asked."""

    level: RunLevel
    number: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What a snapshot was taken of: a change of these makes the next one full (RULES S2)."""

    policy_id: int | None
    engine: str
    content: frozenset[str]


def snapshot_level(
    *,
    asked: str,
    previous: Conditions | None,
    current: Conditions,
    last_number: int | None = None,
    limit: int | None = None,
    has_full: bool = True,
) -> Decision:
    """RULES S2, then L3.

    ``previous`` None = the subclient has no snapshot yet. An unknown policy of old counts as the same.
    ``last_number`` None = no number was kept: counted from the full. ``limit`` is the highest number of the file
    server (L2), None = none. ``has_full`` False = no full of this subclient is left to build on.
    """
    if previous is None:
        return _full("The first job of a subclient is full.")
    if previous.engine != current.engine:
        return _full(f"The engine changed from {previous.engine} to {current.engine}.")
    if previous.policy_id is not None and previous.policy_id != current.policy_id:
        return _full("The subclient moved to another storage policy.")
    if added := current.content - previous.content:
        return _full(f"Content was added: {', '.join(sorted(added))}.")
    if asked != RunLevel.FULL and not has_full:
        return _full("There is no earlier full to build on.")
    return _numbered(RunLevel(asked), last_number, limit)


def copy_level(
    *,
    snapshot_level: str,
    has_base: bool,
    base_is_lost: bool = False,
    base_is_damaged: bool = False,
    base_number: int | None = None,
    has_full: bool = True,
    has_tokens: bool = True,
    limit: int | None = None,
) -> Decision:
    """RULES B8: the type of its snapshot job after conversions; without a base full, with the reason.

    The chain on the copy is numbered by itself: ``base_number`` is that of the last *copied* one, so snapshots that
    were never copied do not count towards ``limit``. ``has_tokens`` False = the storage needs a token of the base (L5),
    and none was kept.
    """
    if snapshot_level == RunLevel.FULL:
        return _full("Its snapshot job was full." if has_base else "The first backup copy of a subclient is full.")
    if base_is_damaged:
        return _full("The last backup copy is damaged: everything is read again.")
    if base_is_lost:
        return _full("The last backup copy is no longer on the medium to compare with.")
    if not has_base:
        return _full("There is no earlier backup copy to compare with.")
    if not has_full:
        return _full("There is no full backup copy left to build on.")
    if not has_tokens:
        return _full("The storage's token of the last backup copy was not kept.")
    return _numbered(RunLevel(snapshot_level), base_number, limit)


def forecast(*, last_number: int | None, limit: int | None) -> int | None:
    """RULES L3: how many incrementals fit before the next one is converted; None = there is no limit.

    ``last_number`` None = nothing ran yet: the count after the first full.
    """
    if limit is None:
        return None
    return max(0, limit - (last_number or 0))


def restore_chain(numbers: Sequence[int], index: int, *, without: Collection[int] = ()) -> list[int]:
    """The entries whose streams are needed, in the order of restoring, to get entry ``index`` back (RULES L1, L6).

    ``numbers`` are the level numbers of a chain, oldest first. ``without``: entries that nothing was built on, because
    they were not *copied* whole (L4). ValueError: the chain does not begin with a full.
    """
    needed = [index]
    for older in range(index - 1, -1, -1):
        if numbers[needed[-1]] == 0:
            break
        if older not in without and numbers[older] < numbers[needed[-1]]:
            needed.append(older)
    if numbers[needed[-1]] != 0:
        raise ValueError("The chain does not begin with a full: what it was built on is gone.")
    return needed[::-1]


def _full(reason: str) -> Decision:
    return Decision(level=RunLevel.FULL, number=0, reason=reason)


def _numbered(level: RunLevel, last_number: int | None, limit: int | None) -> Decision:
    """L1, and L3: at the limit the next incremental, scheduled or manual, becomes a differential."""
    if level is RunLevel.FULL:
        return Decision(level=level, number=0)
    if level is RunLevel.DIFFERENTIAL:
        return Decision(level=level, number=1)
    number = (last_number or 0) + 1
    if limit is not None and number > limit:
        plural = "incremental" if limit == 1 else "incrementals"
        reason = f"Converted: limit of {limit} {plural} reached."
        return Decision(level=RunLevel.DIFFERENTIAL, number=1, reason=reason)
    return Decision(level=level, number=number)
