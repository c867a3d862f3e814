"""Asks whoever can tell what changed between two snapshots. The only place that knows which file systems can."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .diff import Difference
from .diff_btrfs import compare_btrfs


def changes_between(previous: Path, current: Path, beat: Callable[[], None]) -> Difference:
    """What changed in a content path, readable as ``previous`` in the older snapshot and as ``current`` in the newer.

    ``beat`` is called now and then and may raise. Raises DiffUnavailable with the reason; then a walk must do.
    """
    return compare_btrfs(previous, current, beat)
