"""The live side of ZFS: which dataset holds a content path, where it is mounted, and what its snapshot cannot hold."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ...errors import InvalidOptions, SourceUnavailable
from ...ids import SnapshotName
from ..base import SnapshotRef
from ..content import is_inside, require_directory
from ..mounts import Mount, mounts

_KINDS: Final = frozenset({"zfs", "fuse.zfs"})
DATASET: Final = "dataset."
INSIDE: Final = "inside."
"""Keys of a content path, by its number, in the handle: its dataset, and its path relative to the top of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One content path. ``inside`` is relative to the top of the dataset, “.” for the top itself."""

    content: str
    dataset: str
    inside: str


def reads_dataset(dataset: str, install: str) -> str:
    """Below it are the clones through which snapshots of that pool are read; one per pool and installation."""
    return f"{dataset.partition('/')[0]}/snapcopy-{install}-reads"


def replicas_dataset(dataset: str, install: str) -> str:
    """Below it are the snapshots that a dataset took over from others. Mounted nowhere, read-only."""
    return f"{dataset}/snapcopy-{install}-replicas"


def mount_point(dataset: str) -> str | None:
    """Where a dataset is mounted on this node, at the first of several places."""
    return next(iter(mount_points(dataset)), None)


def mount_points(dataset: str) -> list[str]:
    """All places where it, or a part of it, is mounted."""
    return [mount.point for mount in mounts() if mount.kind in _KINDS and mount.source == dataset]


def require_mounted(dataset: str) -> str:
    """Its mount point. Raises SourceUnavailable."""
    if (point := mount_point(dataset)) is None:
        raise SourceUnavailable(
            f"The dataset “{dataset}” is not mounted on this node.",
            hint=f"zfs mount {dataset}; a service with mounts of its own does not see those of the host.",
        )
    return point


def parts_of(content: Sequence[str], top: str, install: str) -> tuple[Part, ...]:
    """Raises InvalidOptions (``content_paths``), SourceMissing, SourceUnavailable."""
    known = list(mounts())
    return tuple(_part(path, top, install, known) for path in content)


def parts_of_ref(ref: SnapshotRef, top: str) -> tuple[Part, ...]:
    """As they were when it was taken."""
    return tuple(
        Part(
            content=path,
            dataset=ref.handle.get(f"{DATASET}{number}", top),
            inside=ref.handle.get(f"{INSIDE}{number}", "."),
        )
        for number, path in enumerate(ref.content)
    )


def handle_of(parts: Iterable[Part]) -> dict[str, str]:
    handle = {}
    for number, part in enumerate(parts):
        handle[f"{DATASET}{number}"] = part.dataset
        handle[f"{INSIDE}{number}"] = part.inside
    return handle


def datasets_of(parts: Iterable[Part]) -> list[str]:
    """Each once, in the order of the content."""
    return list(dict.fromkeys(part.dataset for part in parts))


def common_dataset(datasets: Sequence[str]) -> str:
    """The nearest that has all of them below it."""
    return posixpath.commonpath(datasets)


def left_out(parts: Sequence[Part]) -> Iterator[str]:
    """What lies below the content and is no part of its snapshot, as sentences."""
    for mount in mounts():
        for part in parts:
            real = os.path.realpath(part.content)
            if mount.point != real and is_inside(mount.point, real) and mount.source != part.dataset:
                what = f"the dataset “{mount.source}”" if mount.kind in _KINDS else "another file system"
                yield f"“{mount.point}” is {what} and is not in the snapshot; make a subclient for it."


def inner_mounts(part: Part) -> list[str]:
    """Mount points strictly below the top of a part's dataset, relative to it."""
    top = mount_point(part.dataset)
    if top is None:
        return []
    return [
        os.path.relpath(mount.point, top) for mount in mounts() if mount.point != top and is_inside(mount.point, top)
    ]


def whole_name(dataset: str, name: SnapshotName) -> str:
    return f"{dataset}@{name}"


def _part(path: str, top: str, install: str, known: Sequence[Mount]) -> Part:
    real = os.path.realpath(path)
    device = require_directory(real).st_dev
    holding = max(
        (mount for mount in known if is_inside(real, mount.point) and mount.device == device),
        key=lambda mount: len(mount.point),
        default=None,
    )
    if holding is None or holding.kind not in _KINDS or not _is_below(holding.source, top, install):
        raise InvalidOptions(
            f"“{path}” is not in the dataset “{top}” or in one below it.",
            field="content_paths",
            hint="Make a file server for each dataset whose snapshots are to be of one moment.",
        )
    return Part(content=path, dataset=holding.source, inside=os.path.relpath(real, holding.point))


def _is_below(dataset: str, top: str, install: str) -> bool:
    """A live one: neither a snapshot nor a clone that a snapshot is read through."""
    return "@" not in dataset and is_inside(dataset, top) and not is_inside(dataset, reads_dataset(top, install))
