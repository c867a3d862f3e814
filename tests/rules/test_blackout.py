"""Windows in which no scheduled job starts: over midnight, over changes of clocks, one after the other."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rules.blackout import LOOKS_AHEAD
from jobs.rules.recurrence import Blackout, InvalidRecurrence, blackout_until

BERLIN = "Europe/Berlin"
EVERY_DAY = frozenset(range(7))
MONDAY, FRIDAY, SUNDAY = 0, 4, 6


def at(text: str, *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(BERLIN), fold=fold).astimezone(UTC)


def window(start: str, end: str, *days: int) -> Blackout:
    chosen = frozenset(days) or EVERY_DAY
    return Blackout(days=chosen, start=time.fromisoformat(start), end=time.fromisoformat(end), zone=BERLIN)


@pytest.mark.parametrize(
    ("moment", "until"),
    [
        ("2026-06-10 07:59", None),
        ("2026-06-10 08:00", "2026-06-10 18:00"),
        ("2026-06-10 17:59:59.9", "2026-06-10 18:00"),
        ("2026-06-10 18:00", None),
    ],
)
def test_a_window_holds_from_its_start_up_to_its_end(moment: str, until: str | None) -> None:
    expected = at(until) if until else None
    assert blackout_until(at(moment), [window("08:00", "18:00")]) == expected


def test_without_windows_nothing_is_held() -> None:
    assert blackout_until(at("2026-06-10 12:00"), []) is None


def test_a_window_over_midnight_belongs_to_the_day_it_starts_on() -> None:
    friday_night = window("22:00", "06:00", FRIDAY)
    assert blackout_until(at("2026-06-12 23:00"), [friday_night]) == at("2026-06-13 06:00")
    assert blackout_until(at("2026-06-13 05:00"), [friday_night]) == at("2026-06-13 06:00")
    assert blackout_until(at("2026-06-12 05:00"), [friday_night]) is None
    assert blackout_until(at("2026-06-13 23:00"), [friday_night]) is None


def test_windows_that_touch_or_overlap_are_one() -> None:
    windows = [window("12:00", "14:00"), window("08:00", "12:00"), window("13:00", "13:30"), window("13:30", "15:00")]
    assert blackout_until(at("2026-06-10 09:00"), windows) == at("2026-06-10 15:00")


def test_a_whole_day_is_from_midnight_to_midnight() -> None:
    weekend = [window("00:00", "00:00", 5, SUNDAY)]
    assert blackout_until(at("2026-06-13 00:00"), weekend) == at("2026-06-15 00:00")
    assert blackout_until(at("2026-06-15 00:00"), weekend) is None


def test_windows_without_any_gap_are_asked_again_after_two_weeks() -> None:
    moment = at("2026-06-10 12:00")
    until = blackout_until(moment, [window("00:00", "00:00")])
    assert until is not None
    assert until - moment >= LOOKS_AHEAD


def test_on_the_spring_night_a_window_that_ends_in_the_gap_ends_with_it() -> None:
    night = [window("22:00", "02:30")]
    assert blackout_until(at("2026-03-29 01:59"), night) == at("2026-03-29 03:00")
    assert blackout_until(at("2026-03-29 03:00"), night) is None
    assert blackout_until(at("2026-03-29 02:00"), [window("02:10", "02:50")]) is None


def test_on_the_autumn_night_a_window_lasts_from_the_first_to_the_second_time() -> None:
    night = [window("02:15", "02:45")]
    end = at("2026-10-25 02:45", fold=1)
    for moment in (at("2026-10-25 02:15"), at("2026-10-25 02:50"), at("2026-10-25 02:30", fold=1)):
        assert blackout_until(moment, night) == end
    assert blackout_until(end, night) is None


def test_the_day_is_that_of_the_window_s_zone() -> None:
    monday_morning = window("00:00", "01:00", MONDAY)
    sunday_in_utc = datetime(2026, 6, 14, 22, 30, tzinfo=UTC)
    assert blackout_until(sunday_in_utc, [monday_morning]) == datetime(2026, 6, 14, 23, tzinfo=UTC)


def test_a_wrong_zone_is_refused() -> None:
    with pytest.raises(InvalidRecurrence, match="Berlim"):
        Blackout(days=EVERY_DAY, start=time(8), end=time(18), zone="Europe/Berlim")


TIMES = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 45]))
WINDOWS = st.lists(
    st.builds(
        Blackout,
        days=st.frozensets(st.integers(0, 6), max_size=3),
        start=TIMES,
        end=TIMES,
        zone=st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe"]),
    ),
    max_size=2,
)


@given(windows=WINDOWS, minutes=st.integers(0, 365 * 1440))
def test_when_windows_are_over_nothing_is_held_and_until_then_everything(windows: list[Blackout], minutes: int) -> None:
    moment = at("2026-01-01 00:00") + timedelta(minutes=minutes)
    until = blackout_until(moment, windows)
    if until is not None:
        assert blackout_until(until, windows) is None
        for part in range(10):
            assert blackout_until(moment + (until - moment) * part / 10, windows) == until
