"""Which chunks of a large file may be kept when only some ranges of it changed. Offsets only; nothing is read here.

A cut depends only on the bytes from its chunk's start, so a chunk that ends before the next change is what a fresh cut
would give; and from where a fresh cut meets an old one, all is as it was up to the next change.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from ...ids import BlobId
from ...source.diff import Range


class OldChunks:
    """A file's old chunks (id, bytes), and the sorted ranges of it, as it is now with ``size`` bytes, that changed."""

    def __init__(self, chunks: list[tuple[BlobId, int]], ranges: list[Range], size: int) -> None:
        self.size = size
        self._ids = [blob for blob, _ in chunks]
        self._edges = [0, *accumulate(length for _, length in chunks)]
        self._number = {edge: number for number, edge in enumerate(self._edges[:-1])}
        self._ranges = ranges
        self._next_range = 0

    def keep_from(self, place: int) -> tuple[list[BlobId], int]:
        """(chunks that may be kept from ``place`` on, where the last of them ends). Places must not go back."""
        first = self._number.get(place)
        if first is None:
            return [], place
        limit = min(self._next_change(place), self.size)
        behind = bisect_right(self._edges, limit) - 1
        if behind <= first:
            return [], place
        return self._ids[first:behind], self._edges[behind]

    def is_met(self, place: int) -> bool:
        """Whether a chunk may be kept from ``place`` on."""
        return bool(self.keep_from(place)[0])

    def _next_change(self, place: int) -> int:
        ranges = self._ranges
        while self._next_range < len(ranges) and ranges[self._next_range][1] <= place:
            self._next_range += 1
        return max(place, ranges[self._next_range][0]) if self._next_range < len(ranges) else self.size


def fit_ranges(ranges: list[Range], old_size: int, size: int) -> list[Range]:
    """Sorted ranges of a file as it is now, with what its new size changes.

    The last chunk was cut by the end of the old file, so it is not kept if that grew.
    """
    kept = [(start, min(stop, size)) for start, stop in ranges if start < size]
    if old_size != size:
        start = min(old_size, size)
        kept.append((max(0, start - 1), size))
    return sorted(kept)
