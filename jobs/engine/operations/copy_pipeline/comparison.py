"""Whether a copy may go by what the file system says has changed; else why all files are looked at."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from ...plan import CopyPlan, Trust
from ...repository.gojson import name_body
from ...repository.snapshot_file import Summary
from ...source.changed import open_comparison
from ...source.diff import Comparison, Difference, DiffUnavailable
from ...source.node import node_prefix
from .context import RootContext
from .opening import Parent
from .tally import Tally

PARTIAL: Final = "partial"
"""Tag of a copy that could not read everything. What it lacks did not change since, so only a walk tries it again."""


class Comparisons:
    """The content paths of one copy, compared with those of its parent: all of them, or none.

    ``close`` must be called. ``reason`` says why there is no comparison; empty where none was asked for.
    """

    def __init__(self, roots: tuple[RootContext, ...]) -> None:
        self._roots = roots
        self._stack = ExitStack()
        self._comparisons: list[Comparison] = []
        self._found: tuple[Difference, ...] | None = None
        self.reason = ""

    @classmethod
    def open(cls, plan: CopyPlan, roots: tuple[RootContext, ...]) -> Self:
        """Quick: looks whether the two snapshots can be compared, and no further."""
        comparisons = cls(roots)
        if (plan.parent is None and not plan.find_parent) or plan.settings.trust is not Trust.FULL:
            return comparisons
        if not any(root.previous for root in roots):
            return comparisons
        try:
            for root in roots:
                if root.previous is None:
                    raise DiffUnavailable(f"the last copy did not hold “{root.stored_as}”")
                comparison = open_comparison(Path(root.previous), Path(root.directory or "/"))
                comparisons._stack.callback(comparison.close)
                comparisons._comparisons.append(comparison)
        except DiffUnavailable as problem:
            comparisons.give_up(str(problem))
        return comparisons

    @property
    def is_open(self) -> bool:
        return bool(self._comparisons)

    def find(self, beat: Callable[[], None]) -> None:
        """Ask what changed. ``beat`` is called now and then and may raise."""
        try:
            self._found = tuple([comparison.find(beat) for comparison in self._comparisons])
        except DiffUnavailable as problem:
            self.give_up(str(problem))

    def usable_with(self, parent: Parent | None) -> tuple[Difference, ...] | None:
        """The answers, if this parent is what they start from; else None, and ``reason`` says why."""
        if not self._comparisons or self._found is None:
            return None
        problem = "the last copy is not in the repository any more" if parent is None else self._problem_of(parent)
        if problem:
            self.give_up(problem)
            return None
        return self._found

    def note(self, files: int) -> str:
        """For the job: how the files to read were found. ``files`` are all there are."""
        if self._found is not None and self._comparisons:
            changed = sum(difference.changed_paths for difference in self._found)
            return f"changed paths from the file system: {changed:,} of {files:,}"
        return f"all files were looked at, because {self.reason}" if self.reason else ""

    def close(self) -> None:
        """Idempotent."""
        self._stack.close()

    def give_up(self, reason: str) -> None:
        """Let a walk do it; ``reason`` completes “because …”."""
        self.close()
        self._comparisons = []
        self._found = None
        self.reason = reason

    def _problem_of(self, parent: Parent) -> str:
        if totals(parent.file.summary) is None:
            return "the last copy was made by another program"
        if PARTIAL in parent.file.tags:
            return "the last copy could not read everything"
        for root, tree in zip(self._roots, parent.trees, strict=True):
            if tree is None:
                return f"the last copy did not hold “{root.stored_as}”"
            node = parent.nodes.get(os.fsencode(root.stored_as))
            if node is not None and not _is_node_of(node, root):
                return "the older snapshot is not the one the last copy was made from"
        return ""


def totals(summary: Summary | None) -> Summary | None:
    """The summary of a copy, if it counts directories, as ours do."""
    if summary is None or not summary.dirs_new + summary.dirs_changed + summary.dirs_unmodified:
        return None
    return summary


def count_parent(tally: Tally, parent: Parent) -> None:
    """Begin the figures with all that the parent holds; what is shown of a running copy leaves that out."""
    summary = totals(parent.file.summary)
    if summary is not None:
        tally.files_replaced = -summary.total_files_processed
        tally.bytes_replaced = -summary.total_bytes_processed
        tally.files_unmodified = tally.files_done = summary.total_files_processed
        tally.bytes_done = summary.total_bytes_processed
        tally.dirs_unmodified = summary.dirs_new + summary.dirs_changed + summary.dirs_unmodified
        tally.publish()


def _is_node_of(node: str, root: RootContext) -> bool:
    """Whether the copy's node of a content path is that of its directory in the older snapshot."""
    name = name_body(root.stored_as.rpartition("/")[2])
    return root.previous is not None and node.startswith(node_prefix(name, os.stat(root.previous), device_id=0))
