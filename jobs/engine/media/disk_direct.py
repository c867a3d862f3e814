"""Writing large files past the page cache (``O_DIRECT``): copying packs into the cache is a tenth of a copy's time.

What is written is the same; a file system that does not take it is written as usual.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import threading
from collections.abc import Sequence
from typing import Final

from .base import Buffer

DIRECT_FROM_BYTES: Final = 1 << 20
"""Smaller files are not worth a buffer."""

_BLOCK: Final = 4096
"""A multiple of every logical block size in use."""
_BUFFER_BYTES: Final = 4 << 20
_REFUSED: Final = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTTY})


class _Buffers(threading.local):
    def __init__(self) -> None:
        self.view = memoryview(mmap.mmap(-1, _BUFFER_BYTES))


_buffers = _Buffers()


def write_direct(fd: int, pieces: Sequence[Buffer]) -> None:
    """Write the pieces to a new, empty file. Page-aligned memory is what the kernel asks for. Raises OSError."""
    view = _buffers.view
    is_direct = _set_direct(fd, wanted=True)
    filled = 0
    for piece in pieces:
        rest = memoryview(piece).cast("B")
        while rest:
            part = rest[: _BUFFER_BYTES - filled]
            view[filled : filled + len(part)] = part
            filled += len(part)
            rest = rest[len(part) :]
            if filled == _BUFFER_BYTES:
                is_direct = _write(fd, view, is_direct=is_direct)
                filled = 0
    whole = filled - filled % _BLOCK
    if whole:
        is_direct = _write(fd, view[:whole], is_direct=is_direct)
    if is_direct:
        _set_direct(fd, wanted=False)
    if filled > whole:
        _write(fd, view[whole:filled], is_direct=False)


def _write(fd: int, view: memoryview, *, is_direct: bool) -> bool:
    """Write all of it; whether the file still takes direct writes."""
    while view:
        try:
            written = os.write(fd, view)
        except OSError as error:
            if not is_direct or error.errno not in _REFUSED:
                raise
            is_direct = _set_direct(fd, wanted=False)
            continue
        view = view[written:]
        if is_direct and written % _BLOCK:
            is_direct = _set_direct(fd, wanted=False)
    return is_direct


def _set_direct(fd: int, *, wanted: bool) -> bool:
    """Whether the file is written directly from now on."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_DIRECT
    try:
        fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_DIRECT if wanted else flags)
    except OSError as error:
        if not wanted or error.errno not in _REFUSED:
            raise
        return False
    return wanted
