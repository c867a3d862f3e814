"""Writing with holes: whatever the data and the offsets, a file reads as if it had been written plainly."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.engine.operations.restoring.sparse import PAGE, write_sparse, write_sparse_at

# Runs of zeros and of something else, around the size of a page.
runs = st.lists(
    st.tuples(st.sampled_from([0, 1]), st.integers(1, 3 * PAGE) | st.sampled_from([PAGE - 1, PAGE, PAGE + 1])),
    max_size=8,
)


def bytes_of(shape: list[tuple[int, int]]) -> bytes:
    return b"".join(bytes([kind * 7]) * length for kind, length in shape)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(shape=runs, cuts=st.lists(st.integers(0, 9 * PAGE), max_size=4))
def test_pieces_written_sparsely_in_any_order_make_the_file(
    tmp_path: Path, shape: list[tuple[int, int]], cuts: list[int]
) -> None:
    data = bytes_of(shape)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [(start, data[start:end]) for start, end in pairwise(edges)]
    path = tmp_path / "file"
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.ftruncate(fd, len(data))
    for start, piece in reversed(pieces):
        write_sparse_at(fd, piece, start)
    os.close(fd)
    assert path.read_bytes() == data


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(shape=runs.filter(bool))
def test_a_whole_file_written_sparsely_has_its_size_and_its_holes(tmp_path: Path, shape: list[tuple[int, int]]) -> None:
    data = bytes_of(shape)
    path = tmp_path / "file"
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    write_sparse(fd, data)
    os.close(fd)
    assert path.read_bytes() == data


def test_pages_of_zeros_take_no_room(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with open(path, "wb") as file:
        write_sparse(file.fileno(), b"x" + bytes(1 << 20) + b"y" + bytes(1 << 20))
    assert path.stat().st_size == (2 << 20) + 2
    assert path.stat().st_blocks * 512 <= 8 * PAGE


@pytest.mark.parametrize("short", [1, 4096, 100_000])
def test_a_write_the_kernel_cuts_short_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: int) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: real(fd, bytes(data[:short]), offset))
    data = os.urandom(9000) + bytes(20_000) + os.urandom(9001)
    path = tmp_path / "file"
    with open(path, "wb") as file:
        write_sparse(file.fileno(), data)
    assert path.read_bytes() == data
