"""Owner, mode, extended attributes (ACLs among them) and times, from what was read to a target."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from typing import Final, Protocol

Attributes = list[tuple[str, bytes]]

_NOT_OURS: Final = ("security.", "system.nfs")
"""Attributes that belong to the system: never taken away from what exists."""


class Metadata(Protocol):
    """What is set: an ``os.stat_result``, or the same from elsewhere."""

    @property
    def st_mode(self) -> int: ...
    @property
    def st_uid(self) -> int: ...
    @property
    def st_gid(self) -> int: ...
    @property
    def st_atime_ns(self) -> int: ...
    @property
    def st_mtime_ns(self) -> int: ...


def read_attributes(source: int | str) -> Attributes:
    """Of an open descriptor, or of a path that is not followed; those that may not be read are left out."""
    follow = isinstance(source, int)
    try:
        names = os.listxattr(source, follow_symlinks=follow)
    except OSError:
        return []
    found: Attributes = []
    for name in names:
        try:
            found.append((name, os.getxattr(source, name, follow_symlinks=follow)))
        except OSError:
            continue
    return found


class MetadataWriter:
    """Gives targets their metadata; tells once what the target's file system refuses. Thread-safe."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._is_root = os.geteuid() == 0

    def apply(self, target: int | str, status: Metadata, attributes: Attributes) -> int:
        """Make ``target`` (a descriptor, or a path that is not followed) like ``status``; the target's inode.

        The order matters: giving a file away clears set-id bits and capabilities; an ACL rewrites the group bits.
        Raises OSError.
        """
        follow = isinstance(target, int)
        now = os.stat(target, follow_symlinks=follow)
        if (now.st_uid, now.st_gid) != (status.st_uid, status.st_gid):
            self._give(target, status, follow)
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(target, stat.S_IMODE(status.st_mode))
        for name, value in attributes:
            self._set(target, name, value, follow)
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=follow)
        return now.st_ino

    def drop_others(self, target: int | str, attributes: Attributes) -> None:
        """Take away the extended attributes that are not among these, such as an inherited ACL, as far as it goes."""
        wanted = {name for name, _value in attributes}
        for name, _value in read_attributes(target):
            if name not in wanted and not name.startswith(_NOT_OURS):
                with contextlib.suppress(OSError):
                    os.removexattr(target, name, follow_symlinks=isinstance(target, int))

    def _give(self, target: int | str, status: Metadata, follow: bool) -> None:
        """Owners an ordinary user cannot give are kept in the table of origins."""
        try:
            os.chown(target, status.st_uid, status.st_gid, follow_symlinks=follow)
        except PermissionError:
            if self._is_root:
                self._warn("The snapshot area refuses foreign owners; they are kept beside the files.")

    def _set(self, target: int | str, name: str, value: bytes, follow: bool) -> None:
        try:
            os.setxattr(target, name, value, follow_symlinks=follow)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            family = name.partition(".")[0]
            self._warn(f"Extended attributes “{family}.*” could not be kept in the snapshot: {error.strerror}.")
