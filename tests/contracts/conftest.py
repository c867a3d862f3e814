"""What the contracts share: emulated arrays end with their test; the clusters of the ONTAP engine's own tests."""

from __future__ import annotations

from tests.arrays.ontap_clusters import stop_clusters
from tests.arrays.powerstore_arrays import stop_arrays

from .ontap_place import cluster, clusters, volume

__all__ = ["cluster", "clusters", "stop_arrays", "stop_clusters", "volume"]
