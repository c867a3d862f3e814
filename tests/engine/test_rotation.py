"""Whose turn it is to be read back: whatever comes and goes, everything is read within the bound."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.engine.errors import InvalidOptions
from jobs.engine.ids import FileId
from jobs.engine.operations.rotation import KEY_BYTES, Entry, History, Pace, choose, keys_of

DAY: Final = 86_400


def pack(number: int) -> FileId:
    return FileId(sha256(b"%d" % number).hexdigest())


class Medium:
    """Packs that come and go, and runs that read some of them. ``due`` remembers what a run must have read by when."""

    def __init__(self) -> None:
        self.sizes: dict[FileId, int] = {}
        self.entries: list[Entry] = []
        self.turn = 0
        self.made = 0

    def add(self, sizes: list[int]) -> None:
        for size in sizes:
            self.sizes[pack(self.made)] = size
            self.made += 1

    def prune(self, share: float, seed: int) -> None:
        chance = np.random.default_rng(seed)
        self.sizes = {name: size for name, size in self.sizes.items() if chance.random() >= share}

    def run(self, pace: Pace, *, now: int, reads: float = 1.0, seed: int = 1) -> set[FileId]:
        """One run; ``reads`` < 1 = it is interrupted after that share, and its turn does not count."""
        names = list(self.sizes)
        history = History(self.entries)
        standing = history.of(keys_of(names), now=now, turn=self.turn)
        known = set(history.keys.tolist())
        self._enter([name for name in names if int(keys_of([name])[0]) not in known], now=now, was_read=False)
        chosen = [names[number] for number in choose(np.array(list(self.sizes.values())), standing, pace, seed=seed)]
        assert len(set(chosen)) == len(chosen)
        read = chosen[: round(len(chosen) * reads)]
        self.turn += reads == 1.0
        self._enter(read, now=now, was_read=True)
        return set(read)

    def _enter(self, names: list[FileId], *, now: int, was_read: bool) -> None:
        keys = b"".join(bytes.fromhex(name[: 2 * KEY_BYTES]) for name in names)
        self.entries.append(Entry(at=now, turn=self.turn, was_read=was_read, keys=keys))


SIZES = st.lists(st.integers(1, 1000), max_size=30)
STEP = st.tuples(SIZES, st.sampled_from([0.0, 0.0, 0.1, 0.7]), st.sampled_from([1.0, 1.0, 1.0, 0.5, 0.0]))


@settings(max_examples=40, deadline=None)
@given(
    percent=st.sampled_from([3.0, 7.5, 20.0, 34.0, 50.0, 100.0]),
    first=SIZES,
    steps=st.lists(STEP, min_size=1, max_size=45),
)
def test_at_any_percent_every_pack_is_read_within_that_many_completed_runs(
    percent: float, first: list[int], steps: list[tuple[list[int], float, float]]
) -> None:
    runs = int(-(-100 // percent))
    medium, pace = Medium(), Pace(percent=percent, runs=runs)
    medium.add(first)
    waits: dict[FileId, int] = {}
    for number, (sizes, pruned, reads) in enumerate(steps):
        medium.add(sizes)
        medium.prune(pruned, number)
        read = medium.run(pace, now=number * DAY, reads=reads, seed=number)
        waits = {name: 0 if name in read else waits.get(name, 0) + (reads == 1.0) for name in medium.sizes}
        assert all(wait < runs for wait in waits.values()), f"one has waited for {max(waits.values())} of {runs} runs"


@settings(max_examples=40, deadline=None)
@given(
    days=st.integers(3, 40),
    first=SIZES,
    steps=st.lists(st.tuples(SIZES, st.sampled_from([0.0, 0.1, 0.6])), min_size=1, max_size=60),
)
def test_nightly_runs_read_everything_within_the_days(
    days: int, first: list[int], steps: list[tuple[list[int], float]]
) -> None:
    medium = Medium()
    medium.add(first)
    last: dict[FileId, int] = {}
    for number, (sizes, pruned) in enumerate(steps):
        now = number * DAY
        medium.add(sizes)
        medium.prune(pruned, number)
        coming = tuple(now + ahead * DAY for ahead in range(1, days + 1))
        read = medium.run(Pace(seconds=days * DAY, coming=coming), now=now, seed=number)
        last = {name: now if name in read else last.get(name, now) for name in medium.sizes}
        assert all(now + DAY - at <= days * DAY for at in last.values()), "it is late before the next run comes"


def test_the_load_is_even_from_the_start_to_the_end() -> None:
    """300 packs of one size, read within 30 days of nightly runs: never the half of them in one night."""
    medium, counts = Medium(), []
    medium.add([100] * 300)
    for night in range(100):
        coming = tuple((night + ahead) * DAY for ahead in range(1, 31))
        counts.append(len(medium.run(Pace(seconds=30 * DAY, coming=coming), now=night * DAY, seed=night)))
    assert max(counts) <= 300 / 14 + 1, "what was never read has half of the time"
    assert max(counts[30:]) <= 300 / 29 + 2
    assert min(counts[60:]) >= 300 / 29 - 2


def test_what_was_never_read_and_what_was_not_read_for_longest_come_first() -> None:
    medium = Medium()
    medium.add([1] * 10)
    old = medium.run(Pace(percent=40), now=0)
    newer = medium.run(Pace(percent=60), now=DAY)
    assert old | newer == set(medium.sizes)
    medium.add([1] * 2)
    assert medium.run(Pace(percent=16), now=2 * DAY) == {pack(10), pack(11)}
    assert medium.run(Pace(percent=33), now=3 * DAY) == old


def test_after_an_outage_everything_that_is_late_is_read_at_once() -> None:
    medium = Medium()
    medium.add([5] * 50)
    within = Pace(seconds=10 * DAY, coming=tuple(day * DAY for day in range(1, 11)))
    medium.run(within, now=0)
    late = Pace(seconds=10 * DAY, coming=tuple((40 + day) * DAY for day in range(1, 11)))
    assert len(medium.run(late, now=40 * DAY)) == 50


def test_by_hand_what_was_not_read_within_the_days_is_read_now() -> None:
    medium = Medium()
    medium.add([1] * 4)
    assert len(medium.run(Pace(seconds=5 * DAY), now=0)) == 4
    medium.add([1])
    assert medium.run(Pace(seconds=5 * DAY), now=4 * DAY) == {pack(4)}
    assert len(medium.run(Pace(seconds=5 * DAY), now=6 * DAY)) == 4


def test_a_run_without_a_pace_reads_nothing() -> None:
    medium = Medium()
    medium.add([1])
    assert medium.run(Pace(), now=0) == set()
    assert Medium().run(Pace(percent=50), now=0) == set()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Pace(percent=-1),
        lambda: Pace(percent=101),
        lambda: Pace(runs=0),
        lambda: Pace(seconds=0),
    ],
)
def test_an_impossible_pace_is_refused(wrong: Callable[[], Pace]) -> None:
    with pytest.raises(InvalidOptions):
        wrong()


def test_of_a_hundred_thousand_packs_the_oldest_day_is_chosen() -> None:
    keys = np.random.default_rng(1).integers(0, 2**64, size=10**5, dtype=np.uint64)
    history = History(
        Entry(at=day * DAY, turn=day, was_read=True, keys=keys[day * 4000 : (day + 1) * 4000].tobytes())
        for day in range(25)
    )
    standing = history.of(keys, now=25 * DAY, turn=25)
    coming = tuple((25 + ahead) * DAY for ahead in range(1, 31))
    chosen = choose(np.full(10**5, 16 << 20), standing, Pace(seconds=30 * DAY, coming=coming))
    assert 3000 < len(chosen) < 5000
    assert set((np.array(chosen) // 4000).tolist()) <= {0, 1}
