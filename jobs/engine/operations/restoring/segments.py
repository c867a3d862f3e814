"""Segments of large files: parts that any worker may restore into the file's temporary, apart from each other."""

from __future__ import annotations

import os
from typing import Final

from ...ids import BlobId
from .context import Context, reason
from .fetching import Want
from .items import FileJob, SegmentItem
from .source import Contents, Unread
from .sparse import write_at, write_sparse_at
from .writing import read_back, reopen

SEGMENT_BYTES: Final = 32 << 20


def cut_segments(job: FileJob, sizes: list[int], packs: list[int]) -> list[SegmentItem]:
    """The parts of a large file, nearly in order; ``sizes`` and ``packs`` are of its blobs.

    What lies in one pack is in one part, so that a pack is asked for once, unless much of the file is in it.
    """
    parts: list[_Part] = []
    part_of: dict[int, _Part] = {}
    at = 0
    for blob, size, pack in zip(job.node.content, sizes, packs, strict=True):
        part = part_of.get(pack)
        if part is None or part.size >= 2 * SEGMENT_BYTES:
            if not parts or parts[-1].size >= SEGMENT_BYTES:
                parts.append(_Part())
            part = part_of[pack] = parts[-1]
        part.add(blob, at, size)
        at += size
    return [SegmentItem(job.where, job.name, job.path, part.runs()) for part in parts]


class _Part:
    """A segment that grows: ``size`` bytes in runs of blobs that follow each other."""

    __slots__ = ("_end", "_runs", "size")

    def __init__(self) -> None:
        self.size = 0
        self._end = -1
        self._runs: list[tuple[int, list[BlobId]]] = []

    def add(self, blob: BlobId, at: int, size: int) -> None:
        if at != self._end:
            self._runs.append((at, []))
        self._runs[-1][1].append(blob)
        self._end = at + size
        self.size += size

    def runs(self) -> tuple[tuple[int, bytes], ...]:
        return tuple((at, b"".join(blobs)) for at, blobs in self._runs)


class SegmentWriter:
    """Writes segments for one worker."""

    def __init__(self, context: Context, contents: Contents) -> None:
        self._context = context
        self._contents = contents

    def write(self, item: SegmentItem) -> tuple[str, str]:
        """Restore a part of a large file; returns (error, code), empty when all is well."""
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
