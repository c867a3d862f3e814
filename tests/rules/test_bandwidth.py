"""The bandwidth limit of a moment: a medium's own, and the calendar of hours."""

from __future__ import annotations

from datetime import UTC, datetime, time

import pytest

from jobs.rules.bandwidth import (
    Hours,
    InForce,
    InvalidCalendarError,
    limit_at,
    parse_calendar,
    parse_rate,
    rate_text,
    share_of,
)

MIB = 1 << 20
BERLIN = "Europe/Berlin"
OFFICE = parse_calendar("Mon-Fri 08-18: 20 MiB/s")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_line_is_days_hours_and_a_rate() -> None:
    (line,) = OFFICE
    assert line == Hours(days=frozenset(range(5)), start=time(8), end=time(18), bytes_per_second=20 * MIB)
    (line,) = parse_calendar("\n  Sat,Sun,Wed 22:30 - 06:15  no limit\n")
    assert line == Hours(days=frozenset({2, 5, 6}), start=time(22, 30), end=time(6, 15), bytes_per_second=None)
    assert parse_calendar("Fri-Mon 00-24: 1.5 GiB/s")[0].days == {4, 5, 6, 0}
    assert parse_calendar("daily 0-24: 100 MB/s")[0].bytes_per_second == 100_000_000


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Mon 08-18", "Line 1, “Mon 08-18”: write it like"),
        ("Mon 08-18: fast", "Line 1: “fast” is no bandwidth"),
        ("Mon 08-18: 1 MiB/s\nMoon 08-18: 1 MiB/s", "Line 2: “Moon” is no day"),
        ("Mon 08-25: 1 MiB/s", "“25” is no time of day"),
        ("Mon 08:60-09: 1 MiB/s", "“08:60” is no time of day"),
        ("Mon 08-18: 1 KiB/s", "too slow"),
        ("daily 0-24: 1 MiB/s\n" * 51, "at most 50 lines"),
    ],
    ids=range(7),
)
def test_what_is_wrong_with_a_calendar_is_told_with_the_line(text: str, told: str) -> None:
    with pytest.raises(InvalidCalendarError) as refusal:
        parse_calendar(text)
    assert told in refusal.value.sentence


def test_the_limit_of_a_moment_and_how_long_it_lasts() -> None:
    """Monday 30 November 2026; Berlin is an hour ahead of UTC."""
    working = limit_at(at("2026-11-30T10:00"), OFFICE, otherwise=None, zone=BERLIN)
    assert working == InForce(bytes_per_second=20 * MIB, until=at("2026-11-30T17:00"))
    evening = limit_at(at("2026-11-30T17:00"), OFFICE, otherwise=None, zone=BERLIN)
    assert evening == InForce(bytes_per_second=None, until=at("2026-12-01T07:00"))
    weekend = limit_at(at("2026-12-05T10:00"), OFFICE, otherwise=80 * MIB, zone=BERLIN)
    assert weekend == InForce(bytes_per_second=80 * MIB, until=at("2026-12-07T07:00"))


def test_hours_over_midnight_belong_to_the_day_they_begin_on() -> None:
    night = parse_calendar("Fri 22-06: no limit")
    inside = limit_at(at("2026-12-05T04:00"), night, otherwise=MIB, zone="UTC")
    assert inside == InForce(bytes_per_second=None, until=at("2026-12-05T06:00"))
    assert limit_at(at("2026-12-04T04:00"), night, otherwise=MIB, zone="UTC").bytes_per_second == MIB


def test_the_first_line_that_fits_decides_and_equal_neighbours_are_one() -> None:
    lines = parse_calendar("Mon 12-13: no limit\nMon 08-18: 1 MiB/s\nMon 18-20: 1 MiB/s")
    assert limit_at(at("2026-11-30T12:30"), lines, otherwise=None, zone="UTC").bytes_per_second is None
    afternoon = limit_at(at("2026-11-30T13:00"), lines, otherwise=None, zone="UTC")
    assert afternoon == InForce(bytes_per_second=MIB, until=at("2026-11-30T20:00"))


def test_a_limit_without_a_calendar_lasts() -> None:
    assert limit_at(at("2026-11-30T12:30"), (), otherwise=MIB, zone="UTC") == InForce(bytes_per_second=MIB, until=None)
    always = parse_calendar("daily 00-24: 1 MiB/s")
    assert limit_at(at("2026-11-30T12:30"), always, otherwise=None, zone="UTC").bytes_per_second == MIB


def test_jobs_that_use_a_medium_at_once_share_its_limit() -> None:
    assert [share_of(MIB, jobs) for jobs in (0, 1, 4)] == [MIB, MIB, MIB // 4]
    assert share_of(None, 3) == 0
    assert parse_rate("512 KiB/s") == 512 << 10


@pytest.mark.parametrize("rate", [None, 1 << 30, 20 * MIB, 512 << 10, 100_000_000, 65537])
def test_a_rate_is_written_as_it_is_read(rate: int | None) -> None:
    assert parse_rate(rate_text(rate)) == rate
