"""The file systems behind the emulated ONTAP: volumes are btrfs subvolumes, snapshots lie in their ``.snapshot``.

They are what a node sees where the root of an SVM is mounted. ``.snapshot`` is no part of a snapshot, as on ONTAP.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SNAPSHOTS = ".snapshot"


def btrfs(*arguments: str | Path) -> None:
    subprocess.run(["btrfs", *map(str, arguments)], check=True, capture_output=True)


def make_volume(directory: Path) -> None:
    """An empty volume with its directory of snapshots."""
    btrfs("subvolume", "create", directory)
    btrfs("subvolume", "create", directory / SNAPSHOTS)


def take(directory: Path, name: str) -> None:
    """A read-only snapshot of a volume at ``.snapshot/NAME``, without that directory in it."""
    copy_subvolume(directory, directory / SNAPSHOTS / name)


def copy_subvolume(source: Path, target: Path, *, is_writable: bool = False) -> None:
    """All of a volume or snapshot at another place; inodes and times stay, but not from one btrfs to another."""
    try:
        btrfs("subvolume", "snapshot", source, target)
    except subprocess.CalledProcessError as error:
        if b"cross-device" not in error.stderr:
            raise
        _send(source, target)
        return
    if (target / SNAPSHOTS).is_dir():
        _forget_empty(target / SNAPSHOTS, target)
    if not is_writable:
        btrfs("property", "set", "-ts", target, "ro", "true")


def drop(directory: Path) -> None:
    btrfs("subvolume", "delete", directory)


def restore(directory: Path, name: str, newer: list[str]) -> None:
    """The volume becomes what it is in the snapshot ``name``; the ``newer`` ones are gone, the others stay."""
    aside = directory.with_name(f"{directory.name}.aside")
    os.rename(directory, aside)
    copy_subvolume(aside / SNAPSHOTS / name, directory, is_writable=True)
    os.rename(aside / SNAPSHOTS, directory / SNAPSHOTS)
    for one in newer:
        drop(directory / SNAPSHOTS / one)
    drop(aside)


def _forget_empty(stub: Path, top: Path) -> None:
    """What btrfs leaves in place of a nested subvolume; the top keeps its times."""
    status = os.stat(top)
    stub.rmdir()
    os.utime(top, ns=(status.st_atime_ns, status.st_mtime_ns))


def _send(source: Path, target: Path) -> None:
    """From one btrfs to another: a stream."""
    with subprocess.Popen(["btrfs", "send", "-q", str(source)], stdout=subprocess.PIPE) as sending:
        subprocess.run(["btrfs", "receive", "-q", str(target.parent)], stdin=sending.stdout, check=True)
    assert sending.returncode == 0
    if source.name != target.name:
        os.rename(target.with_name(source.name), target)
