"""Reverting volumes of ONTAP: whole ones at one moment, at the cost of every newer snapshot; parts of one file by file.

ONTAP puts back a volume and never less (``restore_to.snapshot``, SnapRestore). So it is only asked where the content
paths are whole volumes; a directory in a volume is made equal to the snapshot's, as engines without a storage do it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ...errors import EngineUnsupported
from ...ids import SnapshotName
from ..base import RevertPlan
from .volumes import SNAPSHOT_DIRECTORY, Namespace, Placed, Volume, VolumeSnapshot

_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Snapshots that a revert of whole volumes costs: ``ours``, and how many of others, the first ones named."""

    ours: tuple[SnapshotName, ...]
    others: int
    named: tuple[str, ...]

    def told(self, plan: RevertPlan) -> RevertPlan:
        """The plan with it."""
        return replace(plan, lost=self.ours, is_exchanged=True, warnings=(*self._warnings(), *plan.warnings))

    def _warnings(self) -> tuple[str, ...]:
        if not self.others:
            return ()
        more = self.others - len(self.named)
        names = ", ".join(self.named) + (f" and {more} more" if more else "")
        return (f"Newer snapshots that SnapCopy did not take are lost, too: {names}.",)


def are_whole(placed: Sequence[Placed]) -> bool:
    """Whether every content path is a volume of its own, from its top."""
    return all(one.is_whole for one in placed)


def refuse_read_only(placed: Iterable[Placed]) -> None:
    """Raises EngineUnsupported."""
    for one in placed:
        if not one.volume.is_writable:
            raise EngineUnsupported(
                f"The volume “{one.volume.name}” is a destination of SnapMirror and cannot be written to.",
                hint="Revert on the primary, or restore from this snapshot to another place.",
            )


def cost(name: str, by_volume: Iterable[tuple[Volume, Sequence[VolumeSnapshot]]], ours: Iterable[str]) -> Cost:
    """What lies after the snapshot ``name`` on each volume. ``ours`` are the names of this installation."""
    mine = set(ours)
    newer: dict[str, None] = {}
    for _volume, snapshots in by_volume:
        target = next(one for one in snapshots if one.name == name)
        newer |= dict.fromkeys(one.name for one in snapshots if one.order > target.order)
    others = [one for one in newer if one not in mine]
    return Cost(
        ours=tuple(SnapshotName(one) for one in newer if one in mine),
        others=len(others),
        named=tuple(others[:_NAMED]),
    )


def left_alone(namespace: Namespace, volumes: Iterable[Volume]) -> frozenset[tuple[int, int]]:
    """(device, inode) of the directories of snapshots, which are in the live tree and no part of any content."""
    found = set()
    for volume in volumes:
        try:
            status = os.stat(namespace.directory(volume) / SNAPSHOT_DIRECTORY)
        except OSError:
            continue
        found.add((status.st_dev, status.st_ino))
    return frozenset(found)
