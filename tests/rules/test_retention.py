"""RULES R1-R3 and R5-R8: the examples of RULES R, and what must hold for every chain."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rules.levels import RunLevel
from jobs.rules.periods import Period
from jobs.rules.retention import (
    BackupItem,
    BackupRule,
    Extended,
    Hold,
    SnapItem,
    SnapRule,
    Verdict,
    age_backups,
    age_snapshots,
    limit_warning,
)

ZONE = ZoneInfo("UTC")
DAY = timedelta(days=1)
FIRST_SUNDAY = datetime(2026, 1, 4, 20, tzinfo=UTC)


def noon(month: int, day: int) -> datetime:
    return datetime(2026, month, day, 12, tzinfo=UTC)


def chain(days: int, **values: Any) -> list[BackupItem]:
    """Item n is of day n; fulls on Sundays at 20:00 from 2026-01-04, incrementals on all other days."""
    levels = [RunLevel.INCREMENTAL if day % 7 else RunLevel.FULL for day in range(days)]
    return [
        BackupItem(id=day, started_at=FIRST_SUNDAY + day * DAY, level=level, **values)
        for day, level in enumerate(levels)
    ]


def aged(rule: BackupRule, items: Sequence[BackupItem], now: datetime, **values: Any) -> set[int]:
    verdicts = age_backups(items, rule, now=now, zone=ZONE, **values)
    return {number for number, verdict in verdicts.items() if verdict.is_aged}


def aged_at(rule: BackupRule, now: datetime) -> set[int]:
    """Of all that were taken until then."""
    return aged(rule, [item for item in chain(60) if item.started_at <= now], now)


def week(number: int) -> set[int]:
    return set(range(number * 7 - 7, number * 7))


@pytest.mark.parametrize(
    ("cycles", "days", "month", "day"), [(2, 14, 1, 25), (1, 30, 2, 10), (3, 0, 1, 26), (1, 0, 1, 12), (0, 7, 1, 18)]
)
def test_r1_cycle_1_is_aged_as_a_whole_at_that_noon_then_one_cycle_each_week(
    cycles: int, days: int, month: int, day: int
) -> None:
    rule = BackupRule(days=days, cycles=cycles)
    at_noon = noon(month, day)
    assert aged_at(rule, at_noon - DAY) == set()
    assert aged_at(rule, at_noon) == week(1)
    assert aged_at(rule, at_noon + 6 * DAY) == week(1)
    assert aged_at(rule, at_noon + 7 * DAY) == week(1) | week(2)


def verdict(rule: BackupRule, items: Sequence[BackupItem], now: datetime, number: int = 0, **values: Any) -> Verdict:
    return age_backups(items, rule, now=now, zone=ZONE, **values)[number]


def test_r7_the_moment_is_predicted_once_the_fulls_are_there() -> None:
    rule = BackupRule(days=14, cycles=2)
    found = verdict(rule, chain(16), FIRST_SUNDAY + 15 * DAY)
    assert (found.hold, found.retain_until) == (Hold.DAYS, datetime(2026, 1, 24, 20, tzinfo=UTC))
    assert "14 days" in found.reason
    later = verdict(rule, chain(22), noon(1, 26))
    assert later.is_aged
    assert (later.hold, later.retain_until) == (None, datetime(2026, 1, 24, 20, tzinfo=UTC))
    assert later.reason == "Its cycle is older than 14 days, and 2 newer cycles are kept."


@pytest.mark.parametrize(("days", "words"), [(7, "2 more fulls succeed"), (8, "1 more full succeeds")])
def test_r7_while_fulls_are_missing_nobody_knows_the_moment(days: int, words: str) -> None:
    found = verdict(BackupRule(days=14, cycles=2), chain(days), noon(12, 31))
    assert (found.is_aged, found.hold, found.retain_until) == (False, Hold.CYCLES, None)
    assert words in found.reason


def test_r1_only_a_successful_full_opens_a_cycle() -> None:
    items = chain(7)
    failed = BackupItem(id=99, started_at=FIRST_SUNDAY + 7 * DAY, level=RunLevel.FULL, is_complete=False)
    assert aged(BackupRule(days=0, cycles=1), [*items, failed], noon(3, 1)) == set()
    again = BackupItem(id=100, started_at=FIRST_SUNDAY + 8 * DAY, level=RunLevel.FULL)
    assert aged(BackupRule(days=0, cycles=1), [*items, failed, again], noon(3, 1)) == {*week(1), 99}


def test_r1_what_is_older_than_the_first_full_ages_before_it() -> None:
    orphan = BackupItem(id=99, started_at=FIRST_SUNDAY - DAY, level=RunLevel.INCREMENTAL)
    assert aged(BackupRule(days=0, cycles=1), [*chain(3), orphan], noon(3, 1)) == {99}
    assert aged(BackupRule(days=0, cycles=1), [orphan], noon(3, 1)) == set()


@pytest.mark.parametrize("rule", [BackupRule(days=None, cycles=None), BackupRule(days=None), BackupRule(cycles=None)])
def test_r1_infinite_is_for_ever(rule: BackupRule) -> None:
    found = verdict(rule, chain(60), noon(12, 31))
    assert (found.is_aged, found.hold, found.retain_until) == (False, Hold.INFINITE, None)


def test_r1_the_default_is_30_days_and_1_cycle() -> None:
    assert BackupRule() == BackupRule(days=30, cycles=1, extended=())


def extended(period: Period, pick: Literal["first", "last"], days: int | None) -> BackupRule:
    return BackupRule(days=14, cycles=2, extended=(Extended(period=period, pick=pick, days=days),))


@pytest.mark.parametrize(("pick", "number"), [("first", 0), ("last", 21)])
def test_r3_an_extended_rule_keeps_one_full_of_each_period(pick: Literal["first", "last"], number: int) -> None:
    items = chain(60)
    kept = set(range(60)) - aged(extended(Period.MONTH, pick, 90), items, FIRST_SUNDAY + 80 * DAY)
    basic = set(range(60)) - aged(BackupRule(days=14, cycles=2), items, FIRST_SUNDAY + 80 * DAY)
    february_and_march = {"first": {28}, "last": {49}}[pick]
    assert kept == basic | {number} | february_and_march
    found = verdict(extended(Period.MONTH, pick, 90), items, FIRST_SUNDAY + 80 * DAY, number)
    assert (found.hold, found.retain_until) == (Hold.EXTENDED, FIRST_SUNDAY + (number + 90) * DAY)
    assert f"{pick} full of its month is kept 90 days" in found.reason


def test_r3_an_extended_rule_ends_and_may_be_for_ever() -> None:
    assert verdict(extended(Period.YEAR, "first", 90), chain(60), FIRST_SUNDAY + 90 * DAY).is_aged
    found = verdict(extended(Period.YEAR, "first", None), chain(60), noon(12, 31))
    assert (found.hold, found.retain_until) == (Hold.EXTENDED, None)
    assert "for ever" in found.reason


def test_r3_a_full_that_did_not_succeed_is_no_choice() -> None:
    failed = BackupItem(id=99, started_at=FIRST_SUNDAY - DAY, level=RunLevel.FULL, is_complete=False)
    gone = aged(extended(Period.YEAR, "first", 300), [failed, *chain(60)], FIRST_SUNDAY + 80 * DAY)
    assert 99 in gone
    assert 0 not in gone


@pytest.mark.parametrize(
    ("days", "rules", "words"),
    [
        (30, [30], "longer"),
        (30, [60, 90, 120, 150], "At most 3"),
        (None, [60], "for ever"),
    ],
)
def test_r3_rules_that_make_no_sense_are_refused(days: int | None, rules: list[int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        BackupRule(days=days, extended=tuple(Extended(period=Period.YEAR, days=each) for each in rules))


SHORT = BackupRule(days=0, cycles=0)
LATE = noon(12, 31)


@pytest.mark.parametrize(
    ("values", "hold", "until"),
    [
        ({"is_pinned": True}, Hold.PINNED, None),
        ({"pinned_until": LATE + DAY}, Hold.PINNED, LATE + DAY),
        ({"is_locked_until": LATE + DAY}, Hold.LOCKED, LATE + DAY),
        ({"is_in_use": True}, Hold.RUNNING, None),
        ({"holds": (Hold.NOT_COPIED,)}, Hold.NOT_COPIED, None),
    ],
)
def test_r6_pinned_locked_and_used_ones_stay(values: dict[str, Any], hold: Hold, until: datetime | None) -> None:
    found = verdict(SHORT, chain(1, **values), LATE)
    assert (found.is_aged, found.hold, found.retain_until) == (False, hold, until)
    assert found.reason


@pytest.mark.parametrize("values", [{"pinned_until": LATE}, {"is_locked_until": LATE}])
def test_r6_pins_and_locks_end(values: dict[str, Any]) -> None:
    assert verdict(SHORT, chain(1, **values), LATE).is_aged


def test_r7_what_holds_longest_speaks() -> None:
    items = chain(1, pinned_until=LATE + DAY, is_locked_until=LATE + 2 * DAY)
    found = verdict(SHORT, items, LATE)
    assert (found.hold, found.retain_until) == (Hold.LOCKED, LATE + 2 * DAY)


@pytest.mark.parametrize(
    ("is_off", "is_frozen", "hold"),
    [(True, False, Hold.AGING_OFF), (False, True, Hold.FROZEN), (True, True, Hold.AGING_OFF)],
)
def test_r7_r10_nothing_is_aged_while_aging_is_off_or_frozen(is_off: bool, is_frozen: bool, hold: Hold) -> None:
    found = verdict(SHORT, chain(3, is_pinned=True), LATE, is_off=is_off, is_frozen=is_frozen)
    assert (found.is_aged, found.hold, found.retain_until) == (False, hold, None)
    snapshot = SnapItem(id=1, taken_at=FIRST_SUNDAY)
    kept = age_snapshots([snapshot], SnapRule(days=1), now=LATE, is_off=is_off, is_frozen=is_frozen)[1]
    assert (kept.is_aged, kept.hold) == (False, hold)


LEVELS = "FIIDII"


def dumps(held: int) -> list[BackupItem]:
    names = {"F": RunLevel.FULL, "D": RunLevel.DIFFERENTIAL, "I": RunLevel.INCREMENTAL}
    return [
        BackupItem(id=index, started_at=FIRST_SUNDAY + index * DAY, level=names[letter], is_pinned=index == held)
        for index, letter in enumerate(LEVELS)
    ]


@pytest.mark.parametrize(("held", "kept"), [(0, {0}), (2, {0, 1, 2}), (3, {0, 3}), (5, {0, 3, 4, 5})])
def test_r6_a_held_dump_holds_those_it_is_built_on(held: int, kept: set[int]) -> None:
    everything = set(range(len(LEVELS)))
    assert everything - aged(SHORT, dumps(held), LATE, is_chained=True) == kept
    assert everything - aged(SHORT, dumps(held), LATE) == {held}
    base = verdict(SHORT, dumps(5), LATE, 0, is_chained=True)
    assert (base.hold, base.retain_until) == (Hold.BASE, None)


def test_r6_dumps_whose_full_is_gone_hold_nothing_else() -> None:
    assert aged(SHORT, dumps(5)[1:], LATE, is_chained=True) == {1, 2, 3, 4}


ITEMS = st.lists(
    st.builds(
        BackupItem,
        id=st.integers(1, 10_000),
        started_at=st.floats(0, 200).map(lambda days: FIRST_SUNDAY + timedelta(days=days)),
        level=st.sampled_from(RunLevel),
        is_complete=st.booleans(),
        is_pinned=st.booleans(),
        is_in_use=st.booleans(),
    ),
    unique_by=lambda item: item.id,
    max_size=12,
)
RULES = st.builds(BackupRule, days=st.integers(0, 60), cycles=st.integers(0, 4))


@given(items=ITEMS, rule=RULES, day=st.integers(0, 300))
def test_r1_the_kept_cycles_and_young_ones_never_age(items: list[BackupItem], rule: BackupRule, day: int) -> None:
    now = FIRST_SUNDAY + day * DAY
    gone = aged(rule, items, now)
    fulls = [(item.started_at, item.id) for item in items if item.level is RunLevel.FULL and item.is_complete]
    for item in items:
        newer = [full for full in fulls if full > (item.started_at, item.id)]
        if item.id in gone:
            assert len(newer) >= (rule.cycles or 0)
            assert now - item.started_at >= timedelta(days=rule.days or 0)
            assert not any((item.is_pinned, item.is_in_use))


@given(items=ITEMS, rule=RULES, day=st.integers(0, 300), later=st.integers(0, 100))
def test_r1_what_is_aged_stays_aged_and_its_moment_has_come(
    items: list[BackupItem], rule: BackupRule, day: int, later: int
) -> None:
    now = FIRST_SUNDAY + day * DAY
    verdicts = age_backups(items, rule, now=now, zone=ZONE)
    assert aged(rule, items, now) <= aged(rule, items, now + later * DAY)
    for found in verdicts.values():
        assert found.reason
        assert (found.hold is None) == found.is_aged
        if found.retain_until is not None:
            assert (found.retain_until <= now) == found.is_aged


@given(items=ITEMS, rule=RULES, day=st.integers(0, 300))
def test_r7_retain_until_is_the_moment_it_is_aged(items: list[BackupItem], rule: BackupRule, day: int) -> None:
    now = FIRST_SUNDAY + day * DAY
    for number, found in age_backups(items, rule, now=now, zone=ZONE).items():
        if not found.is_aged and found.retain_until is not None:
            moment = found.retain_until
            assert not verdict(rule, items, moment - timedelta(microseconds=1), number).is_aged
            assert verdict(rule, items, moment, number).is_aged


def snapshots(*days: int, **values: Any) -> list[SnapItem]:
    return [SnapItem(id=day, taken_at=FIRST_SUNDAY + day * DAY, **values) for day in days]


def kept(rule: SnapRule, items: Sequence[SnapItem], now: datetime) -> list[int]:
    return [number for number, found in age_snapshots(items, rule, now=now).items() if not found.is_aged]


def test_r2_snapshots_are_kept_for_days() -> None:
    items = snapshots(1, 2, 3)
    assert kept(SnapRule(days=7), items, FIRST_SUNDAY + 9 * DAY) == [3]
    found = age_snapshots(items, SnapRule(days=7), now=FIRST_SUNDAY + 9 * DAY)
    assert (found[3].hold, found[3].retain_until) == (Hold.DAYS, FIRST_SUNDAY + 10 * DAY)
    assert (found[2].reason, found[2].retain_until) == ("Older than 7 days.", FIRST_SUNDAY + 9 * DAY)
    one = age_snapshots(items, SnapRule(days=1), now=FIRST_SUNDAY + 9 * DAY)
    assert one[1].reason == "Older than 1 day."


def test_r2_or_by_their_number() -> None:
    items = snapshots(3, 1, 2)
    assert kept(SnapRule(count=2), items, LATE) == [2, 3]
    found = age_snapshots(items, SnapRule(count=2), now=LATE)
    assert (found[2].hold, found[2].retain_until) == (Hold.SNAPSHOTS, None)
    assert (found[1].reason, found[1].retain_until) == ("2 newer ones are kept.", FIRST_SUNDAY + 3 * DAY)
    assert kept(SnapRule(count=9), items, LATE) == [1, 2, 3]


def test_r2_or_for_ever() -> None:
    found = age_snapshots(snapshots(1), SnapRule(), now=LATE)[1]
    assert (found.is_aged, found.hold, found.retain_until) == (False, Hold.INFINITE, None)


@pytest.mark.parametrize(("values", "words"), [({"days": 1, "count": 1}, "never both"), ({"count": 0}, "at least 1")])
def test_r2_never_both_and_never_none(values: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SnapRule(**values)


@pytest.mark.parametrize("hold", [Hold.NOT_COPIED, Hold.BASE, Hold.MOUNTED, Hold.PINNED, Hold.RUNNING])
@pytest.mark.parametrize("rule", [SnapRule(days=1), SnapRule(count=1)])
def test_r5_r6_held_snapshots_stay_whatever_their_age(hold: Hold, rule: SnapRule) -> None:
    found = age_snapshots([*snapshots(1, holds=(hold,)), *snapshots(2)], rule, now=LATE)[1]
    assert (found.is_aged, found.hold, found.retain_until) == (False, hold, None)
    assert found.reason


def test_r6_a_snapshot_is_retained_until_the_moment_that_was_set() -> None:
    items = snapshots(1, pinned_until=LATE)
    before = age_snapshots(items, SnapRule(days=1), now=LATE - DAY)[1]
    assert (before.hold, before.retain_until) == (Hold.PINNED, LATE)
    assert age_snapshots(items, SnapRule(days=1), now=LATE)[1].is_aged


@given(days=st.lists(st.integers(0, 100), unique=True, max_size=20), count=st.integers(1, 25), now=st.integers(0, 120))
def test_r2_exactly_the_newest_are_kept(days: list[int], count: int, now: int) -> None:
    assert kept(SnapRule(count=count), snapshots(*days), FIRST_SUNDAY + (now + 100) * DAY) == sorted(days)[-count:]


def test_r8_a_warning_from_80_percent_of_the_limit() -> None:
    assert limit_warning(present=10**6, limit=None) == ""
    assert limit_warning(present=818, limit=1023) == ""
    assert limit_warning(present=819, limit=1023) == "819 of the 1,023 snapshots that the storage allows are taken."
    assert "next one will be refused" in limit_warning(present=1023, limit=1023)
