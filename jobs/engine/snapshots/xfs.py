"""Snapshots on XFS: every file is a reflink clone, so blocks are shared and only metadata is written.

Takes time with the number of files and not with their size; each file is of one moment, the whole is not.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..clock import Clock
from ..errors import EngineUnsupported, InvalidOptions
from .area import DEFAULT_FOLDER
from .content import is_inside, require_directory
from .copying import CopyingEngine
from .mounts import file_system_type

_VOLUME_HINT = "Give the mount point of the XFS volume as “Volume”; use the directory engine for other file systems."


@dataclass(frozen=True, slots=True, kw_only=True)
class XfsOptions:
    """The volume, and where on it the clones lie."""

    volume: Path = field(
        metadata={
            "label": "Volume",
            "help": "Mount point of the XFS file system that holds the content paths. It needs reflink, the default of "
            "mkfs.xfs since version 5.1.",
        }
    )
    area: Path | None = field(
        default=None,
        metadata={
            "label": "Snapshot area",
            "help": "Directory for the snapshots, on the same volume. Empty: “.snapcopy” at the top of the volume. "
            "It is left out of every snapshot.",
        },
    )


class XfsEngine(CopyingEngine):
    """See :class:`~jobs.engine.snapshots.base.SnapshotEngine`."""

    name = "xfs"
    label = "XFS reflink"
    summary = (
        "Clones every file within an XFS volume. Takes no space and little time, but is not of one moment: "
        "each file is consistent, the whole is not."
    )
    copied_warning = "Some files could not be cloned and were copied"

    def __init__(self, options: XfsOptions, install: str, clock: Clock | None = None) -> None:
        super().__init__(options.area or options.volume / DEFAULT_FOLDER, install, clock)
        self.volume = options.volume

    def require_fit(self, content: Sequence[str]) -> None:
        device = self._require_volume()
        area = os.path.realpath(self.area.path)
        for path in content:
            if is_inside(os.path.realpath(path), area):
                raise InvalidOptions(f"“{path}” is inside the snapshot area “{area}”.", field="content_paths")
            if require_directory(path).st_dev != device:
                raise InvalidOptions(
                    f"“{path}” is not on the volume “{self.volume}”.",
                    field="content_paths",
                    hint="Make a file server for each volume.",
                )

    def describe_place(self) -> str:
        self._require_volume()
        return f"XFS with reflink at “{self.volume}”"

    def left_out(self) -> frozenset[tuple[int, int]]:
        status = os.stat(self.area.path)
        return frozenset({(status.st_dev, status.st_ino)})

    def _require_volume(self) -> int:
        """Device of the volume. Raises EngineUnsupported, InvalidOptions, SourceMissing, SourceUnavailable."""
        device = require_directory(str(self.volume)).st_dev
        kind = file_system_type(device)
        if kind not in ("xfs", ""):
            raise EngineUnsupported(f"“{self.volume}” is {kind}, not XFS.", hint=_VOLUME_HINT)
        self.area.prepare()
        if require_directory(str(self.area.path)).st_dev != device:
            raise InvalidOptions(
                f"The snapshot area “{self.area.path}” is not on the volume “{self.volume}”.",
                field="area",
                hint="Blocks can only be shared within one file system. Leave it empty for the default.",
            )
        if not self.clones():
            raise EngineUnsupported(
                f"The XFS volume “{self.volume}” was made without reflink.",
                hint="mkfs.xfs -m reflink=1 makes one that has it; until then use the directory engine.",
            )
        return device
