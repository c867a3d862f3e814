"""What changed between two snapshots of one source: the types that any engine's answer is given in.

An answer is a tree of the *directories with changes* of the newer snapshot, from a content path down. What it does not
name is, byte for byte, what it was. Who gives the answer lives in ``diff_<engine>``, who asks for it in ``changed``,
and what a backup copy makes of it in ``operations``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

Range = tuple[int, int]
"""Bytes of a file, from the first to behind the last."""


class DiffUnavailable(Exception):
    """The two cannot be compared without a walk. ``str(error)`` completes “All files were looked at, because …”."""


@dataclass(slots=True, kw_only=True)
class ChangedEntry:
    """A name in the newer snapshot whose node must be made anew.

    ``origin`` is where the same inode was in the older snapshot, relative to the content path (``/a/b``); None = it is
    new, or came from outside the content. ``inode`` is the file's number in the newer snapshot, 0 = not known.
    ``is_touched`` is False for a directory of which only something below changed. ``below`` None = nothing below did.
    """

    origin: str | None = None
    inode: int = 0
    is_touched: bool = False
    below: ChangedDirectory | None = None


@dataclass(slots=True, kw_only=True)
class ChangedDirectory:
    """A directory of the newer snapshot with changes in it or below it, by name (``os.fsdecode``).

    ``origin`` is its path in the older snapshot (empty for the content path), None = it is new or came from outside.
    ``is_listed``: names came or went, so that the directory must be listed: what the older one had and the newer one
    has not is gone, what only the newer one has is new, whether ``entries`` names it or not.
    """

    entries: dict[str, ChangedEntry] = field(default_factory=dict)
    origin: str | None = None
    is_listed: bool = False


class Comparison(Protocol):
    """Two snapshots that can be compared, held open until ``close``."""

    def find(self, beat: Callable[[], None]) -> Difference:
        """What changed. ``beat`` is called now and then and may raise. Raises DiffUnavailable."""

    def close(self) -> None: ...


class Difference(Protocol):
    """An answer, good until its comparison is closed; in a forked process, if that keeps ``descriptors`` open."""

    @property
    def root(self) -> ChangedDirectory:
        """The content path itself."""

    @property
    def changed_paths(self) -> int:
        """How many paths the answer names as changed, for people."""

    @property
    def origins(self) -> frozenset[str]:
        """Paths in the older snapshot of directories that are elsewhere now."""

    @property
    def descriptors(self) -> frozenset[int]:
        """What :meth:`changed_ranges` asks. Another file under one of these numbers would give wrong answers."""

    def changed_ranges(self, inode: int) -> list[Range] | None:
        """Sorted ranges in which a file's data may differ from the older snapshot's; empty = they are equal.

        Ranges may reach beyond the file's end. What a different size alone means is not told. None = not known.
        Raises OSError.
        """


def find_directory(root: ChangedDirectory, relative: str) -> ChangedDirectory | None:
    """The directory ``relative`` (empty or ``/a/b``); None if nothing at or below it changed, or all of it is new."""
    found: ChangedDirectory | None = root
    for name in relative.split("/")[1:]:
        entry = found.entries.get(name) if found is not None else None
        found = entry.below if entry is not None else None
    return found
