"""Reverting a btrfs subvolume at one moment: a writable snapshot of the snapshot takes its place, and its name.

::

    parent/volume                  the live subvolume                 the reverted one
    parent/.volume.snapcopy        the new one, while it is made      what was live, until all else is done

The two are exchanged by one rename; then the area moves into the new one, and what was live goes. A run that was cut
off is settled by :meth:`Exchange.settle`, which whoever uses the area calls first.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ...errors import EngineError, SnapshotNotOurs, StorageBusy
from ...events import Control, FreeRun
from ..area import sync_file_system
from ..content import is_inside
from ..mounts import Mount, mounts
from ..reverting import users_of
from ..storage_errors import live_error
from .ioctl import file_system_id, is_subvolume_root, nested_subvolumes
from .progs import BtrfsProgs
from .volume import Volume

_SUFFIX: Final = ".snapcopy-revert"
_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_libc: Final = ctypes.CDLL(None, use_errno=True)


class Exchange:
    """Of one volume whose snapshots lie in ``area``. Holds nothing between calls."""

    def __init__(self, volume: Path, area: Path, progs: BtrfsProgs) -> None:
        self._live = Path(os.path.realpath(volume))
        self._area = Path(os.path.realpath(area))
        self._progs = progs

    @property
    def _staging(self) -> Path:
        return self._live.parent / f".{self._live.name}{_SUFFIX}"

    def why_not(self, volume: Volume, relative: tuple[str, ...], snapshot: Path) -> str:
        """What keeps it from being exchanged whole, as a part of a sentence; empty = it can be."""
        if relative != (".",):
            return "the content is only a part of the subvolume"
        point = next((mount.point for mount in mounts() if _is_in_the_way(mount, volume)), "")
        if point:
            return f"“{point}” is a mount point"
        if not _is_on(self._live.parent, volume) or not os.access(self._live.parent, os.W_OK | os.X_OK):
            return f"“{self._live.parent}” cannot be written to, or is not on the same btrfs"
        if os.path.isdir(f"/sys/fs/btrfs/{volume.file_system}/qgroups"):
            return "quotas are on, and a new subvolume would not have those of the old one"
        inside = self._area_inside()
        others = [path for path in _nested(self._live) if path != inside]
        if others:
            return f"“{others[0]}” is a subvolume inside it"
        if inside and not (_is_subvolume(self._area) and (snapshot / inside).parent.is_dir()):
            return "the snapshot area would have no place in it"
        users = users_of([str(self._live)])
        return f"“{users[0].path}” is open in {users[0].command} (pid {users[0].pid})" if users else ""

    def run(self, snapshot: Path, control: Control) -> list[str]:
        """Put the writable twin of ``snapshot`` in the live subvolume's place; warnings.

        Once the two are exchanged it is not stopped any more. Raises the errors of btrfs-progs, NoSpace, TargetRefused,
        SourceUnavailable, SnapshotNotOurs and what the control raises.
        """
        with self._alone() as is_alone:
            if not is_alone:
                raise StorageBusy(f"“{self._live}” is being reverted by another job.")
            self._settle()
            self._progs.writable_snapshot(str(snapshot), str(self._staging), control)
            try:
                control.check()
                _exchange(self._staging, self._live)
            except BaseException:
                with contextlib.suppress(EngineError):
                    self._settle()
                raise
            return self._settle()

    def settle(self) -> None:
        """Finish, or take back, what a run left that was cut off. Quick where none left anything.

        Raises SnapshotNotOurs if something else has the name of the other subvolume.
        """
        if os.path.lexists(self._staging):
            with self._alone() as is_alone:
                if is_alone:
                    self._settle()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether no other process is at it. The lock is on the directory that holds both subvolumes."""
        try:
            lock = os.open(self._live.parent, _DIRECTORY)
        except OSError as error:
            raise live_error(error, str(self._live.parent)) from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            yield True
        finally:
            os.close(lock)

    def _settle(self) -> list[str]:
        if not os.path.lexists(self._staging):
            return []
        if not _is_subvolume(self._staging):
            raise SnapshotNotOurs(
                f"“{self._staging}” is in the way of a revert, and is no subvolume of ours.", hint="Move it elsewhere."
            )
        self._bring_area_back()
        try:
            self._progs.delete(str(self._staging), FreeRun())
        except EngineError as error:
            return [f"What was live before is still at “{self._staging}”; the next revert removes it: {error.sentence}"]
        return []

    def _bring_area_back(self) -> None:
        """The area lies in what was live: into its place in what is live now, which holds an empty directory there."""
        inside = self._area_inside()
        former = self._staging / inside
        if not inside or not _is_subvolume(former) or _is_subvolume(self._area):
            return
        try:
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(self._area)
            os.rename(former, self._area)
            fd = os.open(self._live, _DIRECTORY)
            try:
                sync_file_system(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise live_error(error, str(self._live)) from error

    def _area_inside(self) -> str:
        """The area relative to the volume; empty = it lies outside."""
        is_in = is_inside(str(self._area), str(self._live))
        return os.path.relpath(self._area, self._live) if is_in else ""


def _is_in_the_way(mount: Mount, volume: Volume) -> bool:
    """The subvolume, or a part of it, is mounted there, or something else is mounted inside it."""
    if is_inside(mount.point, volume.real):
        return True
    try:
        return mount.kind == "btrfs" and os.stat(mount.point).st_dev == volume.device
    except OSError:
        return False


def _is_on(folder: Path, volume: Volume) -> bool:
    try:
        fd = os.open(folder, _DIRECTORY)
    except OSError:
        return False
    try:
        return file_system_id(fd) == volume.file_system
    except OSError:
        return False
    finally:
        os.close(fd)


def _is_subvolume(path: Path) -> bool:
    try:
        fd = os.open(path, _DIRECTORY)
    except OSError:
        return False
    try:
        return is_subvolume_root(fd)
    finally:
        os.close(fd)


def _nested(path: Path) -> list[str]:
    fd = os.open(path, _DIRECTORY)
    try:
        return nested_subvolumes(fd)
    finally:
        os.close(fd)


def _exchange(one: Path, other: Path) -> None:
    """``renameat2(2)`` with RENAME_EXCHANGE: each takes the other's name, at one moment."""
    if _libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) != 0:
        error = ctypes.get_errno()
        raise live_error(OSError(error, ""), str(other))
