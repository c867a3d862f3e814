"""RULES L1, L3, L4 where a file server counts the levels of its dumps by itself: nothing is built on what was lost."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rules.dump_dates import DumpDate, newest_below, sound_level
from jobs.rules.levels import Decision, RunLevel, copy_level

PATH = "/vol/vol1"
DIFFERENTIAL = Decision(level=RunLevel.DIFFERENTIAL, number=1)


def incremental(number: int) -> Decision:
    return Decision(level=RunLevel.INCREMENTAL, number=number)


def dates(*told: tuple[int, int, bool]) -> dict[str, list[DumpDate]]:
    """(level, backup copy, whether it was committed), in the order in which they began."""
    return {PATH: [DumpDate(level=level, copy_id=copy, is_committed=is_good) for level, copy, is_good in told]}


CHAIN = ((0, 10, True), (1, 11, True), (2, 12, True))


@pytest.mark.parametrize(
    ("known", "wanted", "number", "words"),
    [
        (CHAIN, incremental(3), 3, ""),
        (CHAIN, DIFFERENTIAL, 1, ""),
        ((*CHAIN, (3, 13, False)), incremental(3), 3, ""),
        ((*CHAIN, (3, 13, False)), DIFFERENTIAL, 1, ""),
        ((*CHAIN, (2, 13, False)), incremental(3), 1, "of level 2 was not finished"),
        ((*CHAIN, (1, 13, False)), incremental(3), 1, "of level 1 was not finished"),
        ((*CHAIN, (1, 13, False)), DIFFERENTIAL, 1, ""),
        ((*CHAIN, (0, 13, False)), incremental(3), 0, "of level 0 was not finished"),
        ((*CHAIN, (0, 13, False)), DIFFERENTIAL, 0, "of level 0 was not finished"),
        (((0, 10, False), (0, 11, True)), incremental(1), 0, "another than the last backup copy"),
        ((*CHAIN, (2, 99, True)), incremental(3), 1, "another than the last backup copy"),
        ((*CHAIN, (0, 99, True)), incremental(3), 0, "another than the last backup copy"),
        ((), incremental(3), 0, "not known which dumps"),
        ((), Decision(level=RunLevel.FULL, number=0, reason="Its own."), 0, "Its own."),
    ],
)
def test_L4_what_a_dump_runs_as_after_dumps_that_were_not_finished(
    known: tuple[tuple[int, int, bool], ...], wanted: Decision, number: int, words: str
) -> None:
    found = sound_level(wanted, dates=dates(*known), last=12, full=10)
    assert found.number == number
    assert words in found.reason
    assert bool(found.reason) == bool(words)


def test_L4_every_content_path_counts() -> None:
    both = dates(*CHAIN) | {"/vol/vol2": dates(*CHAIN, (1, 13, False))[PATH]}
    found = sound_level(incremental(3), dates=both, last=12, full=10)
    assert (found.number, "/vol/vol2" in found.reason) == (1, True)


@dataclass
class Filer:
    """What a file server has: for each level the newest dump that it recorded, in order, and what each was built on."""

    recorded: list[tuple[int, int]] = field(default_factory=list)
    built_on: dict[int, int | None] = field(default_factory=dict)

    def dump(self, level: int, copy: int, *, records: bool) -> None:
        lower = [known for known in self.recorded if known[0] < level]
        self.built_on[copy] = lower[-1][1] if lower else None
        if records:
            self.recorded = [known for known in self.recorded if known[0] != level] + [(level, copy)]


Step = tuple[str, bool, bool]
STEPS = st.lists(st.tuples(st.sampled_from(["full", "differential", "incremental"]), st.booleans(), st.booleans()))


@given(steps=STEPS, limit=st.integers(1, 9))
def test_L4_never_is_a_dump_built_on_one_that_was_not_committed(steps: list[Step], limit: int) -> None:
    """Whatever is asked, whichever dumps fail, and whether the file server counts a failed one or not."""
    filer = Filer()
    known: list[DumpDate] = []
    committed: list[tuple[int, Decision]] = []
    for copy, (asked, is_good, is_counted) in enumerate(steps):
        fulls = [row for row, decision in committed if decision.level is RunLevel.FULL]
        last, full = (committed[-1][0] if committed else None), (fulls[-1] if fulls else None)
        plain = copy_level(
            snapshot_level=asked,
            has_base=last is not None,
            base_number=committed[-1][1].number if committed else None,
            has_full=full is not None,
            limit=limit,
        )
        decision = sound_level(plain, dates={PATH: known}, last=last, full=full)
        assert decision.number <= limit
        known = [date for date in known if date.level != decision.number]
        known.append(DumpDate(level=decision.number, copy_id=copy, is_committed=is_good))
        filer.dump(decision.number, copy, records=is_good or is_counted)
        if is_good:
            believed = {RunLevel.FULL: None, RunLevel.DIFFERENTIAL: full}.get(decision.level, last)
            assert filer.built_on[copy] == believed
            committed.append((copy, decision))
        if all(good for _, good, _ in steps[: copy + 1]):
            assert decision == plain, "where nothing went wrong, nothing is converted"
    assert newest_below(known, 0) is None
