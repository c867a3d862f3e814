"""What every worker of one copy knows and nobody changes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from ...ids import BlobId
from ...plan import Trust
from ...snapshots.origins import Origins
from ...source.diff import Difference
from .sizing import Sizing

_TICK_NS: Final = 10_000_000
"""The kernel stamps files with the time of its last tick; the longest tick is 10 ms (HZ=100)."""
_COARSE_NS: Final = 2_000_000_000
"""File systems that keep whole seconds only (FAT keeps every second one)."""
_SECOND_NS: Final = 1_000_000_000


def grain_ns(stamp_ns: int) -> int:
    """Two changes closer than this may carry the same time stamp."""
    return _TICK_NS if stamp_ns % _SECOND_NS else _COARSE_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class RootContext:
    """One source root. ``device`` is its ``st_dev``; ``stored_as`` the path kept in the copy, decoded.

    ``origins`` is what the files of a copied snapshot are at the source, ``previous`` where the root is in the older
    snapshot that the parent was made from.
    """

    directory: str
    stored_as: str
    device: int
    origins: Origins | None = None
    previous: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyContext:
    """``parent_taken_ns`` is the parent snapshot file's time (None without a parent), ``taken_ns`` this one's.

    ``differences`` say for every root what changed since the parent, whose trees of the roots are ``old_trees``; both
    are empty where all files are looked at.
    """

    roots: tuple[RootContext, ...]
    trust: Trust
    taken_ns: int
    parent_taken_ns: int | None
    sizing: Sizing
    compression_level: int
    pack_bytes: int
    with_state: bool
    differences: tuple[Difference, ...] = ()
    old_trees: tuple[BlobId, ...] = ()

    @property
    def descriptors(self) -> frozenset[int]:
        """What workers must keep open."""
        return frozenset().union(*(difference.descriptors for difference in self.differences))

    def path(self, root: int, relative: str) -> str:
        """Where a directory is readable now."""
        return self.roots[root].directory + relative or "/"

    def stored_path(self, root: int, relative: str) -> bytes:
        """The path people know."""
        return os.fsencode(self.roots[root].stored_as + relative) or b"/"

    def device_id(self, device: int) -> int:
        """A number for hard links that stays the same when the same data are mounted elsewhere."""
        for number, root in enumerate(self.roots, 1):
            if root.device == device:
                return number
        return device + (1 << 32)


def is_racy(stamp_ns: int, moment_ns: int) -> bool:
    """Whether a file stamped ``stamp_ns`` may change again after ``moment_ns`` without the stamp showing it."""
    return stamp_ns >= moment_ns - grain_ns(stamp_ns)


def is_near(stamp_ns: int, moment_ns: int) -> bool:
    """Whether the two are within the grain of the clock that set the stamp."""
    return abs(stamp_ns - moment_ns) <= grain_ns(stamp_ns)
