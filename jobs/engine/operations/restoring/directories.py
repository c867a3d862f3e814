"""Directories at the target, opened name by name from its root without ever following a link.

Whatever the copy or somebody at the target puts in the way, no descriptor leads out of the target. Depth and path
length have no limit but the file system's.
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from typing import Final

from .items import Parts

OPEN_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
IN_PROGRESS_MODE: Final = 0o1700
"""Mode of a directory this product made and did not finish: an unusual one, so that a later attempt knows it."""
_KEPT_OPEN: Final = 128
_DEFAULT_ACL: Final = "system.posix_acl_default"


class Directories:
    """Descriptors of directories below one root, the latest kept open. For one thread.

    A returned descriptor is valid until the next call. All methods raise OSError.
    """

    def __init__(self, root: bytes) -> None:
        self._root = os.open(root, OPEN_FLAGS & ~os.O_NOFOLLOW)
        self._open: OrderedDict[Parts, int] = OrderedDict()

    def fd(self, parts: Parts) -> int:
        """The directory itself; ELOOP or ENOTDIR where a link or something else stands in the way."""
        if not parts:
            return self._root
        known = self._open.get(parts)
        if known is not None:
            self._open.move_to_end(parts)
            return known
        fd = os.open(parts[-1], OPEN_FLAGS, dir_fd=self._parent(parts))
        self._open[parts] = fd
        if len(self._open) > _KEPT_OPEN:
            os.close(self._open.popitem(last=False)[1])
        return fd

    def _parent(self, parts: Parts) -> int:
        """Walks down from the nearest directory that is open, without recursion: trees may be very deep."""
        depth = len(parts) - 1
        while depth and parts[:depth] not in self._open:
            depth -= 1
        fd = self.fd(parts[:depth])
        for end in range(depth + 1, len(parts)):
            fd = self.fd(parts[:end])
        return fd

    def make(self, parts: Parts) -> bool:
        """Make the last of ``parts``; False if something has its name."""
        try:
            os.mkdir(parts[-1], IN_PROGRESS_MODE, dir_fd=self.fd(parts[:-1]))
        except FileExistsError:
            return False
        return True

    def forget(self, parts: Parts) -> None:
        """Close a directory that is finished."""
        fd = self._open.pop(parts, None)
        if fd is not None:
            os.close(fd)

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])
        os.close(self._root)


def lstat(directory_fd: int, name: bytes) -> os.stat_result | None:
    """``lstat`` of an entry, None if the name is free."""
    try:
        return os.stat(name, dir_fd=directory_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def is_in_progress(status: os.stat_result) -> bool:
    """Whether a directory was made by an attempt of ours that did not finish it."""
    return stat.S_IMODE(status.st_mode) == IN_PROGRESS_MODE and status.st_uid == os.geteuid()


def hands_down(directory_fd: int, status: os.stat_result) -> bool:
    """Whether new entries get an ACL or a group from this directory."""
    if status.st_mode & stat.S_ISGID:
        return True
    try:
        os.getxattr(directory_fd, _DEFAULT_ACL)
    except OSError:
        return False
    return True
