"""What all engines that revert in place share: who is in the way, how far a look goes, and the content one by one."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import Final

from ..clock import Clock
from ..errors import SourceMissing, StorageBusy
from ..events import Control
from .base import Reverted, RevertPlan, SnapshotRoot
from .open_files import OpenFile, open_below, processes
from .revert_report import RevertReport
from .storage_errors import live_error
from .tree_revert import TreeReverter

_STOP_THEM: Final = "Stop what writes there (its service, mount or share), then revert again."


class _TimeOver(Exception):
    """Ends a look that took too long; never leaves this module."""


class _Limited:
    """A control that also ends when the time is over."""

    def __init__(self, control: Control, clock: Clock, seconds: float) -> None:
        self._control = control
        self._clock = clock
        self._ends_at = clock.monotonic() + seconds

    def check(self) -> None:
        self._control.check()
        if self._clock.monotonic() > self._ends_at:
            raise _TimeOver("The time is over.")


def require_nobody_writes(content: Sequence[str]) -> None:
    """Raises StorageBusy that names who has a file below open for writing, as far as this process may see."""
    writers = [found for found in _opened(content) if found.is_written]
    if writers:
        raise StorageBusy(
            f"“{writers[0].path}” is open for writing, by {processes(writers)}: what it writes would be lost.",
            hint=_STOP_THEM,
        )


def users_of(content: Sequence[str]) -> list[OpenFile]:
    """Who has anything at all open there."""
    return list(_opened(content))


def _opened(content: Sequence[str]) -> list[OpenFile]:
    return list(open_below([os.path.realpath(path) for path in content]))


def require_parents(content: Sequence[str]) -> None:
    """A content path may be gone, but not what it lies in: that is more likely a volume that is not mounted.

    Raises SourceMissing.
    """
    for path in content:
        if not os.path.isdir(path) and not os.path.isdir(os.path.dirname(os.path.realpath(path))):
            raise SourceMissing(f"“{path}” is not there, nor is the directory it lies in.")


def make_missing(content: Sequence[str]) -> None:
    """Make content paths that are gone. Raises NoSpace, TargetRefused, SourceUnavailable."""
    for path in content:
        if not os.path.lexists(path):
            try:
                os.mkdir(path, 0o700)
            except OSError as error:
                raise live_error(error, path) from error


def revert_in_place(
    roots: Sequence[SnapshotRoot],
    control: Control,
    *,
    keep: Collection[tuple[int, int]],
    cross_file_systems: bool = False,
) -> Reverted:
    """File by file. Raises SnapshotMissing, SourceUnavailable, NoSpace, TargetRefused, what the control raises."""
    report = RevertReport()
    reverter = TreeReverter(control, report, keep=keep, cross_file_systems=cross_file_systems)
    for root in roots:
        reverter.revert(root, root.content_path)
    return report.result()


def look_in_place(
    roots: Sequence[SnapshotRoot],
    control: Control,
    clock: Clock,
    *,
    seconds: float,
    keep: Collection[tuple[int, int]],
    cross_file_systems: bool = False,
) -> RevertPlan:
    """What :func:`revert_in_place` would do, as far as ``seconds`` reach; changes nothing."""
    report = RevertReport()
    limited = _Limited(control, clock, seconds)
    reverter = TreeReverter(limited, report, keep=keep, cross_file_systems=cross_file_systems, is_dry=True)
    is_counted = True
    try:
        for root in roots:
            reverter.revert(root, root.content_path)
    except _TimeOver:
        is_counted = False
    return report.plan(is_counted=is_counted, warnings=tuple(_doubts(roots)))


def _doubts(roots: Sequence[SnapshotRoot]) -> list[str]:
    """What a person should think about before everything is written anew."""
    return [
        f"“{root.content_path}” is empty or missing now. If a volume belongs there, mount it first."
        for root in roots
        if _is_empty(root.content_path) and not _is_empty(str(root.directory))
    ]


def _is_empty(path: str) -> bool:
    try:
        with os.scandir(path) as entries:
            return next(entries, None) is None
    except OSError:
        return True
