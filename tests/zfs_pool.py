"""A real ZFS pool on a file, one per test process, and a fresh dataset of it for each test that asks for one.

Where the kernel has no ZFS, Debian's zfs-fuse serves it: the first process that needs it starts its daemon, the last
one that is done stops it. What a killed run left, the next one takes away.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Final

PREFIX: Final = "snapcopytest"
POOL_BYTES: Final = 2**31
DAEMON_SECONDS: Final = 60.0
BUSY_SECONDS: Final = 2.0
_FOLDER: Final = "snapcopy-zfs-"
_LOCK: Final = Path(tempfile.gettempdir()) / "snapcopy-tests-zfs.lock"
_USERS: Final = Path(tempfile.gettempdir()) / "snapcopy-tests-zfs.users"
_PID: Final = Path(tempfile.gettempdir()) / "snapcopy-tests-zfs.pid"
_numbers: Final = count(1)
_process: Final = ExitStack()
_pool: list[str] = []


class NoPool(Exception):
    """Why this machine has none."""


@contextmanager
def fresh_dataset(point: Path, *, size_bytes: int = 0) -> Iterator[str]:
    """A new dataset mounted at ``point``, gone with its snapshots and clones afterwards. Raises NoPool."""
    name = f"{pool()}/d{next(_numbers)}"
    quota = ["-o", f"quota={size_bytes}"] if size_bytes else []
    zfs("create", "-o", f"mountpoint={point}", *quota, name)
    try:
        yield name
    finally:
        destroy(name)


def dataset_at(point: Path) -> str:
    """The dataset that is mounted there."""
    with open("/proc/self/mounts", encoding="utf-8") as file:
        rows = [line.split(" ") for line in file]
    return next(row[0] for row in rows if row[1] == str(point) and "zfs" in row[2])


def zfs(*arguments: str, check: bool = True) -> str:
    return _run("zfs", *arguments, check=check)


def destroy(name: str) -> None:
    """A dataset with all that hangs on it, clones of other parts of the pool included, whoever holds it.

    zfs-fuse now and then takes one for busy for ever that was unmounted in the moment its last file was closed; such a
    one goes with the pool.
    """
    for tag in ("snapcopy-contract", "snapcopy-otherone", "others"):
        for snapshot in zfs("list", "-H", "-r", "-t", "snapshot", "-o", "name", name).splitlines():
            zfs("release", tag, snapshot, check=False)
    give_up_at = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            zfs("destroy", "-R", "-f", name)
        except NoPool as busy:
            if "busy" not in str(busy):
                raise
            if time.monotonic() > give_up_at:
                return
            time.sleep(0.02)
        else:
            return


def pool() -> str:
    """The pool of this process, made when it is first asked for."""
    if not _pool:
        try:
            _pool.append(_process.enter_context(_new_pool()))
        except OSError as error:
            raise NoPool(str(error)) from error
    return _pool[0]


@contextmanager
def another_pool(folder: Path) -> Iterator[str]:
    """One more, for what goes from pool to pool."""
    pool()
    name = f"{PREFIX}{os.getpid()}x{next(_numbers)}"
    with open(folder / "image", "wb") as file:
        file.truncate(2**29)
    _run("zpool", "create", "-o", "cachefile=none", "-m", str(folder / "pool"), name, str(folder / "image"))
    try:
        yield name
    finally:
        _destroy_pool(name)


def leave() -> None:
    """The process is done with ZFS."""
    _pool.clear()
    _process.close()


@contextmanager
def _new_pool() -> Iterator[str]:
    if os.geteuid() != 0:
        raise NoPool("a pool needs root")
    if shutil.which("zpool") is None:
        raise NoPool("zfs is not installed")
    name = f"{PREFIX}{os.getpid()}"
    with _daemon():
        image = Path(tempfile.mkdtemp(prefix=_FOLDER)) / "image"
        with open(image, "wb") as file:
            file.truncate(POOL_BYTES)
        _run("zpool", "create", "-o", "cachefile=none", "-O", "canmount=off", "-m", "none", name, str(image))
        try:
            yield name
        finally:
            if _destroy_pool(name):
                shutil.rmtree(image.parent)


@contextmanager
def _daemon() -> Iterator[None]:
    """ZFS answers while the block runs. Whoever leaves last ends it."""
    users = os.open(_USERS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with _alone():
            if not _answers():
                _start()
            _sweep()
            fcntl.flock(users, fcntl.LOCK_SH)
        yield
        with _alone(), contextlib.suppress(BlockingIOError):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _stop()
    finally:
        os.close(users)


@contextmanager
def _alone() -> Iterator[None]:
    """No other test process starts or ends the daemon meanwhile: a short while, whoever uses it."""
    lock = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _start() -> None:
    if shutil.which("zfs-fuse") is None or not os.path.exists("/dev/fuse"):
        raise NoPool("ZFS does not run here, and there is no zfs-fuse or no /dev/fuse")
    # Extended attributes are off unless asked for; a page cache of its own memory only.
    command = ["zfs-fuse", "--no-kstat-mount", "--enable-xattr", "--max-arc-size", "64", "--pidfile", str(_PID)]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    give_up_at = time.monotonic() + DAEMON_SECONDS
    while not _answers():
        if time.monotonic() > give_up_at:
            raise NoPool(f"the daemon zfs-fuse did not answer within {DAEMON_SECONDS:g} s")
        time.sleep(0.05)


def _stop() -> None:
    """Only a daemon that a test started, and what was left for it."""
    with contextlib.suppress(OSError, ValueError):
        os.kill(int(_PID.read_text()), 15)
        _PID.unlink()
        for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
            shutil.rmtree(folder)


def _sweep() -> None:
    """Pools of test processes that are no more."""
    for name in _run("zpool", "list", "-H", "-o", "name").splitlines():
        owner = name.removeprefix(PREFIX).partition("x")[0]
        if name.startswith(PREFIX) and owner.isdecimal() and not os.path.exists(f"/proc/{owner}"):
            _destroy_pool(name)


def _destroy_pool(name: str) -> bool:
    """Whether it is gone; one that is busy is left to the end of the daemon."""
    _run("zpool", "destroy", "-f", name, check=False)
    return name not in _run("zpool", "list", "-H", "-o", "name").splitlines()


def _answers() -> bool:
    done = subprocess.run(["zpool", "list", "-H"], check=False, capture_output=True)
    return done.returncode == 0


def _run(*command: str, check: bool = True) -> str:
    done = subprocess.run(command, check=False, text=True, env={**os.environ, "LC_ALL": "C"}, capture_output=True)
    if check and done.returncode:
        raise NoPool(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout
