"""RULES S2 and B8 (levels), J4 and B7 (retries), J1, J6 and B4 (states)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.models import choices
from jobs.rules import states
from jobs.rules.levels import Conditions, RunLevel, copy_level, snapshot_level
from jobs.rules.retry import POLICIES, RetryPolicy


def conditions(
    *, policy_id: int | None = 1, engine: str = "btrfs", content: frozenset[str] = frozenset({"/a", "/b"})
) -> Conditions:
    return Conditions(policy_id=policy_id, engine=engine, content=content)


@pytest.mark.parametrize("asked", ["full", "incremental"])
def test_s2_the_first_job_of_a_subclient_is_full_whatever_was_asked(asked: str) -> None:
    decision = snapshot_level(asked=asked, previous=None, current=conditions())
    assert decision.level is RunLevel.FULL
    assert "first" in decision.reason


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
        decision = copy_level(snapshot_level="incremental", has_base=has_base, base_is_damaged=damaged)
        assert decision.level is RunLevel.FULL
        assert decision.reason


@given(times=st.integers(0, 50), retries=st.integers(0, 60))
def test_j4_waits_grow_up_to_their_limit_and_end(times: int, retries: int) -> None:
    policy = RetryPolicy(times=times, first_seconds=30, most_seconds=600)
    wait = policy.wait_seconds(retries)
    assert (wait is None) == (retries >= times)
    if wait is not None:
        assert 30 <= wait <= 600
        later = policy.wait_seconds(retries + 1)
        assert later is None or later >= wait


def test_every_operation_has_a_retry_policy() -> None:
    assert set(POLICIES) == set(choices.Operation.values)


def test_the_tables_know_the_states_of_the_rules() -> None:
    assert set(choices.JobState.values) == {state.value for state in states.JobState}
    assert set(choices.CopyState.values) == {state.value for state in states.CopyState}


def test_j1_what_is_over_stays_over_and_everything_active_can_be_killed() -> None:
    for before, after in itertools.product(states.FINAL, states.JobState):
        assert states.may_move(before, after) == (before == after)
    for before in states.ACTIVE:
        assert states.may_move(before, states.JobState.KILLED)


def test_j6_a_job_that_skipped_files_is_never_completed() -> None:
    assert states.end_state(exceptions=0) is states.JobState.COMPLETED
    assert states.end_state(exceptions=1) is states.JobState.COMPLETED_WITH_ERRORS
