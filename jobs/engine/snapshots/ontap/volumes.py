"""The volumes of an SVM and their place in its namespace, and the snapshots on them: values, and no network.

A volume is seen at its junction path (``nas.path``) below the directory where the SVM's root is mounted. Its snapshots
are at ``.snapshot/NAME`` in it, unless the volume hides them (``snapshot_directory_access_enabled``).
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...errors import InvalidOptions, SourceMissing, SourceUnavailable
from ...ids import SnapshotName
from ..arrays.description import Description, Part, read_description
from ..content import is_inside

SNAPSHOT_DIRECTORY: Final = ".snapshot"
MOST_SNAPSHOTS: Final = 1_023
"""Of one volume, since ONTAP 9.4 (RULES R8)."""
MOST_COMMENT: Final = 255
"""Characters of a snapshot's comment that ONTAP keeps."""

_MOUNT_HINT: Final = (
    "See that the SVM’s root is mounted there on every access node, and that the volume has a junction path."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """``path`` is its junction path, empty = it is not mounted into the namespace. Sizes in bytes, None = not told."""

    uuid: str
    name: str
    path: str
    type: str = "rw"
    style: str = "flexvol"
    state: str = "online"
    shows_snapshots: bool = True
    snapshot_count: int = 0
    total_bytes: int | None = None
    used_bytes: int | None = None

    @property
    def is_writable(self) -> bool:
        return self.type == "rw"


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSnapshot:
    """A snapshot of one volume. ``created_at_ns`` is the cluster's, of whole seconds; ``told`` None = nobody knows."""

    volume: str
    uuid: str
    name: str
    created_at_ns: int
    told: Description | None = None

    @property
    def order(self) -> tuple[int, int]:
        """For telling which of two is newer; one of somebody else counts as the newer within the same second."""
        return self.created_at_ns, self.told.taken_at_ns if self.told else self.created_at_ns + 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A content path on its volume."""

    part: Part
    volume: Volume

    @property
    def is_whole(self) -> bool:
        return not self.part.below


class Namespace:
    """Where the volumes of one SVM are, on this node."""

    def __init__(self, mount: Path, volumes: Iterable[Volume]) -> None:
        self.mount = mount
        self.volumes = {one.uuid: one for one in volumes}
        self._by_path = sorted(
            (one for one in self.volumes.values() if one.path), key=lambda one: len(one.path), reverse=True
        )

    def directory(self, volume: Volume) -> Path:
        """Where a volume is seen on this node. Raises SourceUnavailable for one without a junction path."""
        if not volume.path:
            raise SourceUnavailable(
                f"The volume “{volume.name}” is not mounted into the namespace of its SVM, so no node can see it.",
                hint="Give it a junction path: volume mount -junction-path …",
            )
        return self.mount / volume.path.strip("/")

    def snapshot_directory(self, volume: Volume, name: str) -> Path:
        return self.directory(volume) / SNAPSHOT_DIRECTORY / name

    def content_path(self, uuid: str) -> str:
        """The content path of a whole volume; empty for one that is not known or not mounted."""
        volume = self.volumes.get(uuid)
        return str(self.directory(volume)) if volume is not None and volume.path else ""

    def place(self, content: Sequence[str]) -> tuple[Placed, ...]:
        """Which volume holds each content path. Raises InvalidOptions (``content_paths``), SourceUnavailable."""
        return tuple(self._place(number, path) for number, path in enumerate(content))

    def inner(self, placed: Placed) -> list[str]:
        """Other volumes that are mounted inside a content path, and so are no part of its snapshot."""
        top = posixpath.join(placed.volume.path, placed.part.below).rstrip("/")
        return [str(self.directory(one)) for one in self._by_path if one.path != top and is_inside(one.path, top)]

    def _place(self, number: int, path: str) -> Placed:
        real = inside_mount(path, self.mount)
        volume = next((one for one in self._by_path if is_inside(real, one.path)), None)
        if volume is None:
            raise InvalidOptions(
                f"“{path}” is on no volume of the SVM that SnapCopy may take snapshots of.",
                field="content_paths",
                hint="Name a volume that Test shows, or a directory in it. The SVM’s root volume cannot be protected.",
            )
        if volume.state != "online":
            raise SourceUnavailable(f"The volume “{volume.name}” is {volume.state}.")
        below = real[len(volume.path) :].lstrip("/") if volume.path != "/" else real.lstrip("/")
        return Placed(part=Part(number=number, path=path, below=below), volume=volume)


def inside_mount(path: str, mount: Path) -> str:
    """The path within the SVM's namespace. Raises InvalidOptions (``content_paths``)."""
    real, top = os.path.realpath(path), os.path.realpath(mount)
    if not is_inside(real, top):
        raise InvalidOptions(
            f"“{path}” is not below “{mount}”, where the SVM is mounted.",
            field="content_paths",
            hint=_MOUNT_HINT,
        )
    inner = "/" + real[len(top) :].lstrip("/")
    if SNAPSHOT_DIRECTORY in inner.split("/"):
        raise InvalidOptions(
            f"“{path}” is inside a snapshot.", field="content_paths", hint="Name the live directory instead."
        )
    return inner


def require_mount(mount: Path) -> None:
    """Raises SourceMissing."""
    if not mount.is_dir():
        raise SourceMissing(f"“{mount}” is not there on this node.", hint=_MOUNT_HINT)


def snapshot_of(volume: str, *, uuid: str, name: str, created_at_ns: int, comment: str | None) -> VolumeSnapshot:
    return VolumeSnapshot(
        volume=volume, uuid=uuid, name=name, created_at_ns=created_at_ns, told=read_description(comment)
    )


def pattern(install: str) -> str:
    """What ONTAP's query finds all names of an installation by (RULES O2)."""
    return f"sc-{install}-*"


def by_name(found: Iterable[VolumeSnapshot]) -> dict[SnapshotName, list[VolumeSnapshot]]:
    """The snapshots of all volumes, those of one name together."""
    grouped: dict[SnapshotName, list[VolumeSnapshot]] = {}
    for one in found:
        grouped.setdefault(SnapshotName(one.name), []).append(one)
    return grouped
