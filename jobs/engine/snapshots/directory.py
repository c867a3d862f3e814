"""Snapshots of a directory on any file system: a complete copy, cloned where the file system can share blocks.

Neither instant nor of one moment: files that change while it runs are told as warnings. The copying itself, and all
that this engine shares with others that copy, is in :mod:`copying`.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..clock import Clock
from ..errors import InvalidOptions
from .content import is_inside
from .copying import CopyingEngine


def _default_area() -> Path:
    """Beside the rest of the product's state: of the machine for root, of the account for anybody else."""
    if os.geteuid() == 0:
        return Path("/var/lib/snapcopy/snapshots")
    return Path(pwd.getpwuid(os.geteuid()).pw_dir) / ".local/share/snapcopy/snapshots"


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryOptions:
    """Where the copies lie, and how far a snapshot goes."""

    area: Path = field(
        default_factory=_default_area,
        metadata={
            "label": "Snapshot area",
            "help": "Directory on the access node that holds the copies. On the file system of the content, and with "
            "reflink (XFS, btrfs), they take no space of their own at first; elsewhere each snapshot is a full copy. "
            "It must not lie inside a content path.",
        },
    )
    cross_file_systems: bool = field(
        default=False,
        metadata={
            "label": "Include other file systems",
            "help": "Also copy what is mounted below a content path. Off leaves an empty directory there.",
        },
    )


class DirectoryEngine(CopyingEngine):
    """See :class:`~jobs.engine.snapshots.base.SnapshotEngine`."""

    name = "directory"
    label = "Directory"
    summary = (
        "A complete copy, on any file system. Not instant, and not of one moment: "
        "files that change while it is taken are listed as warnings."
    )

    def __init__(self, options: DirectoryOptions, install: str, clock: Clock | None = None) -> None:
        super().__init__(options.area, install, clock)
        self.cross_file_systems = options.cross_file_systems

    def require_fit(self, content: Sequence[str]) -> None:
        area = os.path.realpath(self.area.path)
        for path in content:
            real = os.path.realpath(path)
            if is_inside(area, real):
                raise InvalidOptions(
                    f"The snapshot area “{area}” is inside “{path}”, so each snapshot would hold the ones before it.",
                    field="content_paths",
                    hint="Move the snapshot area of the file server elsewhere, or name the directories beside it.",
                )
            if is_inside(real, area):
                raise InvalidOptions(
                    f"“{path}” is inside the snapshot area “{area}”.",
                    field="content_paths",
                    hint="Name the live directory, not a snapshot of it.",
                )

    def describe_place(self) -> str:
        if self.clones():
            return "content on the same file system is cloned and takes no space at first"
        return "this file system cannot share blocks: each snapshot is a full copy"
