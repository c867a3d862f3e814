"""How figures are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from snapcopy_site.lib.templatetags import units

NARROW = "\u202f"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "0.98 KiB"),
        (1024, "1.00 KiB"),
        (10 * 1024, "10.0 KiB"),
        (1023 * 1024, "1.00 MiB"),
        (1.5 * 2**40, "1.50 TiB"),
        (2**70, "1024 EiB"),
    ],
)
def test_bytes_are_binary_with_three_digits(value: float | None, text: str) -> None:
    assert units.bytes_text(value) == text


@given(st.integers(min_value=0, max_value=2**63))
def test_bytes_never_take_more_than_eight_characters(value: int) -> None:
    assert len(units.bytes_text(value)) <= 8


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (-3, "0 ms"),
        (0.34, "340 ms"),
        (9.9, "9.9 s"),
        (12.2, "12 s"),
        (59.6, "1 min"),
        (192, "3 min 12 s"),
        (3600, "1 h"),
        (3840, "1 h 04 min"),
        (90_000, "1 d 01 h"),
        (timedelta(seconds=75), "1 min 15 s"),
    ],
)
def test_durations_show_their_two_leading_units(seconds: float | timedelta | None, text: str) -> None:
    assert units.duration(seconds) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (None, "–"),
        (0, f"0{NARROW}%"),
        (0.004, f"under 1{NARROW}%"),
        (0.78, f"78{NARROW}%"),
        (0.998, f"over 99{NARROW}%"),
    ],
)
def test_a_share_never_rounds_to_all_or_nothing(fraction: float | None, text: str) -> None:
    assert units.share(fraction) == text


def test_counts_are_grouped_and_factors_are_marked() -> None:
    assert units.count(1_234_567) == f"1{NARROW}234{NARROW}567"
    assert units.count(None) == units.factor(None) == units.rate(None) == "–"
    assert units.factor(2.4) == f"2.40{NARROW}×"
    assert units.rate(123 * 2**20) == "123 MiB/s"


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (timedelta(seconds=1), "just now"),
        (timedelta(seconds=40), "40 s ago"),
        (timedelta(minutes=5, seconds=20), "5 min ago"),
        (timedelta(hours=29), "29 h ago"),
        (timedelta(days=12), "12 days ago"),
        (-timedelta(hours=3, minutes=1), "in 3 h"),
    ],
)
def test_relative_times(ago: timedelta, text: str) -> None:
    assert units.relative(timezone.now() - ago) == text


def test_a_time_shows_the_absolute_one_on_hover() -> None:
    moment = timezone.now() - timedelta(minutes=5)
    html = units.ago(moment)
    assert units.absolute(moment) in html
    assert ">5 min ago</time>" in html
    assert (
        units.ago(None) == units.at(None) == units.moment(None) == units.absolute(None) == units.relative(None) == "–"
    )


def test_a_clock_shows_the_time_of_its_own_zone() -> None:
    moment = datetime(2026, 7, 1, 18, 0, tzinfo=UTC)
    assert units.clock(moment) == "Wed 2026-07-01 18:00"
    assert units.clock(moment.astimezone(ZoneInfo("Europe/Berlin"))) == "Wed 2026-07-01 20:00 +02:00"
    assert units.clock(None) == units.UNKNOWN


def test_elapsed_ends_with_the_job() -> None:
    start = timezone.now() - timedelta(hours=1)
    assert units.elapsed(start, start + timedelta(seconds=20)) == "20 s"
    assert units.elapsed(None) == "–"
