"""What the contracts share: emulated arrays end with their test."""

from __future__ import annotations

from tests.arrays.ontap_clusters import stop_clusters

__all__ = ["stop_clusters"]
