"""Asks whoever can tell what changed between two snapshots. The only place that knows which file systems can."""

from __future__ import annotations

from pathlib import Path

from .diff import Comparison
from .diff_btrfs import BtrfsComparison


def open_comparison(previous: Path, current: Path) -> Comparison:
    """Hold a content path, readable as ``previous`` in the older snapshot and as ``current`` in the newer, to compare.

    Quick. Raises DiffUnavailable with the reason; then a walk must do.
    """
    return BtrfsComparison(previous, current)
