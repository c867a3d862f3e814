"""Restores from an opened snapshot: as from a medium, but compared where a medium proves by digests (V1, V2)."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.errors import InvalidOptions, Killed, NotInCopy, SourceMissing, SourceUnavailable
from jobs.engine.events import Control, FreeRun
from jobs.engine.operations import backup_copy, restore
from jobs.engine.operations.restoring import files, from_snapshot, segments, writing
from jobs.engine.operations.restoring.from_snapshot import OpenedSnapshot
from jobs.engine.operations.restoring.items import FolderItem
from jobs.engine.operations.restoring.source import Listing
from jobs.engine.operations.snapshot_listing import list_snapshot
from jobs.engine.plan import CopyPlan, Fate, Overwrite, RestorePlan, RestoreResult, SourceRoot, StoredPath
from jobs.engine.snapshots.origins import OriginsWriter
from tests.engine.repositories import PASSWORD, new_repository
from tests.engine.restores import Record, StopAfter, leftovers, medium, run_restore
from tests.odd_tree import Described, build_odd_tree, describe_tree

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="devices and owners need root")
STORED = StoredPath(b"/srv/data")


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """A content path as it lies in an opened snapshot."""
    path = tmp_path / "snapshots" / "one" / "data"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


def root_of(inside: Path, stored: bytes = STORED, origins: Path | None = None) -> SourceRoot:
    return SourceRoot(directory=inside, stored_as=StoredPath(stored), origins=origins)


def give_back(
    roots: Sequence[SourceRoot],
    target: Path,
    *,
    record: Record | None = None,
    control: Control | None = None,
    **plan: object,
) -> RestoreResult:
    values: dict[str, object] = {"readers": 2} | plan
    return restore.run_from_snapshot(
        RestorePlan(target=target, **values),  # type: ignore[arg-type]
        roots,
        record or Record(),
        control or FreeRun(),
        SystemClock(),
    )


def without_sockets(tree: dict[bytes, Described]) -> dict[bytes, Described]:
    return {path: entry for path, entry in tree.items() if not stat.S_ISSOCK(entry.mode)}


@needs_root
def test_V1_an_odd_tree_comes_back_as_it_does_from_a_backup_copy_of_that_snapshot(
    inside: Path, tmp_path: Path, target: Path
) -> None:
    build_odd_tree(inside)
    record = Record()
    result = give_back([root_of(inside)], target, record=record, readers=3)
    assert record.failures == {}
    assert record.notices == []
    assert result.counters.exceptions == 0
    ours = describe_tree(target / "srv" / "data")
    assert ours == without_sockets(describe_tree(inside))
    new_repository(tmp_path / "repository")
    copy = CopyPlan(roots=(root_of(inside),), hostname="h", username="u", taken_at_ns=time.time_ns())
    backup_copy.run(copy, medium(tmp_path / "repository"), PASSWORD, Record(), FreeRun(), SystemClock())
    copied = run_restore(tmp_path / "repository", tmp_path / "copied")
    assert describe_tree(tmp_path / "copied" / "srv" / "data") == ours
    assert copied.counters.files_new == result.counters.files_new


@needs_root
def test_V2_a_second_restore_writes_nothing_again_whatever_the_mode(inside: Path, target: Path) -> None:
    build_odd_tree(inside)
    give_back([root_of(inside)], target)
    for overwrite in Overwrite:
        result = give_back([root_of(inside)], target, overwrite=overwrite)
        assert (result.files_skipped, result.counters.files_new) == (0, 0), overwrite
        assert result.counters.files_changed == 0 or overwrite is Overwrite.ALWAYS, "links and devices are made anew"
        assert result.counters.files_unmodified > 20, overwrite
    assert describe_tree(target / "srv" / "data") == without_sockets(describe_tree(inside))


def test_large_files_come_back_in_segments_with_their_holes(
    inside: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(from_snapshot, "PIECE_BYTES", 1 << 20)
    monkeypatch.setattr(files, "LARGE_BYTES", 3 << 20)
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 2 << 20)
    (inside / "large").write_bytes(os.urandom((9 << 20) + 17))
    with open(inside / "holes", "wb") as file:
        file.seek(20 << 20)
        file.write(b"middle")
        file.truncate(40 << 20)
    (inside / "pieces").write_bytes(os.urandom((2 << 20) + 5))
    result = give_back([root_of(inside)], target, readers=3)
    there = target / "srv" / "data"
    assert describe_tree(there) == describe_tree(inside)
    assert (there / "holes").stat().st_blocks * 512 < 1 << 20
    assert result.counters.bytes_read < 14 << 20, "holes are not read"
    assert result.counters.bytes_done == sum(path.stat().st_size for path in inside.iterdir())


def test_only_the_chosen_paths_come_back_and_a_prefix_can_be_left_out(inside: Path, target: Path) -> None:
    for name in ("a/x", "a/y", "b/x", "c"):
        (inside / name).parent.mkdir(exist_ok=True)
        (inside / name).write_bytes(name.encode())
    give_back([root_of(inside)], target, paths=(STORED + b"/a/x", STORED + b"/b"), strip_prefix=STORED)
    assert sorted(str(path.relative_to(target)) for path in target.rglob("*")) == ["a", "a/x", "b", "b/x"]


def test_several_content_paths_come_back_each_to_its_place(inside: Path, target: Path, tmp_path: Path) -> None:
    other = tmp_path / "snapshots" / "other"
    other.mkdir()
    (inside / "one").write_bytes(b"1")
    (other / "two").write_bytes(b"2")
    other.chmod(0o711)
    give_back([root_of(inside), root_of(other, b"/srv/more/other")], target)
    assert (target / "srv/data/one").read_bytes() == b"1"
    assert (target / "srv/more/other/two").read_bytes() == b"2"
    assert stat.S_IMODE((target / "srv/more/other").stat().st_mode) == 0o711


@needs_root
def test_owners_and_rights_are_those_of_the_source_and_what_was_unreadable_is_an_exception(
    inside: Path, target: Path, tmp_path: Path
) -> None:
    (inside / "file").write_bytes(b"content")
    (inside / "held").write_bytes(b"")
    (inside / "linked").write_bytes(b"twice")
    os.link(inside / "linked", inside / "again")
    table = OriginsWriter()
    table.add([((inside / "file").stat().st_ino, 77, 1, stat.S_IFREG | 0o4750, 1234, 4321, 0)])
    table.add([((inside / "held").stat().st_ino, 78, 1, stat.S_IFREG | 0o600, 0, 0, errno.EACCES)])
    table.write(tmp_path / "table")
    record = Record()
    result = give_back([root_of(inside, origins=tmp_path / "table")], target, record=record)
    there = target / "srv" / "data"
    status = (there / "file").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1234, 4321, 0o4750)
    assert not (there / "held").exists(), "an empty stand-in is never mistaken for the file"
    assert list(record.failures) == [STORED + b"/held"]
    assert "when the snapshot was taken" in record.failures[STORED + b"/held"].error
    assert result.counters.exceptions == 1
    assert (there / "linked").samefile(there / "again")


def test_nothing_is_reached_through_a_link(inside: Path, target: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("not in the snapshot")
    os.symlink(tmp_path, inside / "way out")
    for path in (STORED + b"/way out/secret", STORED + b"/../secret"):
        with pytest.raises((NotInCopy, InvalidOptions)):
            give_back([root_of(inside)], target, paths=(StoredPath(path),))
    with pytest.raises(NotInCopy):
        give_back([root_of(inside)], target, strip_prefix=StoredPath(STORED + b"/way out"))
    assert not target.exists()
    give_back([root_of(inside)], target)
    assert (target / "srv/data/way out").is_symlink()


def test_nothing_of_the_snapshot_is_open_afterwards(inside: Path, target: Path) -> None:
    """One that is mounted for its readers could not be unmounted."""
    (inside / "folder").mkdir()
    (inside / "folder" / "file").write_text("x")
    give_back([root_of(inside)], target)
    list_snapshot([root_of(inside)], STORED)
    assert [path for path in open_paths() if path.startswith(str(inside))] == []


def open_paths() -> list[str]:
    """What this process has open."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return found


def test_a_path_that_is_not_there_is_told_before_anything_is_written(inside: Path, target: Path) -> None:
    with pytest.raises(NotInCopy, match="/srv/data/nothing"):
        give_back([root_of(inside)], target, paths=(StoredPath(STORED + b"/nothing"),))
    with pytest.raises(NotInCopy, match="/elsewhere"):
        give_back([root_of(inside)], target, paths=(StoredPath(b"/elsewhere"),))
    assert not target.exists()


def test_a_file_that_is_not_as_long_as_it_was_is_an_exception(
    inside: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inside / "short").write_bytes(b"long enough")
    (inside / "well").write_bytes(b"well")
    listing = OpenedSnapshot.listing

    def then_cut(snapshot: OpenedSnapshot, item: FolderItem) -> Listing:
        found = listing(snapshot, item)
        if item.path == STORED:
            os.truncate(inside / "short", 4)
        return found

    monkeypatch.setattr(OpenedSnapshot, "listing", then_cut)
    monkeypatch.setattr(restore, "only_way", lambda _source, _first: ())
    record = Record()
    give_back([root_of(inside)], target, record=record, readers=1)
    assert [(failed.path, failed.code) for failed in record.failures.values()] == [(STORED + b"/short", "file-changed")]
    assert sorted(path.name for path in (target / "srv/data").iterdir()) == ["well"]


@pytest.mark.parametrize("size", [100, 20_000, 9 << 20])
def test_what_arrives_otherwise_than_it_was_read_is_an_exception(
    inside: Path, target: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    (inside / "file").write_bytes(b"x" * size)

    def broken(fd: int, data: bytes, offset: int) -> None:
        os.pwrite(fd, b"y" + data[1:], offset)

    monkeypatch.setattr(writing, "write_at", broken)
    monkeypatch.setattr(writing, "write_sparse", lambda fd, data: broken(fd, data, 0))
    monkeypatch.setattr(writing, "write_sparse_at", broken)
    record = Record()
    give_back([root_of(inside)], target, record=record)
    assert "what was written" in record.failures[STORED + b"/file"].error
    assert list((target / "srv/data").iterdir()) == []


def test_a_snapshot_that_is_not_there_is_told(inside: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceMissing):
        give_back([root_of(inside / "gone")], target)
    (inside / "file").write_bytes(b"x")

    def stale(_snapshot: OpenedSnapshot, _path: bytes) -> int:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(OpenedSnapshot, "open", stale)
    with pytest.raises(SourceUnavailable, match="cannot be read any more"):
        give_back([root_of(inside)], target)


def test_V2_the_preview_tells_conflicts_and_space_and_what_the_restore_then_does(inside: Path, target: Path) -> None:
    there = target / "srv" / "data"
    there.mkdir(parents=True)
    for name, age, size in (("new", 0, 10), ("older there", -50, 20), ("newer there", 50, 30), ("same", 0, 40)):
        (inside / name).write_bytes(b"a" * size)
        os.utime(inside / name, (1000, 1000))
        if name != "new":
            (there / name).write_bytes(b"b" * size)
            os.utime(there / name, (1000 + age, 1000 + age))
    (inside / "blocked").write_bytes(b"")
    (there / "blocked").mkdir()
    os.utime(inside / "blocked", (1000, 1000))
    for overwrite, fates, needed in (
        (Overwrite.NEVER, [Fate.BLOCKED, Fate.KEPT, Fate.KEPT], 10),
        (Overwrite.IF_NEWER, [Fate.BLOCKED, Fate.KEPT, Fate.REPLACED], 30),
        (Overwrite.ALWAYS, [Fate.BLOCKED, Fate.COMPARED, Fate.COMPARED], 60),
    ):
        result = give_back([root_of(inside)], target, overwrite=overwrite, dry_run=True)
        found = result.preview
        assert found is not None
        assert (found.existing, found.newer, found.older) == (4, 2, 1), "a directory in the way is newer, too"
        assert found.alike == (1 if overwrite is Overwrite.ALWAYS else 0)
        assert [one.fate for one in sorted(found.conflicts, key=lambda one: one.path)] == fates, overwrite
        assert found.conflicts_total == len(fates)
        (space,) = found.spaces
        assert space.needed_bytes == needed
        assert space.is_enough
        assert result.counters.exceptions == 1
    assert (there / "older there").read_bytes() == b"b" * 20, "a dry run writes nothing"


def test_the_space_is_that_of_where_the_target_would_be_made(inside: Path, tmp_path: Path) -> None:
    (inside / "file").write_bytes(b"12345")
    found = give_back([root_of(inside)], tmp_path / "not" / "yet", dry_run=True).preview
    assert found is not None
    assert [(space.where, space.needed_bytes) for space in found.spaces] == [(str(tmp_path), 5)]
    assert not (tmp_path / "not").exists()


def test_J3_a_stopped_restore_leaves_nothing_odd_and_goes_on(inside: Path, target: Path) -> None:
    for number in range(20):
        (inside / f"folder {number}").mkdir()
        for name in range(20):
            (inside / f"folder {number}" / f"file {name}").write_bytes(os.urandom(2000))
    (inside / "large").write_bytes(os.urandom(60 << 20))
    stops = 0
    for looks in (2, 3, 4, 1000):
        try:
            give_back([root_of(inside)], target, control=StopAfter(looks))
        except Killed:
            stops += 1
            assert leftovers(target) == []
    assert stops
    given_back, wanted = describe_tree(target / "srv/data"), describe_tree(inside)
    assert given_back | {b"": wanted[b""]} == wanted


def test_what_was_counted_before_is_the_total_of_the_progress(inside: Path, target: Path) -> None:
    (inside / "file").write_bytes(b"12345")
    record = Record()
    give_back([root_of(inside)], target, record=record, files_expected=1, bytes_expected=5)
    assert (record.progress[-1].counters.files_total, record.progress[-1].counters.bytes_total) == (1, 5)


KILLED = """
import os, sys, threading
from pathlib import Path
from tests.engine.test_restore_from_snapshot import give_back, root_of
threading.Timer(float(sys.argv[3]), lambda: os.kill(os.getpid(), 9)).start()
give_back([root_of(Path(sys.argv[1]))], Path(sys.argv[2]), overwrite=sys.argv[4])
"""


@pytest.mark.parametrize("overwrite", ["never", "always"])
def test_J2_a_killed_restore_goes_on_and_writes_no_file_again(inside: Path, target: Path, overwrite: str) -> None:
    for number in range(40):
        folder = inside / f"folder {number:02}"
        folder.mkdir()
        for name in range(25):
            (folder / f"file {name}").write_bytes(os.urandom(500 + 5000 * (name % 2)))
        os.link(inside / "folder 00" / "file 0", folder / "linked")
    (inside / "large").write_bytes(os.urandom(8 << 20))
    deaths = 0
    for delay in (0.1, 0.15, 0.2):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(inside), str(target), str(delay), overwrite],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            check=False,
        )
        deaths += done.returncode == -signal.SIGKILL
    assert deaths
    before = {path: path.stat().st_ino for path in target.rglob("file *") if path.stat().st_nlink == 1}
    result = give_back([root_of(inside)], target, overwrite=Overwrite(overwrite))
    assert result.files_skipped == 0
    assert leftovers(target) == []
    given_back, wanted = describe_tree(target / "srv/data"), describe_tree(inside)
    assert given_back | {b"": wanted[b""]} == wanted, "but for the time of where it began, which was touched again"
    whole = {path for path, inode in before.items() if path.stat().st_ino == inode}
    assert len(whole) >= len(before) - 2 * files.BATCH_FILES // 100, "complete files are not written again"
