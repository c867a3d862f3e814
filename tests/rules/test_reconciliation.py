"""A storage's list against the record: missing, returned, left over, unknown, and when to doubt (RULES V4)."""

from __future__ import annotations

from jobs.rules.reconciliation import Comparison, Recorded, compare


def test_V4_what_agrees_is_silent() -> None:
    assert compare(recorded={"a": Recorded.THERE, "b": Recorded.GONE}, listed=["a"]) == Comparison()


def test_V4_each_difference_has_its_own_name() -> None:
    recorded = {
        "kept": Recorded.THERE,
        "lost": Recorded.THERE,
        "back": Recorded.MISSING,
        "still-lost": Recorded.MISSING,
        "undead": Recorded.GONE,
    }
    found = compare(recorded=recorded, listed=["kept", "back", "undead", "new"])
    assert found == Comparison(missing=("lost",), returned=("back",), left=("undead",), unknown=("new",))


def test_V4_what_a_job_works_on_is_never_a_difference() -> None:
    recorded = {"arriving": Recorded.PASSING, "leaving": Recorded.PASSING}
    assert compare(recorded=recorded, listed=["arriving"]) == Comparison()


def test_V4_what_another_storage_recorded_is_not_unknown() -> None:
    assert compare(recorded={}, listed=["theirs"], known_elsewhere=["theirs"]) == Comparison()


def test_V4_when_not_one_of_several_is_there_the_storage_is_doubted() -> None:
    both = {"a": Recorded.THERE, "b": Recorded.THERE}
    assert compare(recorded=both, listed=[]).is_doubtful
    assert not compare(recorded=both, listed=["b"]).is_doubtful
    assert not compare(recorded={"a": Recorded.THERE}, listed=[]).is_doubtful, "one may well be deleted alone"
    assert compare(recorded=both, listed=["x"]).is_doubtful, "another area, with other snapshots"
