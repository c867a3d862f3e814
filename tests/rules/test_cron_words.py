"""Plain words for cron expressions, and expressions for plain choices."""

from __future__ import annotations

from datetime import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rules.recurrence import Recurrence, describe, simple_cron


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("* * * * *", "every minute"),
        ("*/15 * * * *", "every 15 minutes"),
        ("0 * * * *", "every hour"),
        ("5 */1 * * *", "every hour at minute 5"),
        ("0 */4 * * *", "every 4 hours"),
        ("30 */4 * * *", "every 4 hours at minute 30"),
        ("0 20 * * *", "every day at 20:00"),
        ("5 20,8,12 * * *", "every day at 08:05, 12:05 and 20:05"),
        ("0 20 * * 5", "every Friday at 20:00"),
        ("0  20 *  * fri", "every Friday at 20:00"),
        ("0 20 * * 0,6", "every Saturday and Sunday at 20:00"),
        ("0 20 * * 7", "every Sunday at 20:00"),
        ("0 20 * * MON-FRI", "Monday to Friday at 20:00"),
        ("0 20 * * 5-7", "Friday to Sunday at 20:00"),
        ("0 20 * * 3-3", "every Wednesday at 20:00"),
        ("0 20 * * 0-7", "every day at 20:00"),
        ("0 3 1 * *", "on day 1 of every month at 03:00"),
        ("0 3 L * *", "on the last day of every month at 03:00"),
    ],
)
def test_simple_expressions_are_said_in_words(cron: str, words: str) -> None:
    assert describe(cron) == words


@pytest.mark.parametrize(
    "cron",
    [
        "*/7 * * * *",
        "0 */5 * * *",
        "0 3 1 1 *",
        "0 3 * * 1#1",
        "0-10 3 * * *",
        "0 3 1 * 1",
        "nonsense",
        "61 3 * * *",
        "0 3 * * fri-mon",
        "",
    ],
)
def test_all_others_stay_as_they_are(cron: str) -> None:
    assert describe(cron) == cron


@pytest.mark.parametrize(
    ("choice", "cron"),
    [
        ({}, "0 0 * * *"),
        ({"at": time(20, 5)}, "5 20 * * *"),
        ({"at": time(20), "days": [4]}, "0 20 * * 5"),
        ({"at": time(20), "days": [0, 6, 0]}, "0 20 * * 1,0"),
        ({"at": time(20), "days": range(7)}, "0 20 * * *"),
        ({"at": time(3), "day_of_month": 15}, "0 3 15 * *"),
        ({"at": time(3), "day_of_month": -1}, "0 3 L * *"),
        ({"every_minutes": 1}, "* * * * *"),
        ({"every_minutes": 20}, "*/20 * * * *"),
        ({"every_minutes": 60}, "0 * * * *"),
        ({"every_hours": 1, "at": time(0, 10)}, "10 * * * *"),
        ({"every_hours": 6, "at": time(0, 10)}, "10 */6 * * *"),
        ({"every_hours": 24}, "0 0 * * *"),
    ],
)
def test_choices_become_expressions_that_are_right_and_said_in_words(choice: dict[str, Any], cron: str) -> None:
    assert simple_cron(**choice) == cron
    Recurrence(cron=cron, zone="UTC")
    assert describe(cron) != cron


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"every_minutes": 7}, "does not divide 60"),
        ({"every_minutes": 0}, "does not divide 60"),
        ({"every_hours": 5}, "does not divide 24"),
        ({"every_hours": -1}, "does not divide 24"),
        ({"day_of_month": 0}, "1 to 31"),
        ({"day_of_month": 32}, "1 to 31"),
        ({"days": [7]}, "0 = Monday"),
    ],
)
def test_choices_that_do_not_exist_are_refused(choice: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        simple_cron(**choice)


@given(st.text(alphabet="0123456789*/,-#LMONFRI ", max_size=24))
def test_any_text_has_a_description(text: str) -> None:
    assert isinstance(describe(text), str)
