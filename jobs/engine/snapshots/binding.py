"""Directories of a snapshot made visible at another place of this node: bind mounts (mount(2)), or links.

A bind mount is read-only whatever the file system below is. A link is only for snapshots that nobody can write to.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from pathlib import Path
from typing import Final

from ..errors import EngineUnsupported, StorageBusy, TargetRefused
from .mounts import mounts
from .open_files import open_below, processes
from .storage_errors import live_error

_BIND: Final = 4096
_REMOUNT: Final = 32
_READ_ONLY: Final = 1
_NO_SETUID: Final = 2
_NO_DEVICES: Final = 4
_libc: Final = ctypes.CDLL(None, use_errno=True)
_NEEDS_ROOT: Final = (
    "Run the access node as root (in a container with CAP_SYS_ADMIN), mount on another node, or browse the snapshot "
    "and restore from it instead."
)


def bind_read_only(directory: Path, point: Path) -> None:
    """Mount ``directory`` at the new directory ``point``: read-only, no set-id programs, no devices.

    Raises EngineUnsupported where this process may not mount, TargetRefused, NoSpace, SourceUnavailable.
    """
    _make(point)
    try:
        _mount(str(directory), str(point), _BIND)
        try:
            _mount("", str(point), _BIND | _REMOUNT | _READ_ONLY | _NO_SETUID | _NO_DEVICES)
        except OSError:
            _libc.umount2(os.fsencode(point), 0)
            raise
    except OSError as error:
        with contextlib.suppress(OSError):
            os.rmdir(point)
        if error.errno in (errno.EPERM, errno.EACCES):
            raise EngineUnsupported(f"This node may not mount anything at “{point}”.", hint=_NEEDS_ROOT) from error
        raise live_error(error, str(point)) from error


def link(directory: Path, point: Path) -> None:
    """Make ``point`` a link to ``directory``. Raises TargetRefused, NoSpace, SourceUnavailable."""
    try:
        os.makedirs(point.parent, exist_ok=True)
        os.symlink(directory, point)
    except OSError as error:
        raise live_error(error, str(point)) from error


def release(point: Path) -> None:
    """Take away the mount or link at ``point``, and the empty directory below it; none is no error.

    Raises StorageBusy that names who still uses it, TargetRefused.
    """
    while is_mount_point(point):
        if _libc.umount2(os.fsencode(point), 0) != 0:
            raise _why_not_released(point, ctypes.get_errno())
    try:
        if point.is_symlink():
            point.unlink()
        elif point.exists():
            point.rmdir()
    except OSError as error:
        raise live_error(error, str(point)) from error


def is_mount_point(point: Path) -> bool:
    """Whether something is mounted exactly there, as the kernel says; nothing is opened."""
    return any(mount.point == str(point) for mount in mounts())


def mounted_below(folder: Path) -> list[Path]:
    """Mount points below a directory, the deepest first."""
    found = {mount.point for mount in mounts() if mount.point.startswith(f"{folder}/")}
    return [Path(point) for point in sorted(found, key=len, reverse=True)]


def is_seen_by_others() -> bool:
    """Whether what this process mounts is visible to the host's other programs; True where nobody can tell."""
    try:
        return os.readlink("/proc/self/ns/mnt") == os.readlink("/proc/1/ns/mnt")
    except OSError:
        return True


def _make(point: Path) -> None:
    try:
        os.makedirs(point)
    except FileExistsError as error:
        raise TargetRefused(
            f"“{point}” is there already.",
            hint="Remove it if it is empty: a mount has a place of its own.",
        ) from error
    except OSError as error:
        raise live_error(error, str(point)) from error


def _mount(source: str, target: str, flags: int) -> None:
    if _libc.mount(os.fsencode(source), os.fsencode(target), None, ctypes.c_ulong(flags), None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _why_not_released(point: Path, number: int) -> StorageBusy | TargetRefused:
    if number == errno.EBUSY:
        users = list(open_below([str(point)]))
        who = f": {processes(users)}" if users else ""
        return StorageBusy(f"“{point}” is still in use{who}.", hint="End what uses it; then it is unmounted.")
    return TargetRefused(f"“{point}” cannot be unmounted: {os.strerror(number).lower()}.", hint=_NEEDS_ROOT)
