"""Copies by snapshot diff on btrfs equal a full walk's tree byte for byte, whatever happened between two snapshots."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.engine.ids import BlobId
from jobs.engine.operations.copy_pipeline import coordinator, file_reader
from jobs.engine.operations.copy_pipeline.stores import SessionStore
from jobs.engine.plan import CopyResult
from jobs.engine.source.changed import open_comparison
from jobs.engine.source.diff import DiffUnavailable
from jobs.engine.source.listing import open_file
from tests.engine.copying import grow_tree
from tests.interop.restic import Restic

from .btrfs_changes import (
    CHANGES,
    MEBIBYTE,
    change_attributes,
    change_metadata_only,
    create,
    furnish,
    nest_subvolumes,
    rename_a_directory,
    rename_files,
)
from .btrfs_world import World, btrfs, require_diff, write

pytestmark = pytest.mark.system

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def world(btrfs_mount: Path, tmp_path: Path) -> World:
    made = World(btrfs_mount, tmp_path)
    furnish(made.content)
    return made


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_diff_copy_equals_a_walk_after(world: World, change: Callable[[Path], None]) -> None:
    outside = world.volume / "outside"
    (outside / "stranger").mkdir(parents=True)
    (outside / "stranger" / "file").write_text("from outside")
    (outside / "lonely").write_text("from outside, too")
    world.start()
    change(world.content)
    world.next()
    write(world.content / "inline", b"and once more")
    world.next()


def test_the_owner_of_a_directory_with_a_nested_subvolume_changes(world: World) -> None:
    nest_subvolumes(world.content)
    world.start()
    os.chown(world.content / "a", 12, 34)
    world.next()


def test_a_nested_subvolume_that_comes_or_goes_is_seen(world: World) -> None:
    world.start()
    nest_subvolumes(world.content)
    world.next()
    world.next()
    btrfs("subvolume", "delete", world.content / "a" / "nested")
    (world.content / "a" / "nested").write_text("a file now")
    world.next()


def test_the_whole_subvolume_may_be_the_content(world: World) -> None:
    world.content = world.volume
    world.start()
    rename_a_directory(world.volume / "content")
    world.next()


def test_reading_files_is_no_change(btrfs_mount: Path, tmp_path: Path) -> None:
    world = World(btrfs_mount, tmp_path)
    for number in range(50):
        directory = world.content / f"directory {number % 5}"
        directory.mkdir(exist_ok=True)
        (directory / f"file {number}").write_bytes(b"x" * 10_000)
        os.utime(directory / f"file {number}", ns=(0, 0))
    world.start()
    previous = os.stat(world.content / "directory 0" / "file 0").st_atime_ns
    for path in world.content.rglob("file *"):
        path.read_bytes()
    assert os.stat(world.content / "directory 0" / "file 0").st_atime_ns != previous
    result = world.next()
    assert result.counters.bytes_read == 0


def test_metadata_alone_reads_no_data(world: World) -> None:
    world.start()
    change_metadata_only(world.content)
    assert world.next().counters.bytes_read < 20_000
    change_attributes(world.content)
    assert world.next().counters.bytes_read < 20_000
    rename_files(world.content)
    assert world.next().counters.bytes_read < 20_000


def test_only_changed_ranges_of_a_large_file_are_read(world: World) -> None:
    (world.content / "huge").write_bytes(os.urandom(100 * MEBIBYTE))
    world.start()
    write(world.content / "huge", os.urandom(MEBIBYTE), 50 * MEBIBYTE)
    result = world.next()
    assert result.counters.bytes_read < 25 * MEBIBYTE
    assert result.counters.bytes_done >= 100 * MEBIBYTE


def test_several_workers_do_the_same(btrfs_mount: Path, tmp_path: Path) -> None:
    world = World(btrfs_mount, tmp_path, readers=2)
    grow_tree(world.content, directories=40, files=20)
    world.start()
    for number in range(0, 40, 3):
        (directory,) = world.content.glob(f"*/*/c{number}")
        (directory / "f1").unlink()
        (directory / "f2").write_bytes(os.urandom(5000))
        os.rename(directory, world.content / f"moved {number}")
    grow_tree(world.content / "more", directories=200, files=20)
    world.next()


def test_changed_ranges_are_asked_for_in_forked_workers_too(
    btrfs_mount: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their own descriptors must never be taken for those of the snapshots."""
    monkeypatch.setattr(coordinator, "_ALONE_WITH_CHANGES_SECONDS", 0.0)
    world = World(btrfs_mount, tmp_path, readers=2)
    for number in range(8):
        directory = world.content / f"{number}"
        directory.mkdir()
        (directory / "large").write_bytes(os.urandom(12 * MEBIBYTE))
    world.start()
    for number in range(8):
        write(world.content / f"{number}" / "large", os.urandom(1000), 6 * MEBIBYTE)
    result = world.next()
    assert result.counters.files_changed == 8
    assert result.counters.bytes_read < 8 * 6 * MEBIBYTE


def test_what_the_last_copy_could_not_read_is_tried_again_by_a_walk(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It did not change, so the file system would never name it."""

    def failing(name: str, directory_fd: int | None) -> int:
        if name == "file 2":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return open_file(name, directory_fd)

    monkeypatch.setattr(file_reader, "open_file", failing)
    assert world.start().counters.exceptions == 4
    monkeypatch.undo()
    result = world.copy_newest()
    assert "could not read everything" in result.source_note
    world.next()


def test_a_socket_that_becomes_a_file_is_copied(world: World) -> None:
    (world.content / "a" / "socket").touch()
    (world.content / "a" / "socket").unlink()
    os.mknod(world.content / "a" / "socket", stat.S_IFSOCK | 0o600)
    world.start()
    (world.content / "a" / "other").touch()
    world.next()
    (world.content / "a" / "socket").unlink()
    (world.content / "a" / "socket").write_text("a file now")
    world.next()


def change_and_copy(world: World) -> CopyResult:
    (world.content / "a" / "file 0").write_text("changed")
    return world.copy_newest()


def test_a_restored_subvolume_is_walked_and_the_note_says_why(world: World) -> None:
    """The volume is put back to its first snapshot: what came between is not in its generations."""
    world.start()
    create(world.content)
    world.next()
    with world.engine.open(world.refs[0]) as (root,):
        first = root.directory.parent
        btrfs("subvolume", "delete", world.volume)
        btrfs("subvolume", "snapshot", first, world.volume)
    result = change_and_copy(world)
    assert "restored or made anew" in result.source_note
    assert "walk-instead-of-diff" in world.notices
    world.next()


def test_a_subvolume_made_anew_is_walked(world: World) -> None:
    world.start()
    btrfs("subvolume", "delete", world.volume)
    btrfs("subvolume", "create", world.volume)
    (world.content / "a").mkdir(parents=True)
    assert "restored or made anew" in change_and_copy(world).source_note


def test_a_content_path_made_anew_is_walked(world: World) -> None:
    world.start()
    os.rename(world.content, world.volume / "old")
    (world.content / "a").mkdir(parents=True)
    assert "another directory" in change_and_copy(world).source_note


def test_an_older_snapshot_that_was_written_to_is_not_trusted(world: World) -> None:
    world.start()
    with world.engine.open(world.refs[0]) as (root,):
        snapshot = root.directory.parent
        btrfs("property", "set", "-f", snapshot, "ro", "false")
        (root.directory / "a" / "file 1").unlink()
        os.sync()
        btrfs("property", "set", snapshot, "ro", "true")
    assert "changed after it was taken" in change_and_copy(world).source_note


def test_a_live_directory_is_walked(world: World) -> None:
    world.start()
    with world.engine.open(world.refs[0]) as (root,), pytest.raises(DiffUnavailable, match="written to"):
        open_comparison(root.directory, world.content)


def test_another_file_system_is_walked(world: World, tmp_path: Path) -> None:
    world.start()
    with world.engine.open(world.refs[0]) as (root,), pytest.raises(DiffUnavailable, match="cannot tell"):
        open_comparison(root.directory, tmp_path)


def test_snapshots_in_the_wrong_order_are_walked(world: World) -> None:
    first, second = world.snap(), world.snap()
    with (
        world.engine.open(first) as (older,),
        world.engine.open(second) as (newer,),
        pytest.raises(DiffUnavailable, match="is the newer one"),
    ):
        open_comparison(newer.directory, older.directory)


def test_a_parent_from_another_snapshot_is_not_taken_for_the_right_one(world: World) -> None:
    world.start()
    (world.content / "a new directory").mkdir()
    between = world.snap()
    (world.content / "another").mkdir()
    result = world.copy(world.snap(), between, parent=world.parent)
    assert "not the one the last copy was made from" in result.source_note


def test_one_snapshot_copied_again_changes_nothing(world: World) -> None:
    first = world.start()
    again = world.copy(world.refs[0], world.refs[0], parent=world.parent)
    require_diff(again)
    assert again.tree_id == first.tree_id
    assert again.counters.bytes_read == 0


AS_NOBODY = """
import os, pwd, sys
from pathlib import Path
from jobs.engine.source.changed import open_comparison
from jobs.engine.source.diff import DiffUnavailable
from jobs.engine.source.listing import open_file
opened = [Path(f"/proc/self/fd/{os.open(path, os.O_RDONLY)}") for path in sys.argv[1:]]
os.setgroups([])
os.setgid(pwd.getpwnam("nobody").pw_gid)
os.setuid(pwd.getpwnam("nobody").pw_uid)
try:
    open_comparison(*opened)
except DiffUnavailable as problem:
    print(problem)
"""


def test_an_ordinary_user_is_walked(world: World) -> None:
    first, second = world.snap(), world.snap()
    with world.engine.open(first) as (older,), world.engine.open(second) as (newer,):
        command = [sys.executable, "-c", AS_NOBODY, str(older.directory), str(newer.directory)]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "only root may ask btrfs what changed"


@pytest.mark.interop
def test_a_directory_that_the_repository_lost_makes_it_a_walk(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.start()
    (world.content / "b" / "c" / "file 0").write_text("changed")
    load_nodes = SessionStore.load_nodes

    def forgetful(self: SessionStore, tree: BlobId) -> dict[str, str]:
        nodes = load_nodes(self, tree)
        return {} if {"c", "d"} <= nodes.keys() else nodes

    monkeypatch.setattr(SessionStore, "load_nodes", forgetful)
    result = world.copy_newest()
    assert "a directory of the last copy is missing" in result.source_note
    Restic(repository=world.copier.path).run("check", "--read-data")
