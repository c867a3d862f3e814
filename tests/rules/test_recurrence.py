"""Schedules: slots over changes of clocks, missed runs, spreading, and expressions that are refused."""

from __future__ import annotations

import contextlib
import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rules.cron_slots import slots
from jobs.rules.recurrence import (
    GRACE,
    MOST_SLOTS,
    Due,
    InvalidRecurrence,
    Recurrence,
    due,
    jitter_seconds,
    next_slots,
    slots_between,
)

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)


def at(text: str, zone: str = "UTC", *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def night(cron: str, zone: str, day: str) -> list[datetime]:
    """All slots of one local day."""
    start = at(day, zone)
    end = at((datetime.fromisoformat(day) + DAY).isoformat(), zone)
    return slots_between(Recurrence(cron=cron, zone=zone), start - timedelta(seconds=1), end - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("cron", "zone", "day", "after_the_gap"),
    [
        ("30 2 * * *", BERLIN, "2026-03-29", "2026-03-29T01:00"),
        ("0,30 2 * * *", BERLIN, "2026-03-29", "2026-03-29T01:00"),
        ("*/10 2 * * *", BERLIN, "2026-03-29", "2026-03-29T01:00"),
        ("30 2 * * 7", BERLIN, "2026-03-29", "2026-03-29T01:00"),
        ("30 2 * * *", NEW_YORK, "2026-03-08", "2026-03-08T07:00"),
        ("0 2 * * *", NEW_YORK, "2026-03-08", "2026-03-08T07:00"),
        ("15 2 * * *", LORD_HOWE, "2026-10-04", "2026-10-03T15:30"),
        ("15,30 2 * * *", LORD_HOWE, "2026-10-04", "2026-10-03T15:30"),
    ],
)
def test_in_the_spring_night_a_time_that_does_not_exist_runs_once_right_after_the_gap(
    cron: str, zone: str, day: str, after_the_gap: str
) -> None:
    assert night(cron, zone, day) == [at(after_the_gap)]


@pytest.mark.parametrize(
    ("cron", "zone", "day", "first"),
    [
        ("30 2 * * *", BERLIN, "2026-10-25", "2026-10-25T00:30"),
        ("0 2 * * *", BERLIN, "2026-10-25", "2026-10-25T00:00"),
        ("30 1 * * *", NEW_YORK, "2026-11-01", "2026-11-01T05:30"),
        ("45 1 * * *", LORD_HOWE, "2026-04-05", "2026-04-04T14:45"),
        ("30 1 * * *", LORD_HOWE, "2026-04-05", "2026-04-04T14:30"),
    ],
)
def test_in_the_autumn_night_a_time_that_comes_twice_runs_once_the_first_time(
    cron: str, zone: str, day: str, first: str
) -> None:
    assert night(cron, zone, day) == [at(first)]


def test_the_second_of_two_times_is_not_next_after_the_first() -> None:
    recurrence = Recurrence(cron="30 2 * * *", zone=BERLIN)
    first = at("2026-10-25T02:30", BERLIN)
    for after in (first, first + HOUR / 2, first + HOUR):
        assert next_slots(recurrence, after, 1) == [at("2026-10-26T02:30", BERLIN)]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        (BERLIN, "2026-03-29", 23),
        (BERLIN, "2026-10-25", 25),
        (NEW_YORK, "2026-03-08", 23),
        (NEW_YORK, "2026-11-01", 25),
    ],
)
@pytest.mark.parametrize(("minutes", "cron"), [(60, "0 * * * *"), (30, "*/30 * * * *"), (15, "*/15 0-23 * * *")])
def test_what_runs_every_hour_goes_by_the_time_that_passes(
    zone: str, day: str, hours: int, minutes: int, cron: str
) -> None:
    found = night(cron, zone, day)
    assert len(found) == hours * 60 // minutes
    assert {later - earlier for earlier, later in itertools.pairwise(found)} == {timedelta(minutes=minutes)}


def test_where_clocks_change_by_half_an_hour_every_quarter_stays_a_quarter_and_every_hour_is_not_doubled() -> None:
    quarters = night("*/15 * * * *", LORD_HOWE, "2026-04-05")
    assert len(quarters) == 98
    assert {later - earlier for earlier, later in itertools.pairwise(quarters)} == {HOUR / 4}
    assert len(night("45 * * * *", LORD_HOWE, "2026-04-05")) == 24
    assert len(night("15 * * * *", LORD_HOWE, "2026-10-04")) == 24


def test_slots_are_in_utc_later_than_the_moment_and_follow_the_zone() -> None:
    recurrence = Recurrence(cron="0 20 * * *", zone=BERLIN)
    found = next_slots(recurrence, at("2026-03-27T20:00", BERLIN), 3)
    assert found == [at("2026-03-28T19:00"), at("2026-03-29T18:00"), at("2026-03-30T18:00")]
    assert {slot.tzinfo for slot in found} == {UTC}


def test_slots_between_includes_the_end_not_the_beginning_and_is_bounded() -> None:
    recurrence = Recurrence(cron="0 * * * *", zone="UTC")
    assert slots_between(recurrence, NOW, NOW + 2 * HOUR) == [NOW + HOUR, NOW + 2 * HOUR]
    assert slots_between(recurrence, NOW, NOW) == []
    assert len(slots_between(recurrence, NOW, NOW + 1000 * DAY)) == MOST_SLOTS
    assert slots_between(recurrence, NOW, NOW + DAY, most=1) == [NOW + HOUR]


def test_the_last_day_of_the_month_and_the_nth_weekday_are_understood() -> None:
    last = next_slots(Recurrence(cron="0 3 L * *", zone="UTC"), at("2026-02-01"), 2)
    assert last == [at("2026-02-28T03:00"), at("2026-03-31T03:00")]
    assert next_slots(Recurrence(cron="0 3 * * sun#1", zone="UTC"), at("2026-02-02"), 1) == [at("2026-03-01T03:00")]


def test_minutes_of_one_day_of_the_year_cross_many_changes() -> None:
    recurrence = Recurrence(cron="*/30 * 1 7 *", zone=BERLIN)
    found = next_slots(recurrence, at("2025-12-01"), 49)
    assert (found[0], found[47]) == (at("2026-07-01", BERLIN), at("2026-07-01T23:30", BERLIN))
    assert found[48] == at("2027-07-01", BERLIN)


@pytest.mark.parametrize("time_of_day", ["* *", "0 3"])
def test_a_day_that_never_comes_has_no_slots(time_of_day: str) -> None:
    assert list(slots(f"{time_of_day} */30 2 1#5", ZoneInfo(BERLIN), NOW)) == []


CRONS = st.sampled_from(
    [
        "30 2 * * *",
        "*/10 2 * * *",
        "0 */2 * * *",
        "15,45 1-3 * * *",
        "0 2 * * 0",
        "*/20 * * * *",
        "7 * * * *",
        "*/7 * * * *",
        "0 0 1 * *",
    ]
)
ZONES = st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE, "UTC", "Antarctica/Troll", "Asia/Kolkata", "America/Santiago"])
MOMENTS = st.integers(0, 3 * 365 * 1440).map(lambda minutes: at("2025-01-01") + timedelta(minutes=minutes))


@given(cron=CRONS, zone=ZONES, moment=MOMENTS, count=st.integers(1, 40))
def test_slots_rise_and_do_not_depend_on_where_one_starts_to_look(
    cron: str, zone: str, moment: datetime, count: int
) -> None:
    recurrence = Recurrence(cron=cron, zone=zone)
    found = next_slots(recurrence, moment, count)
    assert all(earlier < later for earlier, later in itertools.pairwise([moment, *found]))
    for index, slot in enumerate(found[:-1]):
        assert next_slots(recurrence, slot, 1) == [found[index + 1]]
        assert next_slots(recurrence, found[index + 1] - timedelta(seconds=1), 1) == [found[index + 1]]


@given(zone=ZONES, hour=st.integers(0, 23), minute=st.integers(0, 59), moment=MOMENTS)
def test_a_daily_schedule_runs_exactly_once_on_each_local_day(
    zone: str, hour: int, minute: int, moment: datetime
) -> None:
    found = next_slots(Recurrence(cron=f"{minute} {hour} * * *", zone=zone), moment, 200)
    days = [slot.astimezone(ZoneInfo(zone)).date() for slot in found]
    assert [later - earlier for earlier, later in itertools.pairwise(days)] == [DAY] * 199


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("", "write minute, hour, day, month and day of week"),
        ("0 20 * *", "write minute"),
        ("0 0 20 * * *", "write minute"),
        ("@daily", "write minute"),
        (" ".join(["1" * 40] * 5), "write minute"),
        ("61 20 * * *", "The minute “61”"),
        ("0 24 * * *", "The hour “24”"),
        ("0 20 32 * *", "The day of month “32”"),
        ("0 20 30 2 *", "The day of month “30”"),
        ("0 20 * 13 *", "The month “13”"),
        ("0 20 * * 8", "The day of week “8”"),
        ("0 20 * * *; rm", "write minute"),
        ("*/0 * * * *", "The minute “*/0”"),
        ("0 20 */30 2 1#5", "never comes"),
    ],
)
def test_a_wrong_expression_is_refused_with_the_part_and_what_is_allowed(cron: str, words: str) -> None:
    with pytest.raises(InvalidRecurrence) as caught:
        Recurrence(cron=cron, zone="UTC")
    assert caught.value.field == "cron"
    assert words in caught.value.sentence
    assert str(caught.value) == caught.value.sentence


@pytest.mark.parametrize("zone", ["", "Europe/Nowhere", "../etc/passwd", "Europe", "a\0b"])
def test_a_wrong_zone_is_refused(zone: str) -> None:
    with pytest.raises(InvalidRecurrence) as caught:
        Recurrence(cron="0 20 * * *", zone=zone)
    assert caught.value.field == "zone"
    assert "such as Europe/Berlin" in caught.value.sentence


@given(st.text(alphabet="0123456789*/,-#LW ?MONJAN\n²", max_size=30))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidRecurrence):
        recurrence = Recurrence(cron=text, zone=BERLIN)
        assert len(next_slots(recurrence, NOW, 2)) == 2


HOURLY = Recurrence(cron="0 * * * *", zone="UTC")


def test_nothing_is_due_between_slots() -> None:
    assert due(recurrence=HOURLY, last_slot=NOW, now=NOW + HOUR / 2, missed="catch_up") == Due()


@pytest.mark.parametrize("missed", ["catch_up", "skip"])
def test_a_slot_within_its_grace_runs_on_time(missed: str) -> None:
    found = due(recurrence=HOURLY, last_slot=NOW - HOUR, now=NOW + GRACE, missed=missed)
    assert found == Due(slot=NOW, missed=0, latest=NOW)


def test_after_an_outage_one_run_catches_up_or_none() -> None:
    late = NOW + timedelta(minutes=20)
    caught_up = due(recurrence=HOURLY, last_slot=NOW - 10 * HOUR, now=late, missed="catch_up")
    assert caught_up == Due(slot=NOW, missed=9, latest=NOW)
    assert due(recurrence=HOURLY, last_slot=caught_up.latest, now=late, missed="catch_up") == Due()
    skipped = due(recurrence=HOURLY, last_slot=NOW - 10 * HOUR, now=late, missed="skip")
    assert skipped == Due(slot=None, missed=10, latest=NOW)
    on_time = due(recurrence=HOURLY, last_slot=NOW - 10 * HOUR, now=NOW, missed="skip")
    assert on_time == Due(slot=NOW, missed=9, latest=NOW)


def test_a_new_schedule_does_not_catch_up_its_past() -> None:
    assert due(recurrence=HOURLY, last_slot=None, now=NOW + HOUR / 2, missed="catch_up") == Due()
    assert due(recurrence=HOURLY, last_slot=None, now=NOW, missed="catch_up").slot == NOW


@pytest.mark.parametrize(
    ("cron", "latest"),
    [
        ("* * * * *", NOW),
        ("* * 1 1 *", at("2026-01-01T23:59")),
        ("* 0 1 1 *", at("2026-01-01T00:59")),
        ("*/5 0-11 * * *", at("2026-06-10T11:55")),
    ],
)
def test_years_of_missed_slots_are_counted_to_a_limit_and_the_newest_is_still_found(
    cron: str, latest: datetime
) -> None:
    recurrence = Recurrence(cron=cron, zone="UTC")
    found = due(recurrence=recurrence, last_slot=at("2006-01-01"), now=NOW, missed="catch_up")
    assert found == Due(slot=latest, missed=MOST_SLOTS - 1, latest=latest)


def test_a_little_more_than_the_limit_is_found_too() -> None:
    recurrence = Recurrence(cron="* * * * *", zone="UTC")
    found = due(recurrence=recurrence, last_slot=NOW - timedelta(minutes=1010), now=NOW, missed="catch_up")
    assert found.slot == NOW


@given(schedule_id=st.integers(1, 10**6), slot=MOMENTS, most=st.integers(0, 3600))
def test_spreading_is_bounded_and_always_the_same(schedule_id: int, slot: datetime, most: int) -> None:
    seconds = jitter_seconds(schedule_id, slot, most)
    assert 0 <= seconds <= most
    assert jitter_seconds(schedule_id, slot.astimezone(ZoneInfo(BERLIN)), most) == seconds


def test_spreading_spreads() -> None:
    assert len({jitter_seconds(schedule_id, NOW, 3600) for schedule_id in range(200)}) > 150
