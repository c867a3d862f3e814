"""Emulated clusters of this process by the volume that a test works on, for whoever knows a directory and nothing else.

Each has a volume ``vol1`` for content and a destination of SnapMirror, ``vault``, to which every cluster made before
sends its ``vol1``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from .ontap_emulator import PASSWORD, OntapCluster

SECRETS: Final = {"password": PASSWORD}
_clusters: dict[Path, OntapCluster] = {}


def volume_at(mount: Path) -> Path:
    """A new cluster on a fresh btrfs; the directory where its volume is seen."""
    cluster = OntapCluster(mount)
    volume, vault = cluster.add_volume("vol1"), cluster.add_volume("vault", type="dp")
    for other in _clusters.values():
        cluster.mirror(other, other.volumes[0], vault)
    _clusters[volume.directory] = cluster
    return volume.directory


def cluster_at(volume: Path) -> OntapCluster:
    return _clusters[volume]


def values_at(volume: Path) -> dict[str, Any]:
    """Options of a file server for the cluster of that volume."""
    return cluster_at(volume).values()


@pytest.fixture(autouse=True)
def stop_clusters() -> Iterator[None]:
    """None outlives its test."""
    yield
    while _clusters:
        _clusters.popitem()[1].stop()


class Clusters:
    """Makes clusters whose namespaces lie on one btrfs, and stops them."""

    def __init__(self, mount: Path) -> None:
        self._mount = mount
        self.made: list[OntapCluster] = []

    def __call__(self, **settings: Any) -> OntapCluster:
        root = self._mount / f"namespace-{len(os.listdir(self._mount))}"
        root.mkdir()
        self.made.append(OntapCluster(root, **settings))
        return self.made[-1]

    def stop(self) -> None:
        """Whoever asked for something that is not documented fails the test."""
        for cluster in self.made:
            cluster.stop()
        assert [one for cluster in self.made for one in cluster.unknown] == []
