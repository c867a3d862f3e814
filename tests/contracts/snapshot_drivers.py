"""The snapshot engines that the contract suite drives, each on the real file systems it is for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jobs.engine.ids import SnapshotName, snapshot_name
from jobs.engine.options import parse_options
from jobs.engine.plan import Secret
from jobs.engine.snapshots.base import SnapshotEngine
from jobs.engine.snapshots.registry import ENGINES
from tests.arrays import ontap_clusters, powerstore_arrays
from tests.documented_script import commands_of, write_documented_script
from tests.loopmounts import cluster_mount
from tests.zfs_pool import dataset_at

INSTALL = "contract"
CLUSTER = cluster_mount()
"""Where a CephFS is mounted (SNAPCOPY_TEST_CEPHFS); without one, nothing of it is collected."""


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


def _clones(mount: Path) -> Path:
    """Beside the dataset: what is mounted there must not be in it."""
    return mount.parent / "clones"


def _dataset(mount: Path) -> dict[str, object]:
    return {"dataset": dataset_at(mount), "area": str(_clones(mount))}


def _scripted(mount: Path) -> dict[str, object]:
    program = mount.parent / "snapcopy-btrfs"
    if not program.exists():
        write_documented_script(mount.parent)
    return {**commands_of(program, mount), "test_directory": str(mount)}


DRIVERS: tuple[Driver, ...] = (
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
    Driver(
        engine="zfs",
        mount="zfs",
        values=_dataset,
        area=_clones,
        unfit=lambda mount: {"dataset": "nowhere/at/all", "area": str(mount / "file")},
    ),
    Driver(
        engine="powerstore",
        mount="btrfs",
        values=powerstore_arrays.values_at,
        area=lambda mount: mount / ".snapshot",
        volume=powerstore_arrays.file_system_at,
        secrets=powerstore_arrays.SECRETS,
        unfit=lambda mount: powerstore_arrays.values_at(mount) | {"mount": str(mount / "file")},
    ),
    Driver(
        engine="script",
        mount="btrfs",
        values=_scripted,
        unfit=lambda mount: _scripted(mount) | {"test_directory": str(mount / "file")},
    ),
)


if CLUSTER:
    DRIVERS += (
        Driver(
            engine="cephfs",
            mount="cephfs",
            values=lambda mount: {"directory": str(mount)},
            unfit=lambda mount: {"directory": str(mount / "file")},
        ),
    )


def place_of(driver: Driver, mount: Path) -> Place:
    """With an empty directory for content."""
    volume = driver.volume(mount)
    (volume / "content").mkdir()
    return Place(driver=driver, mount=volume, content=volume / "content", area=driver.area(volume))


WHOLE_SECONDS = frozenset({"zfs"})
"""Kinds of mount whose times of change have no fraction: zfs-fuse's clock ticks once a second."""


def leave_this_second(place: Place) -> None:
    """What changes from now on has another time of change than what is there, whatever the clock of the mount."""
    if place.driver.mount in WHOLE_SECONDS:
        ends_at = int(time.time()) + 1
        while time.time() < ends_at + 0.02:
            time.sleep(0.02)


def named(n: int, job: int = 7, install: str = INSTALL) -> SnapshotName:
    return snapshot_name(install, job, n)
