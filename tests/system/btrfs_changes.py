"""What may happen between two snapshots: each function does one kind of change to a content path."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

from tests.odd_tree import build_odd_tree

from .btrfs_world import btrfs, clone_range, punch_hole, write

MEBIBYTE = 2**20


def furnish(content: Path) -> None:
    """What the changes below expect to find."""
    for name in ("a", "b/c", "b/d", "e"):
        (content / name).mkdir(parents=True)
        for number in range(4):
            (content / name / f"file {number}").write_bytes(f"{name} {number}".encode() * 1000)
    (content / "large").write_bytes(os.urandom(12 * MEBIBYTE))
    (content / "medium").write_bytes(os.urandom(MEBIBYTE))
    (content / "inline").write_bytes(b"few bytes")
    os.link(content / "a" / "file 0", content / "e" / "linked")
    os.symlink("target", content / "symlink")
    os.mkfifo(content / "fifo")


def nothing(_content: Path) -> None:
    return


def create(content: Path) -> None:
    (content / "a" / "new").write_text("new")
    (content / "a" / "new empty").touch()
    (content / "deep" / "er" / "still").mkdir(parents=True)
    (content / "deep" / "er" / "still" / "file").write_text("x")
    os.symlink("x", content / "b" / "new link")
    os.mkfifo(content / "b" / "new fifo")
    os.mknod(content / "b" / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))


def delete(content: Path) -> None:
    (content / "a" / "file 1").unlink()
    (content / "symlink").unlink()
    for number in range(4):
        (content / "b" / "c" / f"file {number}").unlink()
    (content / "b" / "c").rmdir()


def rename_files(content: Path) -> None:
    os.rename(content / "a" / "file 1", content / "a" / "renamed")
    os.rename(content / "a" / "file 2", content / "e" / "moved")
    os.rename(content / "b" / "d" / "file 0", content / "b" / "d" / "file 1")
    os.rename(content / "large", content / "b" / "large moved")


def rename_a_directory(content: Path) -> None:
    os.rename(content / "b", content / "b renamed")
    (content / "b renamed" / "c" / "file 0").write_text("and changed")
    (content / "b renamed" / "c" / "new").write_text("and grown")
    (content / "b renamed" / "d" / "new").mkdir()


def move_directories_into_each_other(content: Path) -> None:
    os.rename(content / "b", content / "a" / "b")
    os.rename(content / "e", content / "a" / "b" / "c" / "e")
    os.rename(content / "a" / "b" / "d", content / "d")


def swap_directories(content: Path) -> None:
    os.rename(content / "a", content / "tmp")
    os.rename(content / "e", content / "a")
    os.rename(content / "tmp", content / "e")
    (content / "a" / "file 3").write_text("changed")


def move_out_of_what_is_deleted(content: Path) -> None:
    os.rename(content / "b" / "c", content / "rescued")
    for number in range(4):
        (content / "b" / "d" / f"file {number}").unlink()
    (content / "b" / "d").rmdir()
    (content / "b").rmdir()


def move_into_something_new(content: Path) -> None:
    (content / "new" / "deeper").mkdir(parents=True)
    os.rename(content / "b", content / "new" / "deeper" / "b")
    os.rename(content / "a" / "file 3", content / "new" / "file 3")


def move_out_of_the_content_and_in(content: Path) -> None:
    outside = content.parent / "outside"
    os.rename(content / "a", outside / "a")
    os.rename(outside / "stranger", content / "stranger")
    os.rename(outside / "lonely", content / "b" / "lonely")


def add_and_remove_hard_links(content: Path) -> None:
    os.link(content / "b" / "c" / "file 1", content / "e" / "second name")
    os.link(content / "b" / "c" / "file 1", content / "third name")
    (content / "e" / "linked").unlink()


def change_a_hard_linked_file(content: Path) -> None:
    write(content / "e" / "linked", b"through another name")


def link_across_directories_beyond_one_item(content: Path) -> None:
    """So many names that btrfs keeps them in extended references."""
    for number in range(300):
        os.link(content / "inline", content / "a" / (f"{number:03d}" + "n" * 200))


def replace_by_another_type(content: Path) -> None:
    (content / "a" / "file 0").unlink()
    (content / "a" / "file 0").mkdir()
    (content / "a" / "file 0" / "inside").write_text("x")
    (content / "a" / "file 1").unlink()
    os.symlink("x", content / "a" / "file 1")
    for number in range(4):
        (content / "b" / "c" / f"file {number}").unlink()
    (content / "b" / "c").rmdir()
    (content / "b" / "c").write_text("was a directory")
    (content / "symlink").unlink()
    (content / "symlink").write_text("was a link")
    (content / "fifo").unlink()
    os.mknod(content / "fifo", stat.S_IFSOCK | 0o600)


def recreate_under_the_same_names(content: Path) -> None:
    for number in range(4):
        (content / "b" / "c" / f"file {number}").unlink()
    (content / "b" / "c").rmdir()
    (content / "b" / "c").mkdir()
    (content / "b" / "c" / "file 0").write_text("another file")


def change_metadata_only(content: Path) -> None:
    (content / "large").chmod(0o600)
    os.chown(content / "a" / "file 0", 1234, 4321)
    os.utime(content / "a" / "file 1", ns=(1, 2))
    (content / "b").chmod(0o700)
    os.utime(content / "e", ns=(5, 6))
    os.chown(content / "symlink", 1234, 4321, follow_symlinks=False)


def change_attributes(content: Path) -> None:
    os.setxattr(content / "large", "user.comment", b"x" * 200)
    os.setxattr(content / "b" / "c", "user.comment", b"on a directory")
    os.setxattr(content / "symlink", "trusted.comment", b"x", follow_symlinks=False)


def write_in_the_middle(content: Path) -> None:
    write(content / "large", b"changed here", 5 * MEBIBYTE)
    write(content / "medium", b"and here", 300_000)
    write(content / "inline", b"FEW")


def write_without_moving_the_mtime(content: Path) -> None:
    for name in ("large", "medium", "a/file 1", "inline"):
        before = os.stat(content / name)
        write(content / name, b"hidden")
        os.utime(content / name, ns=(before.st_atime_ns, before.st_mtime_ns))


def grow_and_shrink(content: Path) -> None:
    write(content / "large", b"more" * 100_000, 12 * MEBIBYTE)
    os.truncate(content / "medium", 700_001)
    os.truncate(content / "a" / "file 2", 0)
    os.truncate(content / "inline", 5 * MEBIBYTE)


def shrink_a_large_file(content: Path) -> None:
    os.truncate(content / "large", 9 * MEBIBYTE + 7)


def make_holes(content: Path) -> None:
    punch_hole(content / "large", start=2 * MEBIBYTE, length=3 * MEBIBYTE)
    with open(content / "sparse", "wb") as file:
        file.seek(20 * MEBIBYTE)
        file.write(b"end")
    os.truncate(content / "medium", 6 * MEBIBYTE)


def reflink(content: Path) -> None:
    """Old blocks in a new place: their extent is older than the first snapshot."""
    clone_range(content / "large", content / "large", start=0, length=4 * MEBIBYTE, to=8 * MEBIBYTE)
    clone_range(content / "medium", content / "large", start=0, length=MEBIBYTE, to=MEBIBYTE)
    (content / "copy").touch()
    clone_range(content / "large", content / "copy", start=0, length=12 * MEBIBYTE, to=0)


def preallocate(content: Path) -> None:
    subprocess.run(["fallocate", "-l", str(6 * MEBIBYTE), str(content / "preallocated")], check=True)
    subprocess.run(["fallocate", "-o", str(12 * MEBIBYTE), "-l", str(MEBIBYTE), str(content / "large")], check=True)
    write(content / "preallocated", b"first", MEBIBYTE)


def nest_subvolumes(content: Path) -> None:
    btrfs("subvolume", "create", content / "a" / "nested")
    (content / "a" / "nested" / "not ours").write_text("x")


def build_odd_things(content: Path) -> None:
    (content / "odd").mkdir()
    build_odd_tree(content / "odd")


CHANGES = (
    nothing,
    create,
    delete,
    rename_files,
    rename_a_directory,
    move_directories_into_each_other,
    swap_directories,
    move_out_of_what_is_deleted,
    move_into_something_new,
    move_out_of_the_content_and_in,
    add_and_remove_hard_links,
    change_a_hard_linked_file,
    link_across_directories_beyond_one_item,
    replace_by_another_type,
    recreate_under_the_same_names,
    change_metadata_only,
    change_attributes,
    write_in_the_middle,
    write_without_moving_the_mtime,
    grow_and_shrink,
    shrink_a_large_file,
    make_holes,
    reflink,
    preallocate,
    nest_subvolumes,
    build_odd_things,
)
