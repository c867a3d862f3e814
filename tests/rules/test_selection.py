"""RULES B2-B4: which snapshots a backup copy takes, with the examples of RULES R."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rules.levels import RunLevel
from jobs.rules.periods import Period, period_end, period_start
from jobs.rules.selection import Mark, Selectable, SelectionKind, SelectionRule, select
from jobs.rules.states import CopyState

BERLIN = ZoneInfo("Europe/Berlin")
DAY = timedelta(days=1)
FULLS = (1, 2, 5, 8, 9, 14, 16)
"""Days of January 2026: Thu, Fri, Mon, Thu, Fri, Wed, Fri."""


def january(day: float) -> datetime:
    return datetime(2026, 1, 1, 20, tzinfo=BERLIN).astimezone(UTC) + (day - 1) * DAY


NOW = january(16.5)


def full(day: int, **values: Any) -> Selectable:
    fields: dict[str, Any] = {"id": day, "taken_at": january(day), "level": RunLevel.FULL} | values
    return Selectable(**fields)


def incremental(number: int, day: float) -> Selectable:
    return Selectable(id=number, taken_at=january(day), level=RunLevel.INCREMENTAL)


def weekly(kind: SelectionKind, **values: Any) -> SelectionRule:
    return SelectionRule(kind=kind, period=Period.WEEK, zone=BERLIN, **values)


def states(rule: SelectionRule, *items: Selectable, now: datetime = NOW) -> dict[CopyState, list[int]]:
    by_state: dict[CopyState, list[int]] = {}
    for number, selected in select(items, rule, now=now).items():
        assert selected.reason
        by_state.setdefault(selected.state, []).append(number)
    return by_state


WITH_INCREMENTALS = [*(full(day) for day in FULLS), *(incremental(100 + day, day + 0.5) for day in range(1, 17))]


def test_b2_first_of_weeks_that_start_on_friday() -> None:
    assert states(weekly(SelectionKind.FIRST), *WITH_INCREMENTALS)[CopyState.TO_BE_COPIED] == [1, 2, 9, 16]


def test_b3_last_of_weeks_that_start_on_friday_with_a_candidate_until_thursday_ends() -> None:
    rule = weekly(SelectionKind.LAST)
    found = states(rule, *WITH_INCREMENTALS)
    assert (found[CopyState.TO_BE_COPIED], found[CopyState.CANDIDATE]) == ([1, 8, 14], [16])
    closes_at = datetime(2026, 1, 23, tzinfo=BERLIN).astimezone(UTC)
    candidate = select(WITH_INCREMENTALS, rule, now=january(16.5))[16]
    assert candidate.due_at == closes_at
    before = states(rule, *WITH_INCREMENTALS, now=closes_at - timedelta(microseconds=1))
    assert before[CopyState.CANDIDATE] == [16]
    after = states(rule, *WITH_INCREMENTALS, now=closes_at)
    assert after[CopyState.TO_BE_COPIED] == [1, 8, 14, 16]
    assert CopyState.CANDIDATE not in after


def test_b3_first_of_weeks_that_start_on_monday() -> None:
    found = states(weekly(SelectionKind.FIRST, week_start=0), *WITH_INCREMENTALS)
    assert found[CopyState.TO_BE_COPIED] == [1, 5, 14]


def test_b2_a_newer_full_takes_the_candidate_s_place() -> None:
    found = states(weekly(SelectionKind.LAST), full(16), full(17), now=january(18))
    assert found == {CopyState.NOT_SELECTED: [16], CopyState.CANDIDATE: [17]}


def test_b2_all_takes_every_level_and_fulls_only_fulls() -> None:
    items = [full(1), incremental(2, 2), Selectable(id=3, taken_at=january(3), level=RunLevel.DIFFERENTIAL)]
    assert states(SelectionRule(zone=BERLIN), *items) == {CopyState.TO_BE_COPIED: [1, 2, 3]}
    fulls = states(SelectionRule(kind=SelectionKind.FULLS, zone=BERLIN), *items)
    assert fulls == {CopyState.TO_BE_COPIED: [1], CopyState.NOT_SELECTED: [2, 3]}


def test_b2_the_start_date_counts_for_the_choice_of_the_first() -> None:
    found = states(weekly(SelectionKind.FIRST, starts_at=january(5)), *(full(day) for day in FULLS))
    assert found == {CopyState.NOT_SELECTED: [1, 2, 8, 14], CopyState.TO_BE_COPIED: [5, 9, 16]}


def test_b2_an_excluded_subclient_is_not_selected_whatever_the_rule() -> None:
    for kind in SelectionKind:
        assert states(weekly(kind), full(1, is_excluded=True)) == {CopyState.NOT_SELECTED: [1]}


@pytest.mark.parametrize(("days", "words"), [(1, "Deferred by 1 day."), (5, "Deferred by 5 days.")])
def test_b2_deferral_selects_at_once_and_is_due_later(days: int, words: str) -> None:
    selected = select([full(1)], SelectionRule(zone=BERLIN, defer_days=days), now=january(2))[1]
    assert selected.state is CopyState.TO_BE_COPIED
    assert selected.due_at == january(1) + days * DAY
    assert words in selected.reason


def test_b4_marks_beat_the_rule_and_prevent_beats_pick() -> None:
    rule = weekly(SelectionKind.LAST, starts_at=january(10), defer_days=3)
    picked = select([full(1, mark=Mark.PICK, is_excluded=True)], rule, now=january(1))[1]
    assert (picked.state, picked.due_at) == (CopyState.TO_BE_COPIED, None)
    prevented = select([full(12, mark=Mark.PREVENT)], rule, now=january(30))[12]
    assert prevented.state is CopyState.PREVENTED


def test_b4_a_mark_changes_only_the_marked_one() -> None:
    found = states(weekly(SelectionKind.FIRST), full(2, mark=Mark.PREVENT), full(5), full(8, mark=Mark.PICK))
    assert found == {CopyState.PREVENTED: [2], CopyState.NOT_SELECTED: [5], CopyState.TO_BE_COPIED: [8]}


@pytest.mark.parametrize("kind", [SelectionKind.FIRST, SelectionKind.LAST])
def test_a_first_or_last_of_no_period_is_refused(kind: SelectionKind) -> None:
    with pytest.raises(ValueError, match="needs a period"):
        SelectionRule(kind=kind, zone=BERLIN)


def test_of_two_at_the_same_moment_the_lower_id_is_the_first() -> None:
    twins = [full(2, id=9), full(2, id=3)]
    assert states(weekly(SelectionKind.FIRST), *twins)[CopyState.TO_BE_COPIED] == [3]
    assert states(weekly(SelectionKind.LAST), *twins, now=january(20))[CopyState.TO_BE_COPIED] == [9]


MOMENTS = st.floats(0, 400).map(lambda days: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days))
ITEMS = st.lists(
    st.builds(
        Selectable,
        id=st.integers(1, 10_000),
        taken_at=MOMENTS,
        level=st.sampled_from(RunLevel),
        mark=st.sampled_from(Mark),
    ),
    unique_by=lambda each: each.id,
    max_size=12,
)


@given(items=ITEMS, period=st.sampled_from(Period), kind=st.sampled_from(SelectionKind), now=MOMENTS)
def test_b2_of_each_period_at_most_one_is_chosen_and_prevented_ones_never(
    items: list[Selectable], period: Period, kind: SelectionKind, now: datetime
) -> None:
    rule = SelectionRule(kind=kind, period=period, zone=BERLIN)
    found = select(items, rule, now=now)
    assert set(found) == {each.id for each in items}
    chosen = []
    for each in items:
        selected = found[each.id]
        assert (selected.state is CopyState.PREVENTED) == (each.mark is Mark.PREVENT)
        if each.mark is Mark.PICK:
            assert selected.state is CopyState.TO_BE_COPIED
        if selected.state is CopyState.CANDIDATE:
            assert kind is SelectionKind.LAST
            assert selected.due_at == period_end(each.taken_at, period, BERLIN)
            assert now < selected.due_at
        if each.mark is Mark.NONE and selected.state in {CopyState.TO_BE_COPIED, CopyState.CANDIDATE}:
            chosen.append(period_start(each.taken_at, period, BERLIN))
    if kind in {SelectionKind.FIRST, SelectionKind.LAST}:
        assert len(chosen) == len(set(chosen))


@given(items=ITEMS, period=st.sampled_from(Period), kind=st.sampled_from(SelectionKind), now=MOMENTS)
def test_b2_what_was_decided_stays_decided_when_later_snapshots_come(
    items: list[Selectable], period: Period, kind: SelectionKind, now: datetime
) -> None:
    rule = SelectionRule(kind=kind, period=period, zone=BERLIN)
    known = [each for each in items if each.taken_at <= now]
    then = select(known, rule, now=now)
    later = select(items, rule, now=now + 800 * DAY)
    for number, selected in then.items():
        if selected.state is not CopyState.CANDIDATE:
            assert later[number].state is selected.state
