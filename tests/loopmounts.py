"""Real file systems in loop mounts, for tests of what only a real file system does.

Fixtures: ``btrfs_mount``, ``xfs_mount``, ``xfs_without_reflink``, ``ext4_mount`` and the factory ``loop_mount``, which
also gives a tmpfs and a ZFS dataset of a pool on a file (:mod:`tests.zfs_pool`). Each
gives the mount point of a fresh, empty file system that is gone after the test, whatever happened. Where this machine
cannot do it (no root, no loop device, no mkfs) the test is skipped, and says why; the gates count that as a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from jobs.engine.snapshots.tree_remove import remove_tree
from tests.zfs_pool import NoPool, fresh_dataset, leave

MKFS: dict[str, list[str]] = {
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
    "xfs": ["mkfs.xfs", "-q", "-f", "-m", "reflink=1"],
    "xfs-without-reflink": ["mkfs.xfs", "-q", "-f", "-m", "reflink=0"],
    "ext4": ["mkfs.ext4", "-q", "-F"],
}
MEBIBYTE = 2**20
_CLUSTER = os.environ.get("SNAPCOPY_TEST_CEPHFS", "")
SMALLEST = 320 * MEBIBYTE
"""mkfs.xfs refuses less than 300 MiB; image files are sparse, so nothing is really taken."""

LoopMount = Callable[..., Path]


class CannotMount(Exception):
    """Why this machine cannot make a loop mount."""


@contextmanager
def mounted(kind: str, folder: Path, *, size_bytes: int = SMALLEST, options: str = "") -> Iterator[Path]:
    """A fresh file system of one of :data:`MKFS` below ``folder``; raises CannotMount."""
    require_machine(kind)
    folder.mkdir(parents=True, exist_ok=True)
    image, point = folder / "image", folder / "mount"
    point.mkdir()
    if kind == "cephfs":
        with _cluster_directory(folder) as directory:
            yield directory
        return
    if kind == "zfs":
        with _dataset(point, size_bytes):
            yield point
        return
    if kind == "tmpfs":
        _run(["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(point)])
        try:
            yield point
        finally:
            unmount(point)
        return
    with open(image, "wb") as file:
        file.truncate(size_bytes)
    try:
        _run([*MKFS[kind], str(image)])
        _run(["mount", "-o", f"loop{',' + options if options else ''}", str(image), str(point)])
    except CannotMount:
        image.unlink()
        raise
    try:
        yield point
    finally:
        unmount(point)
        image.unlink()


def require_machine(kind: str) -> None:
    """Raises CannotMount with the reason."""
    if os.geteuid() != 0:
        raise CannotMount("loop mounts need root")
    if kind in ("tmpfs", "zfs", "cephfs"):
        return
    if not os.path.exists("/dev/loop-control"):
        raise CannotMount("this kernel has no loop devices (/dev/loop-control)")
    for program in (MKFS[kind][0], "mount", "umount"):
        if shutil.which(program) is None:
            raise CannotMount(f"{program} is not installed")


def cluster_mount() -> Path | None:
    """Where a CephFS is mounted, if the one who runs the tests has one: ``SNAPCOPY_TEST_CEPHFS``."""
    return Path(_CLUSTER) if _CLUSTER else None


@contextmanager
def _cluster_directory(folder: Path) -> Iterator[Path]:
    """A fresh directory there, gone with its snapshots afterwards."""
    if not _CLUSTER:
        raise CannotMount("SNAPCOPY_TEST_CEPHFS names no mounted CephFS")
    directory = Path(tempfile.mkdtemp(dir=_CLUSTER))
    try:
        yield directory
    finally:
        unmount_below(directory)
        for snapshot in os.listdir(directory / ".snap"):
            (directory / ".snap" / snapshot).rmdir()
        remove_tree(str(directory))


@contextmanager
def _dataset(point: Path, size_bytes: int) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(fresh_dataset(point, size_bytes=size_bytes))
        except NoPool as reason:
            raise CannotMount(str(reason)) from reason
        try:
            yield
        finally:
            unmount_below(point)


def unmount(point: Path) -> None:
    """Take away everything mounted at or below ``point``, deepest first; the loop device frees itself.

    A mount that is still in use is detached lazily, so that it goes when its last user does.
    """
    unmount_below(point, and_itself=True)


def unmount_below(point: Path, *, and_itself: bool = False) -> None:
    """The same, but for what is mounted at ``point``."""
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
        mounted_at = [line.split(" ")[1].encode().decode("unicode_escape") for line in file]
    below = [path for path in mounted_at if path.startswith(f"{point}/") or (and_itself and path == str(point))]
    for path in sorted(below, key=len, reverse=True):
        if subprocess.run(["umount", path], check=False, capture_output=True).returncode:
            subprocess.run(["umount", "--lazy", path], check=True, capture_output=True)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise CannotMount(f"{command[0]}: {(done.stderr or done.stdout).strip()}")


def pytest_unconfigure() -> None:
    """The pool of this process goes with it."""
    leave()


@pytest.fixture
def loop_mount(tmp_path: Path) -> Iterator[LoopMount]:
    """``loop_mount("btrfs", size_bytes=..., options="...")`` as often as wanted."""
    with ExitStack() as stack:
        count = 0

        def mount(kind: str, **settings: object) -> Path:
            nonlocal count
            count += 1
            try:
                return stack.enter_context(mounted(kind, tmp_path / f"loop{count}", **settings))  # type: ignore[arg-type]
            except CannotMount as reason:
                pytest.skip(f"no {kind} loop mount here: {reason}")

        yield mount


@pytest.fixture
def btrfs_mount(loop_mount: LoopMount) -> Path:
    return loop_mount("btrfs")


@pytest.fixture(scope="module")
def module_btrfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One for all tests of a module, as what emulated arrays keep their volumes on."""
    try:
        with mounted("btrfs", tmp_path_factory.mktemp("loop")) as mount:
            yield mount
    except CannotMount as reason:
        pytest.skip(f"no btrfs loop mount here: {reason}")


@pytest.fixture
def xfs_mount(loop_mount: LoopMount) -> Path:
    return loop_mount("xfs")


@pytest.fixture
def xfs_without_reflink(loop_mount: LoopMount) -> Path:
    return loop_mount("xfs-without-reflink")


@pytest.fixture
def ext4_mount(loop_mount: LoopMount) -> Path:
    return loop_mount("ext4")
