"""The snapshot engines that the contract suite drives, each on the real file systems it is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jobs.engine.ids import SnapshotName, snapshot_name
from jobs.engine.options import parse_options
from jobs.engine.snapshots.base import SnapshotEngine
from jobs.engine.snapshots.registry import ENGINES

INSTALL = "contract"


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """An engine, the kind of mount it is tried on, and its options for a mount point."""

    engine: str
    mount: str
    values: Callable[[Path], dict[str, object]]

    def __str__(self) -> str:
        return f"{self.engine} on {self.mount}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A driver at work: its engine, where content may be made, and where its snapshots lie."""

    driver: Driver
    mount: Path
    content: Path
    area: Path

    def engine(self, install: str = INSTALL) -> SnapshotEngine:
        """Built anew each time, as another process would."""
        kind = ENGINES[self.driver.engine]
        return kind.build(parse_options(kind.options, self.driver.values(self.mount)), install)


def _beside(mount: Path) -> dict[str, object]:
    return {"area": str(mount / ".snapcopy")}


def _volume(mount: Path) -> dict[str, object]:
    return {"volume": str(mount)}


DRIVERS = (
    Driver(engine="directory", mount="ext4", values=_beside),
    Driver(engine="directory", mount="tmpfs", values=_beside),
    Driver(engine="directory", mount="btrfs", values=_beside),
    Driver(engine="btrfs", mount="btrfs", values=_volume),
    Driver(engine="xfs", mount="xfs", values=_volume),
)


def named(n: int, job: int = 7, install: str = INSTALL) -> SnapshotName:
    return snapshot_name(install, job, n)
