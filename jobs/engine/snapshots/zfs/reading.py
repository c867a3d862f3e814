"""Where ZFS snapshots are read: in ``.zfs/snapshot`` where there is one, else through a read-only clone.

Who reads has a *ticket*: the locked file ``<area>/<name>.<token>``. One whose lock is free was left by a killed
process, and a clone whose ticket is so, or gone, is taken away. Making a ticket and destroying a snapshot take turns at
the area's own lock, so that nothing is destroyed under a reader::

    pool/snapcopy-<install>-reads                     mounted nowhere, read-only; there only while clones are
    pool/snapcopy-<install>-reads/<name>.<token>      a clone, mounted at <area>/<name>.<token>.clone

A clone of something that a mount of ours still shows is busy; it stays until that is gone, and the snapshot with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from zlib import crc32

from ...clock import Clock
from ...errors import EngineError, EngineUnsupported, SnapshotMissing, SnapshotNotOurs, SourceMissing, StorageBusy
from ...events import Control, FreeRun
from ...ids import SnapshotName, owned_snapshot_name
from ..binding import is_mount_point
from ..content import is_inside
from ..storage_errors import area_error
from .command import Zfs, as_missing
from .volume import mount_point, mount_points, reads_dataset, whole_name

_CLONE: Final = ".clone"
_LOOK_SECONDS: Final = 0.05
_TURN_SECONDS: Final = 120.0
_TRIES: Final = 5
_BUSY_SECONDS: Final = 1.0
_UNSTOPPED: Final = FreeRun()
"""Cleaning up is not stopped."""


class ReadingRoom:
    """Of one installation on this node. Holds nothing between calls."""

    def __init__(self, area: Path, install: str, zfs: Zfs, clock: Clock) -> None:
        self.path = area
        self._install = install
        self._zfs = zfs
        self._clock = clock

    @contextlib.contextmanager
    def reading(self, dataset: str, name: SnapshotName, control: Control) -> Iterator[Path]:
        """The top of ``dataset`` as it was, until the block ends. Raises SnapshotMissing, StorageBusy."""
        ticket = self.path / f"{name}.{secrets.token_hex(4)}"
        with self._my_turn(control):
            lock = self._take(ticket)
            try:
                if not self._zfs.exists(whole_name(dataset, name), control):
                    raise SnapshotMissing(f"Snapshot “{name}” is not in “{dataset}” any more.")
            except BaseException:
                self._give_back(ticket, lock)
                raise
        try:
            hidden = _hidden(dataset, name)
            if hidden is not None:
                yield hidden
            else:
                with self._cloned(dataset, name, ticket, control) as point:
                    yield point
        finally:
            self._give_back(ticket, lock)

    @contextlib.contextmanager
    def without_readers(self, dataset: str, name: SnapshotName, control: Control) -> Iterator[None]:
        """Nobody reads the snapshot, nor begins to, while the block runs. Raises StorageBusy."""
        with self._my_turn(control):
            self._sweep(dataset, control)
            if self._is_read(name):
                raise StorageBusy(
                    f"Snapshot “{name}” is being read, so it stays for now.", hint="Delete it when the copy has ended."
                )
            yield

    def sweep(self, dataset: str, control: Control) -> None:
        """Take away what killed processes left in the pool of ``dataset``. What is busy stays."""
        with self._my_turn(control):
            self._sweep(dataset, control)

    @contextlib.contextmanager
    def receiving(self, dataset: str, name: SnapshotName, control: Control) -> Iterator[None]:
        """Nobody else takes over the snapshot into ``dataset`` while the block runs. Raises StorageBusy."""
        ticket = self._reception(dataset, name)
        with self._my_turn(control):
            if _is_locked(ticket):
                raise StorageBusy(f"Another job is sending the snapshot “{name}” to “{dataset}”.")
            with contextlib.suppress(FileNotFoundError):
                os.unlink(ticket)
            lock = self._take(ticket)
        try:
            yield
        finally:
            self._give_back(ticket, lock)

    def is_received(self, dataset: str, name: SnapshotName) -> bool:
        """Whether somebody takes it over just now."""
        return _is_locked(self._reception(dataset, name))

    def _reception(self, dataset: str, name: SnapshotName) -> Path:
        return self.path / f"{name}.receiving-{crc32(dataset.encode()):08x}"

    def is_read(self, name: SnapshotName, control: Control) -> bool:
        """Whether somebody reads it just now."""
        with self._my_turn(control):
            return self._is_read(name)

    @contextlib.contextmanager
    def _my_turn(self, control: Control) -> Iterator[None]:
        """The area is there, and no other process makes a ticket or destroys a snapshot meanwhile."""
        with self._errors("make"):
            os.makedirs(self.path, 0o700, exist_ok=True)
            lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            deadline = self._clock.monotonic() + _TURN_SECONDS
            while not _lock(lock):
                control.check()
                if self._clock.monotonic() > deadline:
                    raise StorageBusy(f"Another job holds “{self.path}” for {_TURN_SECONDS:g} s.")
                self._clock.sleep(_LOOK_SECONDS)
            yield
        finally:
            os.close(lock)

    def _take(self, ticket: Path) -> int:
        with self._errors("write to"):
            lock = os.open(ticket, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        _lock(lock)
        return lock

    def _give_back(self, ticket: Path, lock: int) -> None:
        with contextlib.suppress(OSError):
            os.unlink(ticket)
        os.close(lock)

    @contextlib.contextmanager
    def _cloned(self, dataset: str, name: SnapshotName, ticket: Path, control: Control) -> Iterator[Path]:
        """Where the clone is mounted. One that cannot go, because a mount still shows it, goes at a later sweep."""
        top, point = reads_dataset(dataset, self._install), _point_of(ticket)
        clone = f"{top}/{ticket.name}"
        try:
            with self._errors("write to"):
                os.mkdir(point, 0o700)
            self._clone(whole_name(dataset, name), top, clone, control)
            self._zfs.set(clone, "mountpoint", str(point), control)
            if not is_mount_point(point):
                raise EngineUnsupported(
                    f"The clone “{clone}” is not visible at “{point}”.",
                    hint="ZFS mounts it for the host: run the access node without mounts of its own (PrivateMounts).",
                )
            yield point
        finally:
            with contextlib.suppress(EngineError):
                self._destroy_clone(clone)
                self._zfs.destroy(top, _UNSTOPPED)
            with contextlib.suppress(OSError):
                os.rmdir(point)

    def _clone(self, snapshot: str, top: str, clone: str, control: Control) -> None:
        """Another reader who ends takes the empty dataset above away: then it is made again."""
        for left in reversed(range(_TRIES)):
            self._zfs.create(top, {"mountpoint": "none", "canmount": "off", "readonly": "on"}, control)
            try:
                self._zfs.clone(snapshot, clone, control)
            except SourceMissing as error:
                if not self._zfs.exists(snapshot, control):
                    raise as_missing(error) from error
                if not left:
                    raise
            else:
                return

    def _destroy_clone(self, clone: str) -> None:
        """Raises StorageBusy for one that a mount elsewhere shows: zfs-fuse would destroy it under whoever looks at it.

        A file that was closed just now may keep it busy for a moment longer; the last try begins after that.
        """
        for point in mount_points(clone):
            if not is_inside(point, str(self.path)):
                raise StorageBusy(f"The clone “{clone}” is mounted at “{point}”, too.")
        deadline = self._clock.monotonic() + _BUSY_SECONDS
        while True:
            is_last = self._clock.monotonic() > deadline
            try:
                self._destroy(clone)
            except StorageBusy:
                if is_last:
                    raise
                self._clock.sleep(_LOOK_SECONDS)
            else:
                return

    def _destroy(self, clone: str) -> None:
        """It, and snapshots that a recursive one of the whole pool made of it. Raises StorageBusy."""
        with contextlib.suppress(SourceMissing):
            for (whole,) in self._zfs.snapshots(clone, (), _UNSTOPPED):
                self._zfs.release(f"snapcopy-{self._install}", whole, _UNSTOPPED)
                self._zfs.destroy(whole, _UNSTOPPED)
        self._zfs.destroy(clone, _UNSTOPPED)

    def _sweep(self, dataset: str, control: Control) -> None:
        top = reads_dataset(dataset, self._install)
        clones: list[str] = []
        with contextlib.suppress(SourceMissing):
            clones = [name for name in self._zfs.file_systems(top, control) if name != top]
        for clone in clones:
            ticket = self.path / clone.rpartition("/")[2]
            if not _is_locked(ticket):
                with contextlib.suppress(EngineError):
                    self._destroy_clone(clone)
        if clones:
            with contextlib.suppress(EngineError):
                self._zfs.destroy(top, control)
        for ticket in self._tickets():
            if not _is_locked(ticket):
                for remove, path in ((os.rmdir, _point_of(ticket)), (os.unlink, ticket)):
                    with contextlib.suppress(OSError):
                        remove(path)

    def _is_read(self, name: SnapshotName) -> bool:
        return any(_name_of(ticket.name) == name and _is_locked(ticket) for ticket in self._tickets())

    def _tickets(self) -> list[Path]:
        """Of this installation, and of mount points that have none any more."""
        try:
            found = os.listdir(self.path)
        except OSError as error:
            raise area_error(error, "list", str(self.path)) from error
        return [self.path / entry for entry in {entry.removesuffix(_CLONE) for entry in found} if self._is_ours(entry)]

    def _is_ours(self, entry: str) -> bool:
        try:
            owned_snapshot_name(_name_of(entry), self._install)
        except SnapshotNotOurs:
            return False
        return "." in entry

    @contextlib.contextmanager
    def _errors(self, action: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise area_error(error, action, str(self.path)) from error


def _hidden(dataset: str, name: SnapshotName) -> Path | None:
    """The snapshot's own directory, if this ZFS shows it; asking for it mounts it."""
    point = mount_point(dataset)
    if point is None:
        return None
    hidden = Path(point) / ".zfs" / "snapshot" / name
    try:
        os.listdir(hidden)
    except OSError:
        return None
    return hidden


def _name_of(ticket: str) -> str:
    return ticket.partition(".")[0]


def _point_of(ticket: Path) -> Path:
    return ticket.with_name(ticket.name + _CLONE)


def _is_locked(ticket: Path) -> bool:
    """Whether a process reads there."""
    try:
        fd = os.open(ticket, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _lock(fd)
    finally:
        os.close(fd)


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
