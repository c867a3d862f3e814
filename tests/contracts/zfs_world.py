"""A ZFS dataset, where it is mounted, and its engine, for tests of what only ZFS does."""

from __future__ import annotations

from pathlib import Path

from jobs.engine.events import FreeRun
from jobs.engine.snapshots.base import SnapshotRef
from jobs.engine.snapshots.zfs.engine import ZfsEngine, ZfsOptions
from tests.zfs_pool import dataset_at, zfs

from .snapshot_drivers import INSTALL, named

RUN = FreeRun()


class World:
    """A dataset, where it is mounted, and its engine."""

    def __init__(self, mount: Path) -> None:
        self.mount = mount
        self.dataset = dataset_at(mount)
        self.area = mount.parent / "clones"
        self.engine = self.of(self.dataset)

    def of(self, dataset: str) -> ZfsEngine:
        return ZfsEngine(ZfsOptions(dataset=dataset, area=self.area), INSTALL)

    def take(self, number: int, *content: Path) -> SnapshotRef:
        return self.engine.create(named(number), [str(path) for path in content or (self.mount,)], RUN)

    def child(self, name: str) -> Path:
        zfs("create", f"{self.dataset}/{name}")
        return self.mount / name

    def snapshots(self) -> list[str]:
        return zfs("list", "-H", "-r", "-t", "snapshot", "-o", "name", self.dataset).splitlines()

    def has_clones(self) -> bool:
        pool = self.dataset.partition("/")[0]
        return "-reads" in zfs("list", "-H", "-r", "-o", "name", pool)
