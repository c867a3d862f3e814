"""RULES D1, D2, B10: what counts as protected, and the sentence that says why not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rules.protection import WAITS_LONG, WINDOW, Points, Protection, judge

NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def _judge(**values: Any) -> tuple[Protection, str]:
    given: dict[str, Any] = {"is_active": True, "snapshot": NOW - HOUR, "copies": {"disk": NOW - HOUR}} | values
    verdict = judge(Points(**given), now=NOW)
    return verdict.protection, verdict.reason


def test_d1_protected_needs_a_recent_snapshot_and_a_recent_copy() -> None:
    assert _judge()[0] is Protection.PROTECTED


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"snapshot": None, "copies": {"disk": None}}, "No snapshot was taken yet."),
        ({"snapshot": NOW - 9 * DAY}, "The newest snapshot is 9 days old."),
        ({"copies": {}}, "Its policy has no active backup copy, so there are snapshots only."),
        ({"copies": {"disk": None, "offsite": None}}, "No snapshot was copied to media yet."),
    ],
)
def test_d1_not_protected(values: dict[str, Any], reason: str) -> None:
    assert _judge(**values) == (Protection.UNPROTECTED, reason)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"copies": {"disk": NOW - HOUR, "offsite": None}}, "Never copied to offsite."),
        ({"copies": {"disk": NOW - 8 * DAY, "offsite": NOW - 10 * DAY}}, "The newest data on offsite is 10 days old."),
        ({"oldest_waiting": NOW - 3 * DAY}, "A snapshot has waited 3 days for its copy."),
        ({"oldest_waiting": NOW - WAITS_LONG + HOUR}, ""),
        ({"oldest_waiting": NOW - 3 * DAY, "alert_after": 4 * DAY}, ""),
        (
            {"oldest_waiting": NOW - 15 * DAY},
            "A snapshot has waited 15 days for its copy. That is overdue: over 14 days.",
        ),
        (
            {"oldest_waiting": NOW - 5 * DAY, "overdue_after": 4 * DAY},
            "A snapshot has waited 5 days for its copy. That is overdue: over 4 days.",
        ),
    ],
)
def test_b10_a_copy_is_overdue(values: dict[str, Any], reason: str) -> None:
    found, said = _judge(**values)
    assert (found, said) == (Protection.OVERDUE, reason) if reason else found is Protection.PROTECTED


def test_an_inactive_subclient_is_neither() -> None:
    assert _judge(is_active=False, snapshot=None)[0] is Protection.INACTIVE


@given(age=st.timedeltas(timedelta(), 3 * WINDOW), copied=st.timedeltas(timedelta(), 3 * WINDOW))
def test_d1_never_protected_when_either_is_outside_the_window(age: timedelta, copied: timedelta) -> None:
    found, _ = _judge(snapshot=NOW - age, copies={"disk": NOW - copied})
    assert (found is Protection.PROTECTED) == (age <= WINDOW and copied <= WINDOW)


def test_d1_ages_below_two_days_are_said_in_hours() -> None:
    points = Points(is_active=True, snapshot=NOW - 3 * HOUR, copies={})
    assert "3 hours old" in judge(points, now=NOW, window=HOUR).reason
