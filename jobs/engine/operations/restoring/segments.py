"""Segments of large files: ranges that any worker may restore into the file's temporary, apart from each other."""

from __future__ import annotations

import os
from typing import Final

from ...errors import RepositoryDamaged
from ...ids import BlobId
from .context import Context, reason
from .fetching import Fetcher, Want, located, plain_bytes
from .items import FileJob, SegmentItem
from .sparse import write_at, write_sparse_at

SEGMENT_BYTES: Final = 32 << 20
REOPEN_FLAGS: Final = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def cut_segments(job: FileJob, sizes: list[int]) -> list[SegmentItem]:
    """The ranges of a large file, in order; ``sizes`` are the bytes of its blobs."""
    segments: list[SegmentItem] = []
    first = at = start = 0
    for number, size in enumerate(sizes, 1):
        at += size
        if at - start >= SEGMENT_BYTES or number == len(sizes):
            content = b"".join(job.node.content[first:number])
            segments.append(SegmentItem(job.where, job.name, job.path, content, start))
            first, start = number, at
    return segments


class SegmentWriter:
    """Writes segments for one worker."""

    def __init__(self, context: Context, fetcher: Fetcher) -> None:
        self._context = context
        self._fetcher = fetcher

    def write(self, item: SegmentItem) -> tuple[str, str]:
        """Restore a range of a large file; returns (error, code), empty when all is well."""
        ids = [BlobId(item.content[start : start + 32]) for start in range(0, len(item.content), 32)]
        wants: list[Want[None]] = []
        at = item.offset
        for (pack, offset, length, raw_length), blob in zip(located(self._context.index, ids), ids, strict=True):
            if pack < 0:
                return f"no index names a pack that holds its blob {blob.hex()}", "blob-missing"
            wants.append((pack, offset, length, raw_length, blob, None, at))
            at += plain_bytes((pack, offset, length, raw_length))
        try:
            fd = os.open(item.name, REOPEN_FLAGS, dir_fd=self._context.directories.fd(item.parts))
            try:
                return self._write_wants(fd, wants)
            finally:
                os.close(fd)
        except OSError as error:
            fatal = self._context.fatal(error)
            if fatal is not None:
                raise fatal from error
            return reason(error), "file-unwritable"

    def _write_wants(self, fd: int, wants: list[Want[None]]) -> tuple[str, str]:
        write = write_sparse_at if self._context.wishes.is_sparse else write_at
        tally = self._context.tally
        for want, plain in self._fetcher.read(wants):
            if isinstance(plain, RepositoryDamaged):
                return plain.sentence, "blob-damaged"
            write(fd, plain, want[6])
            tally.bytes_done += len(plain)
            tally.publish()
        return "", ""
