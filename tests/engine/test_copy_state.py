"""The local state of directories: found again, refused when damaged, safe to lose."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from jobs.engine.ids import FileId
from jobs.engine.operations.copy_pipeline.local_state import (
    StateHead,
    drop_old_states,
    open_state,
    path_key,
    source_key,
    state_path,
    write_state,
)

PARENT = FileId("ab" * 32)
HEAD = StateHead(parent=PARENT, parent_taken_ns=5, source="s", index_files=["01" * 32])


def _write(path: Path, count: int) -> dict[bytes, tuple[bytes, bytes]]:
    records = {path_key(0, f"/d{number}"): (os.urandom(16), os.urandom(32)) for number in range(count)}
    write_state(path, HEAD, b"".join(key + first + second for key, (first, second) in records.items()))
    return records


@given(st.sampled_from([0, 1, 2, 3, 17, 1000]))
def test_every_record_is_found_and_no_other(tmp_path_factory, count: int) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("state") / "x.state"
    records = _write(path, count)
    state = open_state(path)
    assert state is not None
    assert state.head == HEAD
    assert state.count == count == len(state.tree_ids())
    assert all(state.find(key) == value for key, value in records.items())
    assert state.find(path_key(0, "/elsewhere")) is None
    assert state.find(path_key(1, "/d0")) is None


def test_a_state_with_one_altered_byte_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "x.state"
    _write(path, 20)
    whole = path.read_bytes()
    for position in range(0, len(whole), 37):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert open_state(path) is None


def test_a_state_that_is_missing_cut_off_or_empty_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "x.state"
    assert open_state(path) is None
    _write(path, 20)
    whole = path.read_bytes()
    for length in (0, 5, 20, 60, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert open_state(path) is None


def test_sources_that_differ_in_anything_have_states_of_their_own() -> None:
    keys = {
        source_key(hostname=host, trust=trust, roots=roots)
        for host in ("a", "b")
        for trust in ("full", "mtime_size")
        for roots in (["/a"], ["/a", "/b"], ["/b"], ["/\udcff"])
    }
    assert len(keys) == 16


def test_old_states_are_dropped_and_other_sources_are_left_alone(tmp_path: Path) -> None:
    for number in range(20):
        path = state_path(tmp_path, "mine", FileId(f"{number:064x}"[::-1]))
        _write(path, 1)
        os.utime(path, ns=(number, number))
    other = state_path(tmp_path, "other", PARENT)
    _write(other, 1)
    drop_old_states(tmp_path, "mine")
    left = sorted(path.stat().st_mtime_ns for path in (tmp_path / "trees").glob("mine-*"))
    assert left == list(range(14, 20))
    assert other.exists()
