"""RULES J4 and B7 (retries), J1, J6 and B4 (states)."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from jobs.models import choices
from jobs.rules import states
from jobs.rules.retry import POLICIES, RetryPolicy


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
