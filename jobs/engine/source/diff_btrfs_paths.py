"""From inodes to paths: where changed inodes are below the content path, and where they were in the older snapshot."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from ..snapshots.btrfs.ioctl import SUBVOLUME_ROOT_INODE
from .diff import ChangedDirectory, ChangedEntry
from .diff_btrfs_tree import find_names

_STAYS: Final = ""
"""While the tree grows: the entry is where it was, whatever its parents did. No entry's origin is the root itself."""


class OldPaths:
    """Paths of directories in the older snapshot, relative to the content path."""

    def __init__(self, fd: int, root: int) -> None:
        self._fd = fd
        self._known: dict[int, str | None] = {SUBVOLUME_ROOT_INODE: None, root: ""}

    def of_names(self, names: Iterable[tuple[int, bytes]]) -> str | None:
        """The path of one of a file's links that is below the content path; None if none is. Raises OSError."""
        found = []
        for parent, name in names:
            directory = self._directory(parent)
            if directory is not None:
                found.append(f"{directory}/{os.fsdecode(name)}")
        return min(found, default=None)

    def _directory(self, inode: int) -> str | None:
        way: list[tuple[int, str]] = []
        while inode not in self._known:
            names = find_names(self._fd, inode)
            if not names:
                self._known[inode] = None
                break
            parent, name = names[0]
            way.append((inode, os.fsdecode(name)))
            inode = parent
        path = self._known[inode]
        for below, part in reversed(way):
            path = None if path is None else f"{path}/{part}"
            self._known[below] = path
        return path


class Placement:
    """The growing answer, reached by the inodes of directories in the newer snapshot."""

    def __init__(self, fd: int, root: int) -> None:
        self.root = ChangedDirectory()
        self.origins: set[str] = set()
        self._fd = fd
        self._known: dict[int, ChangedDirectory | None] = {SUBVOLUME_ROOT_INODE: None, root: self.root}

    def directory(self, inode: int) -> ChangedDirectory | None:
        """A directory of the newer snapshot; None if it is not below the content path. Raises OSError."""
        way: list[tuple[int, str]] = []
        while inode not in self._known:
            names = find_names(self._fd, inode)
            if not names:
                self._known[inode] = None
                break
            parent, name = names[0]
            way.append((inode, os.fsdecode(name)))
            inode = parent
        found = self._known[inode]
        for below, part in reversed(way):
            if found is not None:
                entry = found.entries.setdefault(part, ChangedEntry(origin=_STAYS))
                if entry.below is None:
                    entry.below = ChangedDirectory()
                found = entry.below
            self._known[below] = found
        return found

    def touch(self, parent: int, name: str, inode: int) -> ChangedEntry | None:
        """The entry of a changed inode; None if its directory is not below the content path. Raises OSError."""
        directory = self.directory(parent)
        if directory is None:
            return None
        entry = directory.entries.setdefault(name, ChangedEntry())
        entry.is_touched = True
        entry.inode = inode
        return entry

    def stays(self, entry: ChangedEntry) -> None:
        """The name was there before, for the same inode in the same directory, wherever that is now."""
        entry.origin = _STAYS

    def settle(self) -> None:
        """Give every entry that stays its path in the older snapshot, now that all moves are known."""
        pending: list[tuple[ChangedDirectory, str | None]] = [(self.root, "")]
        while pending:
            directory, origin = pending.pop()
            directory.origin = origin
            for name, entry in directory.entries.items():
                if entry.origin == _STAYS:
                    entry.origin = None if origin is None else f"{origin}/{name}"
                if entry.below is not None:
                    pending.append((entry.below, entry.origin))

    def count_touched(self) -> int:
        """Entries whose own node changes."""
        count = 0
        pending = [self.root]
        while pending:
            for entry in pending.pop().entries.values():
                count += entry.is_touched
                if entry.below is not None:
                    pending.append(entry.below)
        return count
