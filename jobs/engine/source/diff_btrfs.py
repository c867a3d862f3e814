"""What changed between two read-only btrfs snapshots of one subvolume, from the subvolume's tree itself.

One search over the parts of the newer tree that were written since the older snapshot gives every changed inode and
every name made since. Names that are gone are found by listing: a directory that lost one was changed itself. Nothing
is said about data here but which ranges may differ; what cannot be compared safely is refused with the reason.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from ..snapshots.btrfs.ioctl import SubvolumeInfo, file_system_id, subvolume_info
from .diff import ChangedDirectory, DiffUnavailable, Range
from .diff_btrfs_extents import changed_ranges
from .diff_btrfs_paths import OldPaths, Placement
from .diff_btrfs_tree import (
    InodeItem,
    ItemType,
    changed_since,
    find_inode,
    find_names,
    parse_directory_item,
    parse_inode,
)

_CLOCK_STEP_NS: Final = 2_000_000_000
"""A ctime older than the older snapshot by more than this is no proof of a change since; the inode is then compared."""
_BEAT_INODES: Final = 256


class BtrfsComparison:
    """One content path in two snapshots that can be compared. ``close`` must be called once."""

    def __init__(self, previous: Path, current: Path) -> None:
        """Quick. Raises DiffUnavailable with the reason."""
        self._before = _open(previous)
        try:
            self._after = _open(current)
        except BaseException:
            os.close(self._before)
            raise
        try:
            self._old = _require_comparable(self._before, self._after)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise DiffUnavailable(_reason(error)) from error
            raise

    def find(self, beat: Callable[[], None]) -> BtrfsDifference:
        """What changed; the answer is good until ``close``. ``beat`` is called now and then and may raise.

        Raises DiffUnavailable.
        """
        try:
            placement = _Search(self._before, self._after, self._old, beat).run()
        except OSError as error:
            raise DiffUnavailable(_reason(error)) from error
        return BtrfsDifference(self._before, self._after, placement)

    def close(self) -> None:
        os.close(self._before)
        os.close(self._after)


class BtrfsDifference:
    """See :class:`~jobs.engine.source.diff.Difference`."""

    def __init__(self, before: int, after: int, placement: Placement) -> None:
        self._before = before
        self._after = after
        self.root: ChangedDirectory = placement.root
        self.origins: frozenset[str] = frozenset(placement.origins)
        self.changed_paths: int = placement.count_touched()
        self.descriptors: frozenset[int] = frozenset((before, after))

    def changed_ranges(self, inode: int) -> list[Range] | None:
        return changed_ranges(self._before, self._after, inode) if inode else None


class _Search:
    """One search under way. ``_kept`` are inodes of both snapshots that changed, ``_made`` names made since."""

    def __init__(self, before: int, after: int, old: SubvolumeInfo, beat: Callable[[], None]) -> None:
        self._before = before
        self._after = after
        self._old = old
        self._beat = beat
        self._kept: dict[int, InodeItem] = {}
        self._made: dict[int, list[tuple[str, int]]] = {}
        self._new_directories: set[int] = set()

    def run(self) -> Placement:
        self._scan()
        self._drop_merely_read()
        root = os.fstat(self._after).st_ino
        placement = Placement(self._after, root)
        old_paths = OldPaths(self._before, root)
        self._place_made(placement)
        self._place_changed(placement, old_paths)
        placement.settle()
        return placement

    def _scan(self) -> None:
        since = self._old.made_in
        for item in changed_since(self._after, since, self._beat):
            if item.type == ItemType.INODE:
                inode = parse_inode(item.data)
                if inode.generation <= since:
                    self._kept[item.inode] = inode
                elif stat.S_ISDIR(inode.mode):
                    self._new_directories.add(item.inode)
            elif item.inode not in self._new_directories:
                entry = parse_directory_item(item.data)
                target = 0 if entry.is_subvolume else entry.target
                self._made.setdefault(item.inode, []).append((os.fsdecode(entry.name), target))

    def _drop_merely_read(self) -> None:
        """Reading a file moves its access time, which is not copied, and so changes its inode only."""
        limit = self._old.made_at_ns - _CLOCK_STEP_NS
        for inode, item in list(self._kept.items()):
            seconds, nanoseconds = item.changed_at
            if seconds * 1_000_000_000 + nanoseconds < limit:
                known = find_inode(self._before, inode)
                if known is not None and known.stable == item.stable:
                    del self._kept[inode]

    def _place_made(self, placement: Placement) -> None:
        for directory, names in self._made.items():
            for name, target in names:
                entry = placement.touch(directory, name, target)
                if entry is None:
                    break
                entry.origin = None

    def _place_changed(self, placement: Placement, old_paths: OldPaths) -> None:
        for number, (inode, item) in enumerate(self._kept.items()):
            if not number % _BEAT_INODES:
                self._beat()
            is_directory = stat.S_ISDIR(item.mode)
            if is_directory:
                directory = placement.directory(inode)
                if directory is not None:
                    directory.is_listed = True
                if directory is placement.root:
                    continue
            before = set(find_names(self._before, inode))
            for parent, name in find_names(self._after, inode):
                entry = placement.touch(parent, os.fsdecode(name), inode)
                if entry is None:
                    continue
                if (parent, name) in before and parent not in self._new_directories:
                    placement.stays(entry)
                    continue
                entry.origin = old_paths.of_names(before)
                if is_directory and entry.origin is not None:
                    placement.origins.add(entry.origin)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise DiffUnavailable(f"“{path}” cannot be opened") from error


def _require_comparable(before: int, after: int) -> SubvolumeInfo:
    """The older snapshot; ``made_in`` is what the newer one's changes come after. Raises DiffUnavailable, OSError.

    Two snapshots of one subvolume, or two that were received: there the newer begins as a snapshot of the older, which
    was written to until it had arrived.
    """
    try:
        old, new = subvolume_info(before), subvolume_info(after)
    except OSError as error:
        raise DiffUnavailable("this file system cannot tell what changed") from error
    if file_system_id(before) != file_system_id(after):
        raise DiffUnavailable("the two snapshots are on different file systems")
    if not (old.is_read_only and new.is_read_only):
        raise DiffUnavailable("one of the two snapshots can be written to")
    is_received = old.received is not None and new.received is not None and new.parent == old.identity
    if is_received:
        old = replace(old, made_in=old.changed_in)
    elif old.identity != new.identity and (old.parent is None or old.parent != new.parent):
        raise DiffUnavailable("the subvolume was restored or made anew since the last copy")
    if old.changed_in > old.made_in:
        raise DiffUnavailable("the older snapshot was changed after it was taken")
    if old.made_in > new.made_in:
        raise DiffUnavailable("the snapshot of the last copy is the newer one")
    inode = os.fstat(after).st_ino
    here, there = find_inode(after, inode), find_inode(before, inode)
    if os.fstat(before).st_ino != inode or here is None or there is None or here.generation != there.generation:
        raise DiffUnavailable("the content path is another directory than at the last copy")
    return old


def _reason(error: OSError) -> str:
    if error.errno in (errno.EPERM, errno.EACCES):
        return "only root may ask btrfs what changed"
    return f"btrfs refused to tell what changed ({error.strerror})"
