"""What a storage lists against what the installation recorded of it (RULES V4, O2, B7): pure comparison."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FEWEST_FOR_DOUBT: Final = 2
"""When so many are recorded and not a single one is there, the storage itself is more likely away than all of them."""


class Recorded(StrEnum):
    """What the installation believes of a snapshot on this storage. *Passing*: a job brings or deletes it now."""

    THERE = "there"
    MISSING = "missing"
    GONE = "gone"
    PASSING = "passing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Names, sorted. ``missing``: recorded, not there. ``returned``: recorded as missing, there again.

    ``left``: there though recorded as deleted; ``unknown``: there, and never heard of. ``is_doubtful``: not one of
    several is there, so that the storage is perhaps not mounted: nothing may be concluded without a person's word.
    """

    missing: tuple[str, ...] = ()
    returned: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    is_doubtful: bool = False


def compare(
    *, recorded: Mapping[str, Recorded], listed: Collection[str], known_elsewhere: Collection[str] = ()
) -> Comparison:
    """``recorded`` by name; ``listed``: names of this installation that the storage holds.

    ``known_elsewhere``: recorded on another storage, which may share its snapshot area with this one.
    """
    there = frozenset(listed)
    by_state = {state: {name for name, one in recorded.items() if one is state} for state in Recorded}
    expected = by_state[Recorded.THERE]
    missing = expected - there
    return Comparison(
        missing=tuple(sorted(missing)),
        returned=tuple(sorted(by_state[Recorded.MISSING] & there)),
        left=tuple(sorted(by_state[Recorded.GONE] & there)),
        unknown=tuple(sorted(there - recorded.keys() - frozenset(known_elsewhere))),
        is_doubtful=len(missing) >= FEWEST_FOR_DOUBT and missing == expected,
    )
