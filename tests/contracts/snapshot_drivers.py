"""The snapshot engines that the contract suite drives, each on the real file systems it is for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jobs.engine.ids import SnapshotName, snapshot_name
from jobs.engine.options import parse_options
from jobs.engine.plan import Secret
from jobs.engine.snapshots.base import SnapshotEngine
from jobs.engine.snapshots.registry import ENGINES
from tests.arrays import ontap_clusters

INSTALL = "contract"


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """An engine, the kind of mount it is tried on, its options there, and where it keeps what is its own.

    ``volume`` makes of a fresh mount what the engine takes snapshots of; everything else is told of that.
    """

    engine: str
    mount: str
    values: Callable[[Path], dict[str, object]]
    area: Callable[[Path], Path] = lambda mount: mount / ".snapcopy"
    volume: Callable[[Path], Path] = lambda mount: mount
    secrets: Mapping[str, str] = field(default_factory=dict)
    unfit: Callable[[Path], dict[str, object]] | None = None

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
        return kind.build(parse_options(kind.options, self.driver.values(self.mount), self.secrets), install)

    @property
    def secrets(self) -> dict[str, Secret]:
        return {name: Secret(text) for name, text in self.driver.secrets.items()}


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
    Driver(
        engine="ontap",
        mount="btrfs",
        values=ontap_clusters.values_at,
        area=lambda mount: mount / ".snapshot",
        volume=ontap_clusters.volume_at,
        secrets=ontap_clusters.SECRETS,
        unfit=lambda mount: ontap_clusters.values_at(mount) | {"namespace_mount": str(mount / "file")},
    ),
)


def place_of(driver: Driver, mount: Path) -> Place:
    """With an empty directory for content."""
    volume = driver.volume(mount)
    (volume / "content").mkdir()
    return Place(driver=driver, mount=volume, content=volume / "content", area=driver.area(volume))


def named(n: int, job: int = 7, install: str = INSTALL) -> SnapshotName:
    return snapshot_name(install, job, n)
