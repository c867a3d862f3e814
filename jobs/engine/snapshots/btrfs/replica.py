"""Taking over a btrfs snapshot of another file system: what may be the base, and nothing half under a real name.

``btrfs receive`` makes the subvolume under its final name, so a marker file ``.<name>.receiving`` beside it says that
it is not complete. Whoever receives holds a lock (flock) on the marker; one without a holder was left by a killed job.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from uuid import UUID

from ...errors import SnapshotMissing, SnapshotNotOurs, SourceUnavailable, StorageBusy
from ...ids import SnapshotName
from ..area import SnapshotArea, sync_file_system
from .ioctl import SubvolumeInfo, subvolume_info

_MARKER: Final = ".receiving"
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Reception:
    """The markers of one area. ``remove`` deletes the subvolume of a name, and is no error if there is none."""

    def __init__(self, area: SnapshotArea, remove: Callable[[SnapshotName], None]) -> None:
        self._area = area
        self._remove = remove

    def is_open(self, name: str) -> bool:
        """Whether a subvolume of that name would not be complete."""
        return os.path.lexists(self._marker(name))

    @contextlib.contextmanager
    def receiving(self, name: SnapshotName) -> Iterator[None]:
        """Receive in the block; what it leaves is removed unless it ends well. Raises StorageBusy."""
        marker = self._marker(name)
        with self._area.errors("write to the snapshot area"):
            lock = os.open(marker, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not _take(lock) or not os.path.exists(marker):
                raise StorageBusy(f"Another job is sending the snapshot “{name}” to “{self._area.path}”.")
            self._remove(name)
            try:
                yield
            except BaseException:
                self._remove(name)
                os.unlink(marker)
                raise
            with self._area.errors("write to the snapshot area"):
                os.unlink(marker)
        finally:
            os.close(lock)

    def sweep(self) -> int:
        """Remove what killed jobs left; how many. What is being received stays."""
        swept = 0
        try:
            found = os.listdir(self._area.path)
        except FileNotFoundError:
            return 0
        for entry in found:
            if not (entry.startswith(".") and entry.endswith(_MARKER)):
                continue
            with contextlib.suppress(SnapshotNotOurs, OSError):
                swept += self._sweep_one(self._area.owned(entry[1 : -len(_MARKER)]))
        return swept

    def _sweep_one(self, name: SnapshotName) -> int:
        lock = os.open(self._marker(name), os.O_RDWR | os.O_CLOEXEC)
        try:
            if not _take(lock):
                return 0
            self._remove(name)
            os.unlink(self._marker(name))
        finally:
            os.close(lock)
        return 1

    def _marker(self, name: str) -> Path:
        return self._area.path / f".{self._area.owned(name)}{_MARKER}"


def look_at(directory: Path) -> SubvolumeInfo:
    """Raises SnapshotMissing if it is not there or no subvolume."""
    try:
        fd = os.open(directory, _DIRECTORY)
    except OSError as error:
        raise SnapshotMissing(f"The snapshot “{directory.name}” is not in “{directory.parent}” any more.") from error
    try:
        return subvolume_info(fd)
    except OSError as error:
        raise SnapshotMissing(f"“{directory}” is not a btrfs snapshot.") from error
    finally:
        os.close(fd)


def sync_directory(directory: Path) -> None:
    """Put the file system of a directory on disk: ``btrfs receive`` does not. Raises OSError."""
    fd = os.open(directory, _DIRECTORY)
    try:
        sync_file_system(fd)
    finally:
        os.close(fd)


def stream_identity(sent: SubvolumeInfo) -> UUID:
    """What a stream of this subvolume says it is: a received one passes on whose it was first."""
    return sent.received or sent.identity


def is_received(there: SubvolumeInfo, identity: UUID) -> bool:
    """Whether a subvolume is a complete copy of the one a stream said ``identity`` of: read-only, and received."""
    return there.is_read_only and there.received == identity


def require_received(there: SubvolumeInfo, identity: UUID, name: str) -> None:
    """Raises SourceUnavailable for a stream that ended without an error and left something else."""
    if not is_received(there, identity):
        raise SourceUnavailable(
            f"The snapshot “{name}” did not arrive whole: it is not marked as received from its source.",
            hint="The next attempt sends it again. Look at the kernel log of the node if it happens twice.",
        )


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
