"""What a copy makes of changes, of files that cannot be read, and of what it remembers from the last one."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from jobs.engine.errors import (
    RepositoryDamaged,
)
from jobs.engine.events import PhaseName, PhaseStarted
from jobs.engine.ids import FileId
from jobs.engine.operations.copy_pipeline.large_files import LargeFiles
from jobs.engine.plan import SourceRoot, StoredPath, Trust
from jobs.engine.repository.index_load import load_index
from jobs.engine.repository.layout import BlobKind
from jobs.engine.repository.reader import BlobReader
from jobs.engine.repository.tree import Node
from jobs.engine.source.listing import open_directory, open_file

from .copying import Copier, grow_tree, nodes_of

PIPELINE = "jobs.engine.operations.copy_pipeline"


@pytest.fixture(autouse=True)
def _no_waiting_for_other_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.engine.repository.lock.SETTLE_SECONDS", 0.0)


@pytest.fixture
def copier(tmp_path: Path) -> Copier:
    return Copier(tmp_path, at_top=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    grow_tree(root, directories=12, files=6)
    return root


def content_of(copier: Copier, node: Node) -> bytes:
    reader = BlobReader(copier.repository, load_index(copier.repository))
    return b"".join(reader.read(BlobKind.DATA, blob) for blob in node.content)


@pytest.mark.parametrize("with_state", [True, False])
@pytest.mark.parametrize("readers", [1, 3])
def test_an_unchanged_tree_is_not_read_and_gives_the_same_tree(
    copier: Copier, source: Path, with_state: bool, readers: int
) -> None:
    first = copier.run(copier.plan(source, with_state=with_state, readers=readers))
    second = copier.run(copier.plan(source, parent=copier.last, with_state=with_state, readers=readers))
    assert first.counters.files_new == 72
    assert second.counters.files_unmodified == second.counters.files_done == 72
    assert second.counters.bytes_read == second.counters.bytes_stored == 0
    assert second.tree_id == first.tree_id
    assert second.parent_used == first.snapshot_file_id


def test_figures_of_an_unchanged_tree_are_those_of_the_whole_tree(copier: Copier, source: Path) -> None:
    first = copier.copy(source).counters
    second = copier.copy(source).counters
    assert second.files_total == first.files_done
    assert second.bytes_done == first.bytes_done == 72 * 3000
    assert second.directories_done == first.directories_done


def _replace(path: Path, make: Callable[[Path], object]) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    make(path)


def _empty(root: Path) -> None:
    for path in root.iterdir():
        shutil.rmtree(path)


FILE = "a1/b1/c1/f3"
CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda root: (root / FILE).write_bytes(b"new content"),
    "same size": lambda root: (root / FILE).write_bytes(os.urandom(3000)),
    "a new file": lambda root: (root / "a1/b1/c1/new").write_bytes(b"new"),
    "a file removed": lambda root: os.unlink(root / FILE),
    "a file renamed": lambda root: (root / FILE).rename(root / "a2/moved"),
    "a directory renamed": lambda root: (root / "a1/b1").rename(root / "a1/renamed"),
    "a directory removed": lambda root: shutil.rmtree(root / "a1/b1"),
    "a file becomes a directory": lambda root: _replace(root / FILE, Path.mkdir),
    "a directory becomes a file": lambda root: _replace(root / "a1/b1", Path.touch),
    "a file becomes a link": lambda root: _replace(root / FILE, lambda path: path.symlink_to("f1")),
    "mode": lambda root: (root / FILE).chmod(0o600),
    "a directory's mode": lambda root: (root / "a1/b1").chmod(0o700),
    "an attribute": lambda root: os.setxattr(root / FILE, "user.x", b"y"),
    "a directory's attribute": lambda root: os.setxattr(root / "a1/b1", "user.x", b"y"),
    "times": lambda root: os.utime(root / FILE, ns=(1, 1)),
    "a link added": lambda root: os.link(root / FILE, root / "a3/link"),
    "everything gone": _empty,
}


@pytest.mark.parametrize("with_state", [True, False], ids=["state", "trees"])
@pytest.mark.parametrize("trust", list(Trust))
@pytest.mark.parametrize("change", list(CHANGES))
def test_a_changed_tree_is_copied_as_a_full_copy_would(
    copier: Copier, source: Path, change: str, trust: Trust, with_state: bool
) -> None:
    first = copier.copy(source, trust=trust, with_state=with_state)
    time.sleep(0.015)
    CHANGES[change](source)
    incremental = copier.copy(source, trust=trust, with_state=with_state)
    full = copier.run(copier.plan(source, trust=trust, with_state=False))
    assert incremental.tree_id != first.tree_id
    if trust is Trust.FULL:
        assert incremental.tree_id == full.tree_id
    else:
        left = nodes_of(copier, incremental, source)
        right = nodes_of(copier, full, source)
        assert _comparable(left) == _comparable(right)


def _comparable(nodes: dict[str, Node]) -> dict[str, tuple[object, ...]]:
    return {
        path: (node.kind, node.permissions, node.mtime_ns, node.size, node.content, node.attributes, node.link_target)
        for path, node in nodes.items()
    }


def test_a_chain_of_changes_ends_in_the_tree_of_a_full_copy(copier: Copier, source: Path) -> None:
    for number in range(6):
        copier.copy(source)
        time.sleep(0.015)
        (source / f"a{number % 3}" / f"new {number}").write_bytes(os.urandom(100))
        (source / "a1/b1/c1" / f"f{number}").unlink()
    last = copier.copy(source)
    assert last.counters.files_new == 1
    assert last.tree_id == copier.run(copier.plan(source, with_state=False)).tree_id


def test_a_snapshot_that_is_a_fresh_copy_reads_nothing_and_gives_the_same_tree(
    copier: Copier, source: Path, tmp_path: Path
) -> None:
    for path in [*source.rglob("*"), source]:
        os.utime(path, ns=(10**18, 10**18))
    results = []
    for name in ("one", "two"):
        shutil.copytree(source, tmp_path / name, symlinks=True)
        root = SourceRoot(directory=tmp_path / name, stored_as=StoredPath(b"/data"))
        results.append(copier.copy(root, trust=Trust.MTIME_SIZE))
    assert results[1].counters.bytes_read == 0
    assert results[1].counters.files_unmodified == 72
    assert results[1].tree_id == results[0].tree_id


@pytest.mark.parametrize("with_state", [True, False])
def test_a_file_changed_at_the_moment_of_the_last_copy_is_read_again(
    copier: Copier, source: Path, with_state: bool
) -> None:
    (source / "a1/b1/c1/f2").write_bytes(b"at that very moment")
    moment = (source / "a1/b1/c1/f2").stat().st_ctime_ns
    copier.run(copier.plan(source, with_state=with_state, taken_at_ns=moment))
    again = copier.copy(source, with_state=with_state)
    assert again.counters.files_unmodified < 72
    assert again.counters.bytes_new == 0
    assert copier.copy(source, with_state=with_state).counters.files_unmodified == 72


def test_a_file_that_cannot_be_read_is_told_and_left_out(
    copier: Copier, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str, directory_fd: int | None) -> int:
        if name == "f2":
            raise PermissionError(13, "Permission denied")
        return open_file(name, directory_fd)

    monkeypatch.setattr(f"{PIPELINE}.file_reader.open_file", refuse)
    result = copier.copy(source)
    assert result.counters.exceptions == 12
    assert len(copier.sink.failed) == 12
    assert copier.sink.failed[b"/source/a1/b1/c1/f2"] == "file-unreadable"
    assert "/a1/b1/c1/f2" not in nodes_of(copier, result, source)
    again = copier.copy(source)
    assert again.counters.exceptions == 12
    monkeypatch.undo()
    assert copier.copy(source).counters.files_new == 12
    assert copier.copy(source).counters.files_unmodified == 72


def test_a_directory_that_cannot_be_read_is_told_and_left_out(
    copier: Copier, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> int:
        if path.endswith("/b1"):
            raise OSError(5, "Input/output error")
        return open_directory(path)

    copier.copy(source)
    monkeypatch.setattr(f"{PIPELINE}.visit.open_directory", refuse)
    result = copier.copy(source)
    assert set(copier.sink.failed) == {b"/source/a%d/b1" % number for number in (0, 1, 3, 4)}
    assert result.counters.exceptions == len(copier.sink.failed)
    assert "/a1/b1" not in nodes_of(copier, result, source)
    monkeypatch.undo()
    assert "/a1/b1/c1/f2" in nodes_of(copier, copier.copy(source), source)


def test_a_file_that_vanishes_is_told_and_left_out(
    copier: Copier, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish(name: str, directory_fd: int | None) -> int:
        if name == "f2":
            os.unlink(name, dir_fd=directory_fd)
        return open_file(name, directory_fd)

    monkeypatch.setattr(f"{PIPELINE}.file_reader.open_file", vanish)
    result = copier.copy(source)
    assert set(copier.sink.failed.values()) == {"file-vanished"}
    assert result.counters.exceptions == 12
    assert result.counters.files_done == 72


@pytest.mark.parametrize("size", [0, 1000, 5000, 30 << 20], ids=["emptied", "cut", "grown", "grown large"])
def test_a_file_that_changes_while_it_is_read_is_stored_as_read(
    copier: Copier, tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "one"
    source.mkdir()
    (source / "file").write_bytes(os.urandom(3000))
    os.utime(source / "file", ns=(1, 1))
    content = os.urandom(size)

    def change(name: str, directory_fd: int | None) -> int:
        (source / "file").write_bytes(content)
        return open_file(name, directory_fd)

    monkeypatch.setattr(f"{PIPELINE}.file_reader.open_file", change)
    result = copier.copy(source)
    node = nodes_of(copier, result, source)["/file"]
    assert node.size == size
    assert content_of(copier, node) == content
    monkeypatch.undo()
    assert copier.copy(source).counters.files_changed == 1


def test_a_file_replaced_by_a_fifo_while_it_is_read_is_told(
    copier: Copier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "one"
    source.mkdir()
    (source / "file").write_bytes(b"x" * 10)

    def replace(name: str, directory_fd: int | None) -> int:
        (source / "file").unlink()
        os.mkfifo(source / "file")
        return open_file(name, directory_fd)

    monkeypatch.setattr(f"{PIPELINE}.file_reader.open_file", replace)
    copier.copy(source)
    assert list(copier.sink.failed.values()) == ["file-unreadable"]


def test_a_huge_directory_is_shared_out_in_slices(
    copier: Copier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "wide"
    source.mkdir()
    for number in range(300):
        (source / f"f{number}").write_bytes(os.urandom(2000))
    monkeypatch.setattr(f"{PIPELINE}.visit.SLICE_ENTRIES", 16)
    sliced = copier.run(copier.plan(source, readers=3))
    monkeypatch.undo()
    assert sliced.counters.files_new == sliced.counters.files_done == 300
    assert copier.run(copier.plan(source, with_state=False)).tree_id == sliced.tree_id


def test_equal_files_are_stored_once_whoever_reads_them(copier: Copier, tmp_path: Path) -> None:
    source = tmp_path / "same"
    content = os.urandom(50_000)
    for number in range(40):
        (source / f"d{number}").mkdir(parents=True)
        (source / f"d{number}" / "file").write_bytes(content)
    result = copier.run(copier.plan(source, readers=3))
    assert 50_000 <= result.counters.bytes_new < 90_000


def test_a_parent_that_is_gone_means_a_full_copy_and_is_told(copier: Copier, source: Path) -> None:
    result = copier.run(copier.plan(source, parent=FileId("ab" * 32)))
    assert result.parent_used is None
    assert result.counters.files_new == 72
    assert copier.sink.notices == ["parent-unusable"]


def test_a_state_that_does_not_fit_the_repository_is_not_used(copier: Copier, source: Path) -> None:
    copier.copy(source)
    for name in os.listdir(copier.path / "index"):
        os.unlink(copier.path / "index" / name)
    result = copier.copy(source)
    assert result.counters.files_new == 72
    assert result.tree_id == copier.run(copier.plan(source, with_state=False)).tree_id


@pytest.mark.parametrize("with_state", [True, False])
def test_what_no_index_names_any_more_is_read_and_stored_again(
    copier: Copier, source: Path, with_state: bool, tmp_path: Path
) -> None:
    copier.copy(source, with_state=with_state)
    before = set(os.listdir(copier.path / "index"))
    (source / "a0/extra").write_bytes(os.urandom(9000))
    expected = copier.copy(source, with_state=with_state)
    for lost in set(os.listdir(copier.path / "index")) - before:
        (copier.path / "index" / lost).rename(tmp_path / lost)
    healed = copier.copy(source, with_state=with_state)
    assert healed.tree_id == expected.tree_id
    assert healed.counters.bytes_new >= 9000
    assert content_of(copier, nodes_of(copier, healed, source)["/a0/extra"]) == (source / "a0/extra").read_bytes()


def test_trees_in_a_damaged_pack_are_told_by_name(copier: Copier, source: Path) -> None:
    copier.copy(source)
    for path in (copier.path / "data").rglob("*"):
        if path.is_file():
            path.chmod(0o600)
            path.write_bytes(bytes(path.stat().st_size))
    (source / "a1/b1/c1/f2").write_bytes(b"changed")
    with pytest.raises(RepositoryDamaged) as caught:
        copier.copy(source)
    assert caught.value.name.startswith("data/")
    assert copier.locks == []


def test_totals_never_fall_behind_what_is_done(copier: Copier, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{PIPELINE}.pulse._PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr(f"{PIPELINE}.pulse._CHECK_SECONDS", 0.0)
    monkeypatch.setattr(f"{PIPELINE}.coordinator._ALONE_SECONDS", 0.0)
    copier.copy(source)
    grow_tree(source / "more", directories=40)
    copier.copy(source)
    assert copier.sink.progress
    for event in copier.sink.progress:
        counters = event.counters
        assert counters.bytes_total is None or counters.bytes_done <= counters.bytes_total
        assert counters.files_total is None or counters.files_done <= counters.files_total
    phases = [event.phase for event in copier.sink.events if isinstance(event, PhaseStarted)]
    assert phases == [PhaseName.PREPARE, PhaseName.COPY, PhaseName.COMMIT]


def test_a_wrong_guess_of_the_total_is_dropped_and_then_corrected(
    copier: Copier, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{PIPELINE}.pulse._PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr(f"{PIPELINE}.pulse._CHECK_SECONDS", 0.0)
    monkeypatch.setattr(f"{PIPELINE}.coordinator._ALONE_SECONDS", 0.0)
    guessed = copier.copy(source).counters.bytes_total
    grow_tree(source / "more", directories=200, size=40_000)
    before = len(copier.sink.progress)
    real = copier.copy(source).counters.bytes_total
    assert {event.counters.bytes_total for event in copier.sink.progress[before:]} <= {None, guessed, real}


def test_holes_are_not_read_and_give_the_chunks_that_reading_them_gives(
    copier: Copier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "sparse"
    source.mkdir()
    random = Random(3)
    for number in range(5):
        with open(source / f"file {number}", "wb") as file:
            size = random.randrange(17 << 20, 40 << 20)
            file.truncate(size)
            for length in random.sample([1, 4096, 700_000, 3 << 20], k=number % 4):
                file.seek(random.randrange(size - length))
                file.write(random.randbytes(length))
    skipped = copier.copy(source, with_state=False)
    monkeypatch.setattr(LargeFiles, "_skip_hole", lambda _self, _fd, _file, position: position)
    read = copier.run(copier.plan(source, with_state=False))
    assert skipped.counters.bytes_read < skipped.counters.bytes_done <= read.counters.bytes_read
    assert read.tree_id == skipped.tree_id
