"""One regular file's data from an open source to an open target: cloned if the file system can, else copied.

Nothing here knows of metadata, trees or snapshots. Errors of the source are raised as :class:`SourceReadError`, so that
they are never taken for errors of the target, which stay bare OSErrors.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable
from typing import Final

FICLONE: Final = 0x40049409
"""``_IOW(0x94, 9, int)`` of linux/fs.h."""

BUFFER_BYTES: Final = 2**20
_OPEN_SOURCE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CANNOT_CLONE: Final = frozenset({errno.EXDEV, errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS})
_CANNOT_CLONE_THIS: Final = frozenset({errno.EINVAL, errno.ETXTBSY, errno.EACCES, errno.EPERM})


class SourceReadError(Exception):
    """The source refused; ``number`` is the errno."""

    def __init__(self, number: int) -> None:
        super().__init__(os.strerror(number))
        self.number = number


def open_source(name: str | bytes, *, directory: int, flags: int = 0) -> int:
    """Open for reading without touching the access time where that is allowed. Raises SourceReadError."""
    try:
        return os.open(name, _OPEN_SOURCE | flags | os.O_NOATIME, dir_fd=directory)
    except PermissionError:
        pass
    except OSError as error:
        raise SourceReadError(error.errno or errno.EIO) from error
    try:
        return os.open(name, _OPEN_SOURCE | flags, dir_fd=directory)
    except OSError as error:
        raise SourceReadError(error.errno or errno.EIO) from error


class Cloner:
    """Moves data between open files; remembers which source file systems cannot be cloned. Thread-safe."""

    def __init__(self, keep_going: Callable[[], None]) -> None:
        """``keep_going`` is called between pieces of at most 1 MiB and raises to stop."""
        self._keep_going = keep_going
        self._cannot: set[int] = set()
        self._local = threading.local()

    def transfer(self, source: int, target: int, status: os.stat_result) -> int:
        """Give ``target`` the data of ``source``; bytes that had to be copied (0 = cloned).

        Raises SourceReadError, and OSError for the target.
        """
        if status.st_size == 0:
            return 0
        if status.st_dev not in self._cannot and self._clone(source, target, status.st_dev):
            return 0
        if status.st_blocks * 512 < status.st_size:
            return self._copy_sparse(source, target)
        return self._copy(source, target, 0, None)

    def _clone(self, source: int, target: int, device: int) -> bool:
        try:
            fcntl.ioctl(target, FICLONE, source)
        except OSError as error:
            if error.errno in _CANNOT_CLONE:
                self._cannot.add(device)
                return False
            if error.errno in _CANNOT_CLONE_THIS:
                return False
            raise
        return True

    def _copy(self, source: int, target: int, start: int, stop: int | None) -> int:
        buffer = self._buffer()
        place = start
        while stop is None or place < stop:
            wanted = BUFFER_BYTES if stop is None else min(BUFFER_BYTES, stop - place)
            try:
                got = os.preadv(source, [buffer[:wanted]], place)
            except OSError as error:
                raise SourceReadError(error.errno or errno.EIO) from error
            if not got:
                break
            written = 0
            while written < got:
                written += os.pwrite(target, buffer[written:got], place + written)
            place += got
            self._keep_going()
        return place - start

    def _copy_sparse(self, source: int, target: int) -> int:
        copied = place = 0
        end = os.fstat(source).st_size
        os.ftruncate(target, end)
        while place < end:
            try:
                start = os.lseek(source, place, os.SEEK_DATA)
                stop = os.lseek(source, start, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    break
                raise SourceReadError(error.errno or errno.EIO) from error
            copied += self._copy(source, target, start, stop)
            place = stop
        return copied

    def _buffer(self) -> memoryview:
        buffer: memoryview | None = getattr(self._local, "buffer", None)
        if buffer is None:
            buffer = self._local.buffer = memoryview(bytearray(BUFFER_BYTES))
        return buffer


def supports_clone(directory: str) -> bool:
    """Whether files in ``directory`` can be cloned there: tried on two nameless files. Raises OSError."""
    source = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        target = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(source, b"s" * 4096, 0)
            fcntl.ioctl(target, FICLONE, source)
            return os.pread(target, 4096, 0) == b"s" * 4096
        except OSError as error:
            if error.errno in _CANNOT_CLONE | _CANNOT_CLONE_THIS:
                return False
            raise
        finally:
            os.close(target)
    finally:
        os.close(source)
