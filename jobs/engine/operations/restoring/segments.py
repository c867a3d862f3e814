"""Segments of large files: ranges that any worker may restore into the file's temporary, apart from each other."""

from __future__ import annotations

import os
from typing import Final

from .context import Context, reason
from .fetching import Want
from .items import FileJob, SegmentItem
from .source import Contents, Unread
from .sparse import write_at, write_sparse_at
from .writing import read_back, reopen

SEGMENT_BYTES: Final = 32 << 20


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

    def __init__(self, context: Context, contents: Contents) -> None:
        self._context = context
        self._contents = contents

    def write(self, item: SegmentItem) -> tuple[str, str]:
        """Restore a range of a large file; returns (error, code), empty when all is well."""
        wants = self._contents.locate_segment(item)
        try:
            fd = reopen(item.name, self._context.directories.fd(item.parts))
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
        for want, plain in self._contents.read(wants):
            if isinstance(plain, Unread):
                return plain
            write(fd, plain, want[6])
            if self._context.source.must_be_read_back:
                read_back(fd, plain, want[6])
            tally.bytes_done += len(plain)
            tally.publish()
        return "", ""
