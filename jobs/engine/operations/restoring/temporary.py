"""Files at the target appear whole: they are written under a temporary name and renamed.

The names are those of the disk medium's temporary files, so that the same rules say whose leftovers may go.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection
from itertools import count

from ...media.disk_leftovers import is_abandoned, temporary_name

_LINKS_PREFIX = b".snapcopy-links."


class TemporaryNames:
    """Names no other writer uses, cheap to make. For one process."""

    def __init__(self) -> None:
        self._stem = temporary_name(b"snapcopy")[:-16]
        self._numbers = count(secrets.randbits(40))

    def next(self) -> bytes:
        return b"%s%012x.tmp" % (self._stem, next(self._numbers) & 0xFFFFFFFFFFFF)


def links_name() -> bytes:
    """A name for this run's directory of hard links, see :mod:`.hard_links`."""
    return temporary_name(_LINKS_PREFIX[1:-1])


def sweep(directory_fd: int, wanted: Collection[bytes]) -> None:
    """Remove what attempts that are dead left in a directory, except names the copy itself holds. Never raises."""
    try:
        with os.scandir(directory_fd) as entries:
            found = [os.fsencode(entry.name) for entry in entries if entry.name.startswith(".snapcopy")]
    except OSError:
        return
    for name in found:
        try:
            if name not in wanted and is_abandoned(name, os.stat(name, dir_fd=directory_fd, follow_symlinks=False)):
                _remove(directory_fd, name)
        except OSError:
            continue


def _remove(directory_fd: int, name: bytes) -> None:
    if not name.startswith(_LINKS_PREFIX):
        os.unlink(name, dir_fd=directory_fd)
        return
    remove_links(directory_fd, name)


def remove_links(directory_fd: int, name: bytes) -> None:
    """Remove a flat directory of links. Raises OSError."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, dir_fd=directory_fd)
    try:
        with os.scandir(fd) as entries:
            names = [entry.name for entry in entries]
        for entry_name in names:
            os.unlink(entry_name, dir_fd=fd)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=directory_fd)


def unlink_quietly(name: bytes, directory_fd: int) -> None:
    """Remove an entry if it is there. Raises OSError for anything else."""
    try:
        os.unlink(name, dir_fd=directory_fd)
    except FileNotFoundError:
        return
