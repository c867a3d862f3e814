"""RULES R10: what the source guard lets pass, and what it stops."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rules.guard import source_guard


@pytest.mark.parametrize(
    ("before_files", "before_bytes", "files", "size", "words"),
    [
        (None, None, 0, 0, "nothing was copied"),
        (100, 1000, 0, 0, "held 100 files"),
        (1, 1000, 0, 0, "held 1 file."),
        (100, 1000, 50, 1000, "half or more of its files"),
        (100, 1000, 100, 500, "half or more of its bytes"),
        (100, 1000, 0, 1000, "is empty"),
        (1200, 1_000_000, 600, 10, "600 of 1,200"),
    ],
)
def test_r10_a_source_that_is_empty_or_lost_half_is_stopped(
    before_files: int | None, before_bytes: int | None, files: int, size: int, words: str
) -> None:
    assert words in source_guard(before_files=before_files, before_bytes=before_bytes, files=files, bytes=size)


@pytest.mark.parametrize(
    ("before_files", "before_bytes", "files", "size"),
    [(None, None, 1, 0), (0, 0, 0, 0), (0, 0, 10, 10), (100, 1000, 51, 501), (100, 1000, 200, 2000), (5, 0, 5, 0)],
)
def test_r10_everything_else_passes(before_files: int | None, before_bytes: int | None, files: int, size: int) -> None:
    assert source_guard(before_files=before_files, before_bytes=before_bytes, files=files, bytes=size) == ""


@given(before=st.integers(0, 10**15), now=st.integers(0, 10**15))
def test_r10_files_and_bytes_are_measured_alike_and_growth_never_alarms(before: int, now: int) -> None:
    by_files = source_guard(before_files=before, before_bytes=0, files=now, bytes=0)
    by_bytes = source_guard(before_files=1, before_bytes=before, files=1, bytes=now)
    assert bool(by_files) == bool(by_bytes) == (before > 0 and now <= before / 2)
