"""The directory that is restored into: made, tried, and described before the first worker starts."""

from __future__ import annotations

import errno
import os
import stat

from ...errors import EngineError, NoSpace, TargetRefused
from .context import reason
from .directories import OPEN_FLAGS
from .items import Parts
from .temporary import TemporaryNames, remove_links, sweep


def prepare_target(target: bytes, way: Parts) -> Parts:
    """Make the directory if it is not there, and see that a file can be written where the restore begins.

    ``way`` leads to the first directory of the copy that holds more than one entry: an ordinary user who restores in
    place may write there, and not in ``/``. Returns the part of it that exists. Raises TargetRefused, NoSpace.
    """
    try:
        os.makedirs(target, exist_ok=True)
        fd, begin = _deepest(target, way)
        try:
            sweep(fd, ())
            name = TemporaryNames().next()
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o600, dir_fd=fd))
            os.unlink(name, dir_fd=fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise _refusal(target, error) from error
    return begin


def _deepest(target: bytes, way: Parts) -> tuple[int, Parts]:
    """(descriptor, parts) of the last directory of the way that exists, opened without following links."""
    fd = os.open(target, OPEN_FLAGS & ~os.O_NOFOLLOW)
    for depth, part in enumerate(way):
        try:
            below = os.open(part, OPEN_FLAGS, dir_fd=fd)
        except OSError:
            return fd, way[:depth]
        os.close(fd)
        fd = below
    return fd, way


def ignores_case(target: bytes, begin: Parts) -> bool:
    """Whether “a” and “A” are one file where the restore begins, as on FAT. Raises TargetRefused."""
    try:
        fd, _ = _deepest(target, begin)
        try:
            name = TemporaryNames().next()
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o600, dir_fd=fd))
            try:
                return _exists(fd, name.upper())
            finally:
                os.unlink(name, dir_fd=fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise _refusal(target, error) from error


def _exists(directory_fd: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=directory_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def remove_homes(target: bytes, homes: set[Parts], name: bytes) -> None:
    """Remove the directories of links, and give the directories that held them their times back. Never raises."""
    for home in homes:
        fd = -1
        try:
            fd, found = _deepest(target, home)
            if found != home:
                continue
            status = os.fstat(fd)
            remove_links(fd, name)
            if home:
                os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))
        except OSError:
            continue
        finally:
            if fd >= 0:
                os.close(fd)


def _refusal(target: bytes, error: OSError) -> EngineError:
    where = os.fsdecode(target)
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return NoSpace(f"There is no space left at the restore target {where}.")
    if error.errno in {errno.ENOTDIR, errno.EEXIST}:
        return TargetRefused(f"The restore target {where} is not a directory.")
    return TargetRefused(f"Cannot write to the restore target {where}: {reason(error).lower()}.")


def is_directory(target: bytes) -> bool:
    """Whether the target is there. Raises TargetRefused if something else is."""
    try:
        status = os.stat(target)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _refusal(target, error) from error
    if not stat.S_ISDIR(status.st_mode):
        raise TargetRefused(f"The restore target {os.fsdecode(target)} is not a directory.")
    return True
