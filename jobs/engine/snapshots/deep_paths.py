"""Opening directories whose path is longer than the kernel takes at once (PATH_MAX, 4096 bytes)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE: Final = 3000


def open_directory(path: bytes) -> int:
    """A descriptor of the absolute ``path``; a link in its last place is refused. Raises OSError."""
    if len(path) < _PIECE:
        return os.open(path, DIRECTORY)
    directory = os.open("/", DIRECTORY)
    rest = path.lstrip(b"/")
    while rest:
        piece, rest = _split(rest)
        try:
            deeper = os.open(piece, DIRECTORY, dir_fd=directory)
        finally:
            os.close(directory)
        directory = deeper
    return directory


def _split(path: bytes) -> tuple[bytes, bytes]:
    if len(path) < _PIECE:
        return path, b""
    place = path.rindex(b"/", 0, _PIECE)
    return path[:place], path[place + 1 :]


def open_below(root: int, parts: Sequence[bytes]) -> int:
    """A descriptor of the directory ``parts`` below an open one, name by name: no link leads out. Raises OSError."""
    directory = os.dup(root)
    for part in parts:
        try:
            deeper = os.open(part, DIRECTORY, dir_fd=directory)
        finally:
            os.close(directory)
        directory = deeper
    return directory
