"""What the contracts share: emulated arrays end with their test."""

from __future__ import annotations

from tests.arrays.ontap_clusters import stop_clusters
from tests.arrays.powerstore_arrays import stop_arrays

__all__ = ["stop_arrays", "stop_clusters"]
