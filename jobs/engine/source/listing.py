"""Opening and listing directories and files by descriptor, without following links or touching access times.

Directories deeper than PATH_MAX are opened piece by piece. No recursion here: the backup copy holds the stack.
"""

from __future__ import annotations

import errno
import os
from typing import Final

from .node import SOCKET, TYPE_MASK
from .status import STUB_INODE, Status, without_false_times

Entry = tuple[str, Status]
"""(name decoded with ``surrogateescape``, ``lstat``)."""

_DIRECTORY_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_UNSEEN_FILE_FLAGS: Final = _FILE_FLAGS | os.O_NOATIME
_PIECE: Final = 3000
"""Longest path handed to the kernel at once, in characters of at most 1 byte each after encoding; PATH_MAX is 4096."""


def open_directory(path: str) -> int:
    """A descriptor of the directory itself (a link there is refused). Raises OSError."""
    try:
        return _open_unseen(path, _DIRECTORY_FLAGS, None)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
    return _open_piecewise(os.fsencode(path))


def open_file(name: str, directory_fd: int | None) -> int:
    """A descriptor for reading a regular file; never blocks on a fifo that took its place. Raises OSError."""
    try:
        return os.open(name, _UNSEEN_FILE_FLAGS, dir_fd=directory_fd)
    except PermissionError:
        return os.open(name, _FILE_FLAGS, dir_fd=directory_fd)


def _open_unseen(path: str | bytes, flags: int, directory_fd: int | None) -> int:
    try:
        return os.open(path, flags | os.O_NOATIME, dir_fd=directory_fd)
    except PermissionError:
        return os.open(path, flags, dir_fd=directory_fd)


def _open_piecewise(path: bytes) -> int:
    fd = os.open("/" if path.startswith(b"/") else ".", _DIRECTORY_FLAGS)
    parts = [part for part in path.split(b"/") if part]
    while parts:
        piece = parts.pop(0)
        while parts and len(piece) + len(parts[0]) < _PIECE:
            piece += b"/" + parts.pop(0)
        try:
            deeper = _open_unseen(piece, _DIRECTORY_FLAGS, fd)
        finally:
            os.close(fd)
        fd = deeper
    return fd


def list_entries(directory_fd: int) -> tuple[list[Entry], int]:
    """Entries sorted by raw name bytes, and the number of sockets left out (stock restic stores none).

    An entry that vanishes meanwhile is left out. Raises OSError when the directory cannot be read.
    """
    found: list[Entry] = []
    with os.scandir(directory_fd) as entries:
        for entry in entries:
            try:
                st = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            found.append((entry.name, st if st.st_ino != STUB_INODE else without_false_times(st)))
    kept = [item for item in found if item[1].st_mode & TYPE_MASK != SOCKET]
    if "".join([item[0] for item in kept]).isascii():
        kept.sort(key=_name)
    else:
        kept.sort(key=_raw_name)
    return kept, len(found) - len(kept)


def _name(item: Entry) -> str:
    return item[0]


def _raw_name(item: Entry) -> bytes:
    return os.fsencode(item[0])
