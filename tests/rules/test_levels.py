"""RULES S2, S3, L1, L3, L6 and B8: what jobs run as, conversion at the limit, the chain a restore needs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rules.levels import Conditions, Decision, RunLevel, copy_level, forecast, restore_chain, snapshot_level

SAME = Conditions(policy_id=1, engine="netapp", content=frozenset({"/vol/a"}))
ASKED = {"F": "full", "D": "differential", "I": "incremental"}


def snapshots(asked: Sequence[str], *, limit: int | None) -> list[Decision]:
    """What a subclient's jobs run as, one after the other."""
    done: list[Decision] = []
    for letter in asked:
        last = done[-1].number if done else None
        before = SAME if done else None
        done.append(snapshot_level(asked=ASKED[letter], previous=before, current=SAME, last_number=last, limit=limit))
    return done


def copies(levels: Sequence[RunLevel], *, limit: int | None) -> list[Decision]:
    done: list[Decision] = []
    for level in levels:
        number = done[-1].number if done else None
        done.append(copy_level(snapshot_level=level, has_base=bool(done), base_number=number, limit=limit))
    return done


def letters(decisions: Sequence[Decision]) -> str:
    return " ".join(f"{done.level[0].upper()}{'*' if done.reason[:9] == 'Converted' else ''}" for done in decisions)


def conditions(
    *, policy_id: int | None = 1, engine: str = "btrfs", content: frozenset[str] = frozenset({"/a", "/b"})
) -> Conditions:
    return Conditions(policy_id=policy_id, engine=engine, content=content)


@pytest.mark.parametrize(
    ("before", "word"),
    [
        (conditions(policy_id=2), "policy"),
        (conditions(engine="xfs"), "engine"),
        (conditions(content=frozenset({"/a"})), "/b"),
    ],
)
def test_s2_a_change_of_policy_engine_or_content_makes_the_next_one_full(before: Conditions, word: str) -> None:
    decision = snapshot_level(asked="incremental", previous=before, current=conditions())
    assert decision.level is RunLevel.FULL
    assert word in decision.reason


def test_s2_otherwise_it_runs_as_asked_and_removed_content_changes_nothing() -> None:
    more = conditions(content=frozenset({"/a", "/b", "/c"}))
    for asked in RunLevel:
        decision = snapshot_level(asked=asked, previous=more, current=conditions())
        assert (decision.level, decision.reason) == (asked, "")


def test_b8_a_copy_runs_as_its_snapshot_job_and_without_a_base_full() -> None:
    assert copy_level(snapshot_level="incremental", has_base=True).level is RunLevel.INCREMENTAL
    assert copy_level(snapshot_level="full", has_base=True).level is RunLevel.FULL
    for has_base, damaged in [(False, False), (True, True)]:
        decision = copy_level(snapshot_level="incremental", has_base=has_base, base_is_lost=damaged)
        assert decision.level is RunLevel.FULL
        assert decision.reason


@pytest.mark.parametrize("limit", [1, 9, 31])
def test_l3_at_the_limit_the_next_incremental_becomes_a_differential_and_numbering_restarts(limit: int) -> None:
    decisions = snapshots("F" + "I" * (limit + 3), limit=limit)
    numbers = [decision.number for decision in decisions]
    converted = decisions[limit + 1]
    assert numbers[: limit + 2] == [*range(limit + 1), 1]
    assert converted.level is RunLevel.DIFFERENTIAL
    assert converted.reason.startswith(f"Converted: limit of {limit} incremental")
    if limit > 1:
        assert converted.reason == f"Converted: limit of {limit} incrementals reached."
        assert numbers[limit + 2 :] == ([2, 3] if limit > 2 else [2, 1])
        assert letters(decisions[limit + 1 :]) == "D* I I"


def test_l1_full_is_0_differential_1_incremental_one_more_than_the_last() -> None:
    decisions = snapshots("FIIDII", limit=None)
    assert [decision.number for decision in decisions] == [0, 1, 2, 1, 2, 3]
    assert letters(decisions) == "F I I D I I"


@pytest.mark.parametrize("asked", ["incremental", "differential", "full"])
def test_s2_the_first_of_all_is_full_with_number_0(asked: str) -> None:
    decision = snapshot_level(asked=asked, previous=None, current=SAME, last_number=7, limit=9)
    assert (decision.level, decision.number) == (RunLevel.FULL, 0)


@pytest.mark.parametrize("asked", ["incremental", "differential"])
def test_s3_without_any_full_before_it_runs_as_full(asked: str) -> None:
    decision = snapshot_level(asked=asked, previous=SAME, current=SAME, has_full=False)
    assert (decision.level, decision.number) == (RunLevel.FULL, 0)
    assert "no earlier full" in decision.reason
    assert snapshot_level(asked="full", previous=SAME, current=SAME, has_full=False).reason == ""


def test_l3_a_differential_that_was_asked_for_at_the_limit_is_no_conversion() -> None:
    decision = snapshot_level(asked="differential", previous=SAME, current=SAME, last_number=9, limit=9)
    assert decision == Decision(level=RunLevel.DIFFERENTIAL, number=1)


def test_b8_a_copy_runs_as_its_converted_snapshot_and_numbers_only_what_was_copied() -> None:
    taken = snapshots("F" + "I" * 12, limit=9)
    every_second = [decision.level for decision in taken][::2]
    decisions = copies(every_second, limit=9)
    assert [decision.number for decision in decisions] == [0, 1, 2, 3, 4, 1, 2]
    with_the_differential = copies([decision.level for decision in taken[1::3]], limit=9)
    assert [decision.number for decision in with_the_differential] == [0, 1, 2, 1]
    assert with_the_differential[0].level is RunLevel.FULL


def test_b8_a_chain_of_copies_has_its_own_limit() -> None:
    decisions = copies([RunLevel.INCREMENTAL] * 5, limit=2)
    assert letters(decisions) == "F I I D* I"


@pytest.mark.parametrize("level", ["incremental", "differential"])
def test_b8_without_a_base_or_a_full_a_copy_is_full_and_says_why(level: str) -> None:
    for decision, words in [
        (copy_level(snapshot_level=level, has_base=False), "no earlier backup copy"),
        (copy_level(snapshot_level=level, has_base=True, base_is_lost=True), "no longer on the medium"),
        (copy_level(snapshot_level=level, has_base=True, base_is_damaged=True), "is damaged"),
        (copy_level(snapshot_level=level, has_base=True, has_full=False), "no full backup copy left"),
    ]:
        assert (decision.level, decision.number) == (RunLevel.FULL, 0)
        assert words in decision.reason


def test_l3_the_forecast_counts_the_incrementals_that_are_left() -> None:
    assert forecast(last_number=3, limit=None) is None
    assert [forecast(last_number=number, limit=9) for number in (None, 0, 8, 9, 31)] == [9, 9, 1, 0, 0]


@given(limit=st.integers(1, 40), last=st.integers(0, 40))
def test_l3_the_forecast_is_what_happens(limit: int, last: int) -> None:
    fit = forecast(last_number=last, limit=limit)
    assert fit is not None
    number = last
    for _ in range(fit):
        decision = snapshot_level(asked="incremental", previous=SAME, current=SAME, last_number=number, limit=limit)
        assert decision.level is RunLevel.INCREMENTAL
        number = decision.number
    last_one = snapshot_level(asked="incremental", previous=SAME, current=SAME, last_number=number, limit=limit)
    assert last_one.reason.startswith("Converted")


def test_l6_the_chains_of_the_examples() -> None:
    numbers = [decision.number for decision in snapshots("F" + "I" * 12, limit=9)]
    job_10, job_12 = restore_chain(numbers, 9), restore_chain(numbers, 11)
    assert job_10 == list(range(10))
    assert [numbers[index] for index in job_12] == [0, 1, 2]
    assert job_12 == [0, 10, 11]
    assert restore_chain(numbers, 0) == [0]


@given(asked=st.text(alphabet="FDI", min_size=1, max_size=40), limit=st.none() | st.integers(1, 12), data=st.data())
def test_l6_a_chain_begins_with_a_full_rises_and_ends_with_what_was_asked(
    asked: str, limit: int | None, data: st.DataObject
) -> None:
    numbers = [decision.number for decision in snapshots(asked, limit=limit)]
    index = data.draw(st.integers(0, len(numbers) - 1))
    chain = restore_chain(numbers, index)
    assert chain[-1] == index
    levels = [numbers[place] for place in chain]
    assert levels[0] == 0
    assert levels == sorted(set(levels))
    assert limit is None or max(numbers) <= limit
    # L1: each was built on the latest dump of any lower level.
    for below, above in itertools.pairwise(chain):
        assert all(numbers[between] >= numbers[above] for between in range(below + 1, above))


def test_l6_a_chain_whose_full_is_gone_says_so() -> None:
    with pytest.raises(ValueError, match="does not begin with a full"):
        restore_chain([1, 2, 3], 2)
