"""RULES B5-B7, B10 and R5: the order of copying, its source, and when waiting ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rules.states import CopyState
from jobs.rules.waiting import (
    Offline,
    OverdueAction,
    OverdueItem,
    Source,
    WaitingItem,
    WaitingVerdict,
    choose_source,
    next_to_copy,
    offline_verdict,
    overdue_skips,
    waiting_verdict,
    waits_for_copy,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def item(days_ago: int, state: CopyState = CopyState.TO_BE_COPIED, **values: datetime) -> WaitingItem:
    return WaitingItem(id=days_ago, taken_at=NOW - days_ago * DAY, state=state, **values)


def next_id(*items: WaitingItem, now: datetime | None = NOW) -> int | None:
    found = next_to_copy(items, now=now)
    return found.id if found else None


def test_b5_oldest_first_and_what_does_not_wait_is_passed_over() -> None:
    idle = [state for state in CopyState if state not in {"to_be_copied", "failed", "copying"}]
    assert next_id(item(1), item(3), item(2), *(item(9, state) for state in idle)) == 3
    assert next_id() is None


def test_b5_one_at_a_time() -> None:
    assert next_id(item(2), item(1, CopyState.COPYING)) is None


def test_b5_a_newer_one_never_overtakes_an_older_one_that_can_still_be_retried() -> None:
    failed = item(2, CopyState.FAILED, retry_at=NOW + HOUR)
    assert next_id(failed, item(1)) is None
    assert next_id(failed, item(1), now=NOW + HOUR) == 2
    assert next_id(failed, item(1), now=None) == 2


def test_b2_one_that_is_deferred_holds_up_nobody() -> None:
    assert next_id(item(2, due_at=NOW + HOUR), item(1)) == 1
    assert next_id(item(2, due_at=NOW), item(1)) == 2


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(CopyState)), max_size=15))
def test_b5_nothing_that_waits_is_older_than_the_next(given_items: list[tuple[int, CopyState]]) -> None:
    items = [item(days, state) for days, state in given_items]
    found = next_to_copy(items)
    waiting = [each for each in items if each.state in {CopyState.TO_BE_COPIED, CopyState.FAILED}]
    if any(each.state is CopyState.COPYING for each in items) or not waiting:
        assert found is None
    else:
        assert found is not None
        assert found.taken_at == min(each.taken_at for each in waiting)


@pytest.mark.parametrize("state", CopyState)
def test_r5_a_snapshot_is_held_until_it_is_copied_skipped_prevented_or_the_copy_inactive(state: CopyState) -> None:
    holds = {CopyState.CANDIDATE, CopyState.TO_BE_COPIED, CopyState.COPYING, CopyState.FAILED}
    assert waits_for_copy(state, is_copy_active=True) == (state in holds)
    assert not waits_for_copy(state, is_copy_active=False)


@pytest.mark.parametrize(
    ("asked", "source", "word"),
    [
        ((True, True, True, False), Source.PRIMARY, "primary"),
        ((True, False, False, True), Source.WAIT, "not on the primary"),
        ((False, True, True, True), Source.SECONDARY, "secondary"),
        ((False, True, False, False), Source.SECONDARY, "secondary"),
        ((False, False, True, False), Source.WAIT, "not on the secondary"),
        ((False, False, True, True), Source.PRIMARY, "as the policy allows"),
        ((False, False, False, True), Source.WAIT, "neither"),
    ],
)
def test_b6_the_source_is_waited_for_and_never_replaced_silently(
    asked: tuple[bool, bool, bool, bool], source: Source, word: str
) -> None:
    choice = choose_source(
        wanted_is_primary=asked[0], wanted_has_it=asked[1], primary_has_it=asked[2], allow_primary=asked[3]
    )
    assert choice.source is source
    assert word in choice.reason


@pytest.mark.parametrize(
    ("attempts", "waited", "action", "word"),
    [
        (1, HOUR, Offline.RETRY, "attempt 1 of 10"),
        (9, 5 * DAY - HOUR, Offline.RETRY, "attempt 9 of 10"),
        (10, HOUR, Offline.SKIP, "10 attempts"),
        (2, 5 * DAY, Offline.SKIP, "5 days"),
    ],
)
def test_b7_an_offline_source_is_tried_ten_times_and_five_days(
    attempts: int, waited: timedelta, action: Offline, word: str
) -> None:
    verdict = offline_verdict(attempts=attempts, first_failed_at=NOW - waited, now=NOW)
    assert verdict.action is action
    assert word in verdict.reason


def test_b7_the_limits_are_settings() -> None:
    verdict = offline_verdict(attempts=3, first_failed_at=NOW, now=NOW, most_attempts=3, most_days=1)
    assert verdict.action is Offline.SKIP


@pytest.mark.parametrize(
    ("waited", "verdict"),
    [
        (48 * HOUR, WaitingVerdict.FINE),
        (48 * HOUR + timedelta(seconds=1), WaitingVerdict.ALERT),
        (14 * DAY, WaitingVerdict.ALERT),
        (14 * DAY + timedelta(seconds=1), WaitingVerdict.OVERDUE),
    ],
)
def test_b10_alert_over_48_hours_overdue_after_14_days(waited: timedelta, verdict: WaitingVerdict) -> None:
    assert waiting_verdict(selected_at=NOW - waited, now=NOW) is verdict


def overdue(*days_ago: int) -> list[OverdueItem]:
    return [OverdueItem(id=days, taken_at=NOW - days * DAY, selected_at=NOW - days * DAY) for days in days_ago]


def test_b10_skip_older_leaves_the_newest_to_be_copied() -> None:
    assert overdue_skips(overdue(1, 20, 10), OverdueAction.SKIP_OLDER, NOW) == [20, 10]
    assert overdue_skips(overdue(20), OverdueAction.SKIP_OLDER, NOW) == []
    assert overdue_skips(overdue(14, 10, 1), OverdueAction.SKIP_OLDER, NOW) == []
    assert overdue_skips([], OverdueAction.SKIP_OLDER, NOW) == []
    assert overdue_skips(overdue(3, 1), OverdueAction.SKIP_OLDER, NOW, overdue_after=2 * DAY) == [3]


@pytest.mark.parametrize(
    ("action", "verdict"),
    [
        (OverdueAction.ALERT_ONLY, WaitingVerdict.OVERDUE),
        (OverdueAction.SKIP_OLDER, WaitingVerdict.OVERDUE),
        (OverdueAction.KEEP_WAITING, WaitingVerdict.ALERT),
    ],
)
def test_b10_what_keeps_waiting_alerts_but_is_never_overdue(action: OverdueAction, verdict: WaitingVerdict) -> None:
    assert waiting_verdict(selected_at=NOW - 99 * DAY, now=NOW, action=action) is verdict


@pytest.mark.parametrize("action", [OverdueAction.ALERT_ONLY, OverdueAction.KEEP_WAITING])
def test_b10_the_other_actions_skip_nothing(action: OverdueAction) -> None:
    assert overdue_skips(overdue(1, 20, 30), action, NOW) == []
