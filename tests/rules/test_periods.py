"""RULES B2, B3, R3: periods follow each other without gap or overlap, also when clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rules.periods import Period, period_end, period_start

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
LORD_HOWE, KOLKATA = ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Asia/Kolkata")
SANTIAGO, HAVANA = ZoneInfo("America/Santiago"), ZoneInfo("America/Havana")
ZONES = [BERLIN, NEW_YORK, LORD_HOWE, KOLKATA, SANTIAGO, HAVANA, ZoneInfo("UTC"), ZoneInfo("Antarctica/Troll")]
HOUR = timedelta(hours=1)


def at(text: str, zone: ZoneInfo = BERLIN, *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        (Period.HOUR, "2026-05-20 14:00", "2026-05-20 15:00"),
        (Period.DAY, "2026-05-20 00:00", "2026-05-21 00:00"),
        (Period.WEEK, "2026-05-15 00:00", "2026-05-22 00:00"),
        (Period.MONTH, "2026-05-01 00:00", "2026-06-01 00:00"),
        (Period.QUARTER, "2026-04-01 00:00", "2026-07-01 00:00"),
        (Period.HALF_YEAR, "2026-01-01 00:00", "2026-07-01 00:00"),
        (Period.YEAR, "2026-01-01 00:00", "2027-01-01 00:00"),
    ],
)
def test_b2_the_periods_around_a_wednesday_in_may(period: Period, start: str, end: str) -> None:
    moment = at("2026-05-20 14:37:21.5")
    assert period_start(moment, period, BERLIN) == at(start)
    assert period_end(moment, period, BERLIN) == at(end)


def test_b3_weeks_start_on_friday_unless_told_otherwise() -> None:
    thursday, friday = at("2026-01-08 23:59"), at("2026-01-09 00:00")
    assert period_start(thursday, Period.WEEK, BERLIN) == at("2026-01-02")
    assert period_start(friday, Period.WEEK, BERLIN) == friday == period_end(thursday, Period.WEEK, BERLIN)
    assert period_start(friday, Period.WEEK, BERLIN, week_start=0) == at("2026-01-05")


@pytest.mark.parametrize(
    ("text", "zone", "hours"),
    [
        ("2026-03-29 12:00", BERLIN, 23),
        ("2026-10-25 12:00", BERLIN, 25),
        ("2026-03-08 12:00", NEW_YORK, 23),
        ("2026-11-01 12:00", NEW_YORK, 25),
        ("2026-10-04 12:00", LORD_HOWE, 23.5),
        ("2026-04-05 12:00", LORD_HOWE, 24.5),
        ("2026-07-01 12:00", KOLKATA, 24),
    ],
)
def test_a_day_is_a_local_day_whatever_its_length(text: str, zone: ZoneInfo, hours: float) -> None:
    moment = at(text, zone)
    assert period_end(moment, Period.DAY, zone) - period_start(moment, Period.DAY, zone) == hours * HOUR


def test_a_day_begins_after_the_gap_where_clocks_jump_over_midnight() -> None:
    moment = at("2025-09-07 12:00", SANTIAGO)
    assert period_start(moment, Period.DAY, SANTIAGO) == at("2025-09-07 01:00", SANTIAGO)
    assert period_end(moment, Period.DAY, SANTIAGO) - period_start(moment, Period.DAY, SANTIAGO) == 23 * HOUR


def test_a_day_begins_with_the_first_of_two_midnights() -> None:
    second_midnight = at("2025-11-02 00:30", HAVANA, fold=1)
    assert period_start(second_midnight, Period.DAY, HAVANA) == at("2025-11-02 00:00", HAVANA, fold=0)


def test_an_hour_that_the_clocks_show_twice_is_two_hours() -> None:
    first, second = at("2026-10-25 02:30"), at("2026-10-25 02:30", fold=1)
    assert period_start(first, Period.HOUR, BERLIN) == at("2026-10-25 02:00")
    assert period_end(first, Period.HOUR, BERLIN) == period_start(second, Period.HOUR, BERLIN)
    assert second - first == HOUR


def test_an_hour_is_cut_where_clocks_change_by_half_an_hour() -> None:
    first, second = at("2026-04-05 01:45", LORD_HOWE), at("2026-04-05 01:45", LORD_HOWE, fold=1)
    change = at("2026-04-05 02:00", LORD_HOWE) - HOUR / 2
    assert period_end(first, Period.HOUR, LORD_HOWE) == change == period_start(second, Period.HOUR, LORD_HOWE)
    assert period_end(at("2026-04-05 00:15", LORD_HOWE), Period.HOUR, LORD_HOWE) == at("2026-04-05 01:00", LORD_HOWE)
    spring = at("2026-10-04 02:45", LORD_HOWE)
    assert period_start(spring, Period.HOUR, LORD_HOWE) == at("2026-10-04 02:30", LORD_HOWE)


def test_hours_begin_at_the_full_local_hour_in_zones_off_by_half_an_hour() -> None:
    assert period_start(at("2026-05-20 14:37", KOLKATA), Period.HOUR, KOLKATA) == at("2026-05-20 14:00", KOLKATA)


@given(
    moment=st.floats(0, 9 * 365.0).map(lambda days: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=days)),
    period=st.sampled_from(Period),
    zone=st.sampled_from(ZONES),
    week_start=st.integers(0, 6),
)
def test_periods_have_neither_gaps_nor_overlaps(
    moment: datetime, period: Period, zone: ZoneInfo, week_start: int
) -> None:
    start, end = period_start(moment, period, zone, week_start), period_end(moment, period, zone, week_start)
    assert start <= moment < end
    for inside in (start, start + (end - start) / 3, end - timedelta(microseconds=1)):
        assert period_start(inside, period, zone, week_start) == start
        assert period_end(inside, period, zone, week_start) == end
    assert period_start(end, period, zone, week_start) == end


def test_periods_are_named_as_people_say_them() -> None:
    assert [period.words for period in Period] == ["hour", "day", "week", "month", "quarter", "half-year", "year"]
