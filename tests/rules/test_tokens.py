"""RULES L5: what a dump date is, which one a dump is built on, and which are worth keeping."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rules.levels import RunLevel, copy_level
from jobs.rules.tokens import DumpDate, NotADumpDate, accepted, base_dates, decode, encode

LEVELS, TIMES = st.integers(0, 31), st.integers(1, 2**32 - 1)
FULL, LAST = {"/vol/a": "1000", "/vol/b": "1001"}, {"/vol/a": "4294968296", "/vol/b": "4294968297"}


@given(level=LEVELS, time=TIMES)
def test_l5_a_dump_date_is_the_level_before_32_bits_of_time(level: int, time: int) -> None:
    token = encode(DumpDate(level=level, time=time))
    assert int(token) == level << 32 | time == level * 2**32 + time
    assert decode(token) == DumpDate(level=level, time=time)


@pytest.mark.parametrize(
    ("token", "level", "time"),
    [
        ("1767225600", 0, 1767225600),
        ("6062192896", 1, 1767225600),
        ("134911211775", 31, 1767225599),
        ("137438953471", 31, 2**32 - 1),
    ],
)
def test_l5_examples(token: str, level: int, time: int) -> None:
    assert decode(token) == DumpDate(level=level, time=time)


@pytest.mark.parametrize(
    "token",
    ["", "0", "-1", "+5", " 5", "5 ", "1_0", "0x10", "٣", "05", "4294967296", "137438953472", "9" * 500, "1.5", "none"],
)
def test_l5_nonsense_is_refused_in_words(token: str) -> None:
    with pytest.raises(NotADumpDate, match=r"\.$"):
        decode(token)


@pytest.mark.parametrize(("level", "time"), [(-1, 5), (32, 5), (0, 0), (0, -1), (3, 2**32)])
def test_l5_nothing_is_encoded_that_is_none(level: int, time: int) -> None:
    with pytest.raises(NotADumpDate):
        encode(DumpDate(level=level, time=time))


@given(token=st.text(max_size=30))
def test_l5_whatever_comes_is_taken_apart_or_refused(token: str) -> None:
    try:
        date = decode(token)
    except NotADumpDate:
        return
    assert encode(date) == token


def test_l5_a_differential_builds_on_the_last_full_and_an_incremental_on_the_last_copied() -> None:
    def base(level: RunLevel) -> dict[str, str] | None:
        return base_dates(level=level, content=FULL, last_full=FULL, last_copied=LAST)

    assert base(RunLevel.FULL) == {"/vol/a": "0", "/vol/b": "0"}
    assert base(RunLevel.DIFFERENTIAL) == FULL
    assert base(RunLevel.INCREMENTAL) == LAST


@pytest.mark.parametrize("level", [RunLevel.DIFFERENTIAL, RunLevel.INCREMENTAL])
def test_l5_without_the_token_of_a_path_there_is_nothing_to_build_on(level: RunLevel) -> None:
    for kept in (None, {}, {"/vol/a": "1000"}):
        assert base_dates(level=level, content=FULL, last_full=kept, last_copied=kept) is None
    more = base_dates(level=level, content=["/vol/b"], last_full=FULL, last_copied=FULL)
    assert more == {"/vol/b": "1001"}, "the token of a path that is no longer content goes unused"
    decision = copy_level(snapshot_level=level, has_base=True, base_number=4, has_tokens=False)
    assert (decision.level, decision.number) == (RunLevel.FULL, 0)
    assert decision.reason == "The storage's token of the last backup copy was not kept."


def test_l5_tokens_are_kept_as_they_came_and_those_that_cannot_be_true_are_told() -> None:
    told = {"/a": encode(DumpDate(level=2, time=7)), "/b": encode(DumpDate(level=3, time=7)), "/c": "soon", "/x": "1"}
    kept = accepted(told, content=["/a", "/b", "/c", "/d"], number=2)
    assert kept.dates == {"/a": "8589934599"}
    assert kept.problems == (
        "The token of /b is of level 3, although the dump was of level 2.",
        "The token of /c cannot be used: “soon” is not the decimal number of a dump.",
        "No token came with the dump of /d.",
    )
    assert accepted({"/a": "5"}, content=["/a"], number=0).problems == ()
