"""What a revert has to tell, whether it was carried out or only looked at: counts, examples, failures, warnings."""

from __future__ import annotations

from typing import Final

from ..events import FileFailed
from ..ids import SnapshotName
from .base import Change, Reverted, RevertPlan
from .copy_report import shown
from .storage_errors import reason

MOST_EXAMPLES: Final = 20
MOST_WARNINGS: Final = 100


class RevertReport:
    """Collects while a live tree is made equal to its snapshot. For one thread."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(Change, 0)
        self._examples: list[tuple[Change, bytes]] = []
        self._failed: list[FileFailed] = []
        self._warnings: dict[str, None] = {}

    def count(self, change: Change, path: bytes) -> None:
        self._counts[change] += 1
        if len(self._examples) < MOST_EXAMPLES:
            self._examples.append((change, path))

    def fail(self, path: bytes, error: OSError) -> None:
        """A live path that could not be made as it was."""
        self._failed.append(FileFailed(path=path, error=reason(error), code="file-unwritable"))

    def stays(self, path: bytes, why: str) -> None:
        """A live path that is left as it is; ``why`` completes “… stays as it is: …”."""
        self.warn(f"“{shown(path)}” stays as it is: {why}.")

    def warn(self, sentence: str) -> None:
        if len(self._warnings) < MOST_WARNINGS:
            self._warnings[sentence] = None

    def plan(self, *, is_counted: bool, warnings: tuple[str, ...] = ()) -> RevertPlan:
        return RevertPlan(
            created=self._counts[Change.CREATED],
            replaced=self._counts[Change.REPLACED],
            removed=self._counts[Change.REMOVED],
            is_counted=is_counted,
            examples=tuple(self._examples),
            warnings=(*warnings, *self._warnings),
        )

    def result(self, *, lost: tuple[SnapshotName, ...] = ()) -> Reverted:
        return Reverted(
            lost=lost,
            created=self._counts[Change.CREATED],
            replaced=self._counts[Change.REPLACED],
            removed=self._counts[Change.REMOVED],
            failed=tuple(self._failed),
            warnings=tuple(self._warnings),
        )
