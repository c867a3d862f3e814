"""Whose turn it is to be read back, so that in the end everything was read, again and again.

A verification that reads a part of the packs must not choose by chance, nor always the same ones. Each pack has a
deadline, counted from when it was last read and found good, or first seen. Packs are read in the order of their
deadlines, of equals first what was never read, and as many as it takes that no later run gets a heap of them at once:
where *b(j)* bytes must be read within *j* runs, this run reads the greatest of all *b(j)/j*.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import InvalidOptions
from ..ids import FileId

KEY_BYTES: Final = 8
"""So much of a pack's id is remembered, 8 MB for a million packs. Two of a million begin alike in one of 40 million
repositories; then the one is taken for read when the other was, until the other's next turn."""

_NO_DEADLINE: Final = np.iinfo(np.int64).max
_MARGIN_SECONDS: Final = 86_400
_MARGIN_SHARE: Final = 10
"""A run that begins shorter before a deadline than a day, or a tenth of the time, might end after it."""

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Keys = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How much one run reads. Nothing given = nothing.

    ``percent`` of the stored bytes at least. ``runs``: every pack at the latest in the so-manieth run. ``seconds``:
    every pack within that time, and what was never read within half of it, where ``coming`` are the starts of the
    later runs, s since the epoch, in order, as far as that time reaches; empty = nobody knows of another: what is not
    read in time so far is read now.
    """

    percent: float = 0.0
    runs: int | None = None
    seconds: int | None = None
    coming: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.percent <= 100:
            raise InvalidOptions("The part of the data to read is between 0 and 100 percent.", field="percent")
        if any(number is not None and number < 1 for number in (self.runs, self.seconds)):
            raise InvalidOptions("The time in which everything is read must not be empty.", field="within_days")

    @property
    def reads_nothing(self) -> bool:
        return not self.percent and self.runs is None and self.seconds is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Packs that were read and found good (or, not ``was_read``, seen for the first time) ``at`` s since the epoch.

    ``turn`` counts the completed runs, with the one that read them if it was completed; ``keys`` holds KEY_BYTES of
    each pack's id.
    """

    at: int
    turn: int
    was_read: bool
    keys: bytes


class History:
    """When each pack was last read, or first seen. 25 bytes a pack; never changed."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        known = list(entries)
        counts = [len(entry.keys) // KEY_BYTES for entry in known]
        keys = np.frombuffer(b"".join(entry.keys for entry in known), dtype="<u8")
        at = np.repeat(np.array([entry.at for entry in known], dtype=np.int64), counts)
        turn = np.repeat(np.array([entry.turn for entry in known], dtype=np.int64), counts)
        was_read = np.repeat(np.array([entry.was_read for entry in known], dtype=np.bool_), counts)
        # The last reading of each pack; where there is none, the first time it was seen.
        order = np.lexsort((np.where(was_read, -at, at), ~was_read))
        self.keys, first = np.unique(keys[order], return_index=True)
        chosen = order[first]
        self.at, self.turn, self.was_read = at[chosen], turn[chosen], was_read[chosen]

    def __len__(self) -> int:
        return len(self.keys)

    def of(self, keys: Keys, *, now: int, turn: int) -> Standing:
        """How each of these packs stands at run ``turn``; what is unknown is seen now for the first time."""
        at = np.full(len(keys), now, dtype=np.int64)
        turns = np.full(len(keys), turn, dtype=np.int64)
        was_read = np.zeros(len(keys), dtype=np.bool_)
        if len(self):
            places = np.minimum(np.searchsorted(self.keys, keys), len(self) - 1)
            known = self.keys[places] == keys
            at[known], turns[known] = self.at[places[known]], self.turn[places[known]]
            was_read[known] = self.was_read[places[known]]
        return Standing(at=at, turn=turns, was_read=was_read, now=now, this_turn=turn)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One row for each pack, as :class:`Entry` has them; and the moment at which they were asked for."""

    at: Numbers
    turn: Numbers
    was_read: Flags
    now: int
    this_turn: int


class Ledger(Protocol):
    """Where a verification finds and leaves what was read. ``turn`` counts the runs that were completed before.

    Who keeps it notes the run's own :class:`Entry` with this ``turn``, and with the next when the run was completed.
    """

    @property
    def turn(self) -> int: ...

    def open(self, packs: Sequence[FileId], stored_bytes: Sequence[int]) -> History:
        """Called once, with every pack there is: what is known of them."""

    def read(self, packs: Sequence[FileId]) -> None:
        """These were read whole and are good. Called often: what was read stays read when the run is interrupted."""


def keys_of(packs: Sequence[FileId]) -> Keys:
    """As :class:`History` holds them."""
    return np.frombuffer(b"".join(bytes.fromhex(pack[: 2 * KEY_BYTES]) for pack in packs), dtype="<u8")


def choose(sizes: Numbers, standing: Standing, pace: Pace, *, seed: int | None = None) -> list[int]:
    """The packs to read now, in this order. ``sizes`` in bytes. ``seed`` None = another order of equals every time."""
    if pace.reads_nothing or not len(sizes):
        return []
    left = runs_left(standing, pace)
    chance = np.random.default_rng(seed).permutation(len(sizes))
    order = np.lexsort((chance, standing.at, standing.was_read, left))
    read = np.cumsum(sizes[order])
    enough = max(_needed(read, left[order]), _share(int(read[-1]), pace.percent))
    chosen: list[int] = order[: int(np.searchsorted(read, enough)) + 1 if enough else 0].tolist()
    return chosen


def runs_left(standing: Standing, pace: Pace) -> Numbers:
    """In how many runs, this one included, each pack must have been read; 1 or less = now."""
    left = np.full(len(standing.at), _NO_DEADLINE, dtype=np.int64)
    if pace.runs is not None:
        left = pace.runs - (standing.this_turn - standing.turn)
    if pace.seconds is not None:
        left = np.minimum(left, _runs_before(standing, pace.seconds, pace.coming))
    return left


def _runs_before(standing: Standing, seconds: int, coming: Sequence[int]) -> Numbers:
    if not coming:
        is_due = ~standing.was_read | (standing.at + seconds <= standing.now)
        return np.where(is_due, 1, _NO_DEADLINE).astype(np.int64)
    margin = min(_MARGIN_SECONDS, seconds // _MARGIN_SHARE)
    deadline = standing.at + np.where(standing.was_read, seconds, seconds // 2) - margin
    return 1 + np.searchsorted(np.array(coming, dtype=np.int64), deadline, side="right").astype(np.int64)


def _needed(read: Numbers, left: Numbers) -> int:
    """Bytes to read now, so that each later run needs no more. ``read`` sums up in the order of ``left``."""
    ends = np.flatnonzero(np.append(left[1:] != left[:-1], True))
    ends = ends[left[ends] < _NO_DEADLINE]
    if not len(ends):
        return 0
    runs = np.maximum(left[ends], 1)
    return int((-(-read[ends] // runs)).max())


def _share(total: int, percent: float) -> int:
    return -int(-total * percent // 100)
