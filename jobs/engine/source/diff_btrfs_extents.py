"""Which ranges of a file differ between two btrfs snapshots: by where their data lie on disk, without reading them.

Two ranges are equal if they show the same part of the same extent, or are both holes; a reflink or a clone of other
data is thereby a change, as it must be. Layout: ``struct btrfs_file_extent_item`` of linux/btrfs_tree.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from .diff import Range
from .diff_btrfs_tree import extent_items

_HEAD: Final = struct.Struct("<QQBBHB")
_PLACE: Final = struct.Struct("<QQQQ")
_INLINE: Final = 0
_PREALLOCATED: Final = 2

Segment = tuple[int, int, tuple[object, ...]]
"""(first byte, behind the last, what is there). Holes are left out."""


def changed_ranges(before: int, after: int, inode: int) -> list[Range]:
    """Sorted ranges of a file that differ between the subvolumes open as ``before`` and ``after``. Raises OSError."""
    old, new = set(_segments(before, inode)), set(_segments(after, inode))
    return list(_differing(sorted(old - new), sorted(new - old)))


def _segments(fd: int, inode: int) -> Iterator[Segment]:
    for item in extent_items(fd, inode):
        _generation, raw_bytes, compression, _encryption, _encoding, kind = _HEAD.unpack_from(item.data)
        if kind == _INLINE:
            yield item.offset, item.offset + raw_bytes, (compression, bytes(item.data[_HEAD.size :]))
            continue
        address, _disk_bytes, start, length = _PLACE.unpack_from(item.data, _HEAD.size)
        if address and kind != _PREALLOCATED:
            yield item.offset, item.offset + length, (compression, address, start - item.offset)


def _differing(old: list[Segment], new: list[Segment]) -> Iterator[Range]:
    """Sweep over both; neighbouring ranges are joined. Segments of one side do not overlap."""
    edges = sorted({edge for start, stop, _what in (*old, *new) for edge in (start, stop)})
    pending: Range | None = None
    at_old = at_new = 0
    for start, stop in pairwise(edges):
        at_old, there = _what_is_at(old, at_old, start)
        at_new, here = _what_is_at(new, at_new, start)
        if there == here:
            continue
        if pending is not None and pending[1] == start:
            pending = (pending[0], stop)
            continue
        if pending is not None:
            yield pending
        pending = (start, stop)
    if pending is not None:
        yield pending


def _what_is_at(segments: list[Segment], number: int, place: int) -> tuple[int, tuple[object, ...] | None]:
    """(number of the segment to go on with, what is at ``place`` or None for a hole)."""
    while number < len(segments) and segments[number][1] <= place:
        number += 1
    if number < len(segments) and segments[number][0] <= place:
        return number, segments[number][2]
    return number, None
