"""Where the tests of the ONTAP engine take place: clusters on one btrfs of a module, one of them with a volume."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from jobs.engine.errors import Killed
from jobs.engine.events import FreeRun
from jobs.engine.options import parse_options
from jobs.engine.plan import Secret
from jobs.engine.snapshots.base import SnapshotRef
from jobs.engine.snapshots.ontap.engine import OntapEngine
from jobs.engine.snapshots.ontap.options import OntapOptions
from tests.arrays.ontap_clusters import Clusters
from tests.arrays.ontap_emulator import PASSWORD, OntapCluster
from tests.arrays.ontap_state import StoredVolume

from .snapshot_drivers import INSTALL, named

RUN: Final = FreeRun()


@pytest.fixture
def clusters(module_btrfs: Path) -> Iterator[Clusters]:
    made = Clusters(module_btrfs)
    yield made
    made.stop()


@pytest.fixture
def cluster(clusters: Clusters) -> OntapCluster:
    made = clusters()
    made.add_volume("vol1")
    return made


@pytest.fixture
def volume(cluster: OntapCluster) -> StoredVolume:
    (cluster.volumes[0].directory / "file").write_text("x")
    return cluster.volumes[0]


def engine_of(cluster: OntapCluster, *, password: str = PASSWORD, **values: object) -> OntapEngine:
    options = parse_options(OntapOptions, cluster.values() | values, {"password": Secret(password)})
    return OntapEngine(options, INSTALL)


def take(cluster: OntapCluster, n: int, *volumes: StoredVolume, below: str = "") -> SnapshotRef:
    content = [str(one.directory / below) for one in volumes or cluster.volumes[:1]]
    return engine_of(cluster).create(named(n), content, RUN)


def names(volume: StoredVolume) -> list[str]:
    return [one.name for one in volume.snapshots]


class KillsAfter:
    """A control whose job is killed at its n-th look."""

    def __init__(self, looks: int) -> None:
        self._left = looks

    def check(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Killed("The job was killed.")
