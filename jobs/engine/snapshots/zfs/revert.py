"""Reverting ZFS datasets at one moment each: ``zfs rollback``, which costs every newer snapshot (RULES S6).

Ours are destroyed one by one first, and the rollback itself may destroy none: so one of somebody else's, however late
it came, is in its way and never lost (RULES O2). Where it cannot be had, files are reverted one by one.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import SnapshotNotOurs
from ...events import Control
from ...ids import SnapshotName
from ..base import SnapshotRoot
from ..reverting import users_of
from .command import Zfs
from .shelf import Shelf
from .volume import Part, datasets_of, inner_mounts, whole_name


class Rollback:
    """Of the datasets of one shelf. Holds nothing between calls."""

    def __init__(self, shelf: Shelf, zfs: Zfs) -> None:
        self._shelf = shelf
        self._zfs = zfs

    def newer(self, parts: Sequence[Part], name: SnapshotName, control: Control) -> list[tuple[str, str]]:
        """(dataset, name) of every snapshot, anybody's, that is newer in one of the datasets; newest first."""
        found: list[tuple[str, str]] = []
        rows = self._shelf.whole_names(control)
        for dataset in datasets_of(parts):
            names = [one for owner, one in rows if owner == dataset]
            if name in names:
                found += [(dataset, one) for one in reversed(names[names.index(name) + 1 :])]
        return found

    def lost(self, newer: Sequence[tuple[str, str]]) -> tuple[SnapshotName, ...]:
        """Each name once. Raises SnapshotNotOurs for one of somebody else's."""
        return tuple(dict.fromkeys(self._shelf.owned(name) for _dataset, name in newer))

    def why_not(
        self,
        parts: Sequence[Part],
        newer: Sequence[tuple[str, str]],
        roots: Sequence[SnapshotRoot],
        control: Control,
    ) -> str:
        """What keeps the content from being rolled back, as a part of a sentence; empty = it can be."""
        partial = next((part for part in parts if part.inside != "."), None)
        if partial is not None:
            return f"“{partial.content}” is only a part of its dataset"
        for dataset, name in newer:
            try:
                owned = self._shelf.owned(name)
            except SnapshotNotOurs:
                return f"“{dataset}@{name}” is newer and not ours, and a rollback would destroy it"
            if self._shelf.room.is_read(owned, control):
                return f"“{dataset}@{name}” is newer and is being read"
        for part, root in zip(parts, roots, strict=True):
            gone = next((point for point in inner_mounts(part) if not (root.directory / point).is_dir()), None)
            if gone is not None:
                return f"“{gone}” is a mount point that the snapshot does not know"
        users = users_of([part.content for part in parts])
        return f"“{users[0].path}” is open in {users[0].command} (pid {users[0].pid})" if users else ""

    def run(
        self, parts: Sequence[Part], name: SnapshotName, newer: Sequence[tuple[str, str]], control: Control
    ) -> tuple[SnapshotName, ...]:
        """What was lost. Once the first is destroyed it is not stopped any more; done again, it is finished."""
        lost = self.lost(newer)
        control.check()
        for one in lost:
            self._shelf.remove(one, control)
        for dataset in datasets_of(parts):
            self._zfs.rollback(whole_name(dataset, name), control)
        return lost
