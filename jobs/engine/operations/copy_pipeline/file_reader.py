"""Reading one regular file: small ones whole into the batch, large ones in windows, and files that change meanwhile."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from ...media.base import Buffer
from ...repository.chunker import MIN_CHUNK_BYTES, Chunker
from ...source.listing import open_file
from ...source.node import attributes_suffix, with_size
from .context import CopyContext
from .large_files import LargeFiles
from .old_chunks import OldChunks
from .pending import WantedFile
from .sizing import LARGE_FILE_BYTES
from .small_files import SmallFiles
from .tally import Tally

_AHEAD: Final = 12
"""Files opened before they are read, so that the kernel fetches them meanwhile. Costs little when all is in memory."""
_FETCHED_BYTES: Final = 1 << 20
"""How much of each is asked for."""

Opened = tuple[WantedFile, "int | OSError"]
"""A file to read and its descriptor, or why it could not be opened."""


def open_ahead(files: Iterable[WantedFile], directory_fd: int) -> Iterator[Opened]:
    """Open the files of a directory a little before they are asked for. Whoever takes a descriptor closes it."""
    waiting: deque[Opened] = deque()
    try:
        for file in files:
            waiting.append((file, _open(file.name, directory_fd)))
            if len(waiting) > _AHEAD:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        for _, opened in waiting:
            if isinstance(opened, int):
                os.close(opened)


def _open(name: str, directory_fd: int) -> int | OSError:
    try:
        fd = open_file(name, directory_fd)
    except OSError as error:
        return error
    try:
        os.posix_fadvise(fd, 0, _FETCHED_BYTES, os.POSIX_FADV_WILLNEED)
    except OSError:
        pass
    return fd


class FileReader:
    """Reads the files of one worker."""

    def __init__(
        self, *, context: CopyContext, small: SmallFiles, large: LargeFiles, chunker: Chunker, tally: Tally
    ) -> None:
        self._context = context
        self._small = small
        self._large = large
        self._chunker = chunker
        self._tally = tally

    def read(self, file: WantedFile, fd: int) -> None:
        """Read an open file and close it; its node follows later. Raises OSError when it cannot be read.

        What was read is what is stored: a file that grew or shrank since ``lstat`` gets the size that was read, and
        keeps the older times, so that the next copy reads it again.
        """
        size = file.st.st_size
        try:
            attributes = _attributes(fd)
            if size > LARGE_FILE_BYTES:
                self._large.read(fd, file, attributes, self._display_path(file))
                return
            data = os.read(fd, size + 1)
            got = len(data)
            prefix = file.prefix
            if got != size:
                data = _read_changed(fd, data)
                got = len(data)
                if got > LARGE_FILE_BYTES:
                    self._large.read(fd, file, attributes, self._display_path(file))
                    return
                prefix = with_size(prefix, size, got)
        finally:
            os.close(fd)
        chunks: list[Buffer]
        if not got:
            chunks = []
        elif got <= MIN_CHUNK_BYTES:
            chunks = [data]
        else:
            chunks = list(self._chunker.cut(memoryview(data)))
        tally = self._tally
        tally.bytes_read += got
        tally.bytes_done += got
        self._small.add(file, prefix + attributes, chunks, got)

    def read_ranges(self, file: WantedFile, directory_fd: int, old: OldChunks) -> None:
        """Read only what changed of a large file in a snapshot. Raises OSError when it cannot be read."""
        fd = open_file(file.name, directory_fd)
        try:
            self._large.read_ranges(fd, file, _attributes(fd), self._display_path(file), old)
        finally:
            os.close(fd)

    def _display_path(self, file: WantedFile) -> str:
        directory = file.directory
        return os.fsdecode(self._context.stored_path(directory.root, f"{directory.relative}/{file.name}"))


def _attributes(fd: int) -> str:
    try:
        names = os.listxattr(fd)
    except OSError:
        return ""
    return attributes_suffix(fd, names) if names else ""


def _read_changed(fd: int, data: bytes) -> bytes:
    """The rest of a file whose size was not what ``lstat`` said, up to a little more than a small file may have."""
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise OSError(errno.ESTALE, "it is no regular file any more")
    parts = [data]
    total = len(data)
    while total <= LARGE_FILE_BYTES:
        part = os.read(fd, 1 << 20)
        if not part:
            break
        parts.append(part)
        total += len(part)
    return b"".join(parts)
