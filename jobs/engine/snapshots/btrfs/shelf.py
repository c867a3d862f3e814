"""The snapshots in one area of a btrfs: which are there whole, what describes them, and taking one away.

A snapshot is the subvolume ``<area>/<name>``; ``<area>/<name>.json`` beside it describes it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ...errors import SnapshotMissing, SnapshotNotOurs
from ...events import FreeRun
from ...ids import SnapshotName
from ..area import SnapshotArea, read_manifest, require_unread, write_manifest
from ..base import SnapshotRef
from .ioctl import is_subvolume_root
from .progs import BtrfsProgs
from .replica import Reception

_FREE_RUN: Final = FreeRun()
_MANIFEST: Final = ".json"


class Shelf:
    """``volume`` is the live subvolume: what a snapshot without a description is told to be of."""

    def __init__(self, volume: Path, area: SnapshotArea, progs: BtrfsProgs) -> None:
        self.area = area
        self.reception = Reception(area, self.remove)
        self._volume = volume
        self._progs = progs

    def has(self, name: str) -> bool:
        """Whether it is there whole."""
        return _is_snapshot(self.area.directory(name)) and not self.reception.is_open(name)

    def refs(self) -> Sequence[SnapshotRef]:
        """Of all that are there whole."""
        return [self.read_ref(name) for name in self.area.names() if self.has(name)]

    def read_ref(self, name: SnapshotName) -> SnapshotRef:
        """A snapshot whose job was killed before it was described is told as one of the whole volume."""
        try:
            return read_manifest(self._manifest(name), name)
        except SnapshotMissing:
            directory = self.area.directory(name)
            return SnapshotRef(
                name=name,
                engine="btrfs",
                taken_at_ns=os.stat(directory).st_ctime_ns,
                content=(str(self._volume),),
                handle={"path": str(directory)},
                warnings=("The job that took this snapshot ended before it could describe it.",),
            )

    def describe(self, ref: SnapshotRef) -> None:
        """Write the description of a snapshot that is there."""
        with self.area.errors("write to the snapshot area"):
            write_manifest(ref, self._manifest(ref.name))

    def remove(self, name: str) -> None:
        """Take a snapshot and its description away; one that is not there is no error.

        Raises SnapshotNotOurs for something else under its name, StorageBusy while somebody reads it.
        """
        directory = self.area.directory(name)
        if os.path.lexists(directory):
            if not _is_snapshot(directory):
                raise SnapshotNotOurs(f"“{directory}” is not a btrfs snapshot, so it is left alone.")
            with self.area.errors("open a snapshot in"):
                lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                require_unread(lock, name)
                self._progs.delete(str(directory), _FREE_RUN)
            finally:
                os.close(lock)
        with self.area.errors("remove a snapshot from"), contextlib.suppress(FileNotFoundError):
            os.unlink(self._manifest(name))

    def sweep(self) -> None:
        """Remove descriptions whose snapshot was deleted outside."""
        with self.area.errors("tidy"):
            for entry in os.listdir(self.area.path):
                name = entry.removesuffix(_MANIFEST)
                with contextlib.suppress(SnapshotNotOurs, FileNotFoundError):
                    if name != entry and not os.path.lexists(self.area.directory(name)):
                        os.unlink(self._manifest(name))

    def _manifest(self, name: str) -> Path:
        return self.area.path / f"{self.area.owned(name)}{_MANIFEST}"


def _is_snapshot(directory: Path) -> bool:
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return is_subvolume_root(fd)
    finally:
        os.close(fd)
