"""Keeping a snapshot on an array from being deleted by this node while it is read here, and nothing of it half read.

An array deletes a snapshot whatever reads it. Who reads one on this node holds a lock (flock) on its directories; the
directories of an NFS mount are locked on the node itself. Other nodes are kept away by the jobs' own holds.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from ...errors import SnapshotMissing, SourceUnavailable
from ..area import hold, require_unread
from ..base import SnapshotRoot
from ..storage_errors import reason

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextlib.contextmanager
def held(roots: tuple[SnapshotRoot, ...], tops: Iterable[Path], name: str) -> Iterator[tuple[SnapshotRoot, ...]]:
    """Hold the snapshot's ``tops``, the directories it is seen at, while the roots in them are read.

    Raises SourceUnavailable for what is not readable on this node although the array has it, SnapshotMissing for one
    that is being deleted or does not hold a content path.
    """
    with contextlib.ExitStack() as stack:
        for top in tops:
            lock = _open(top, name)
            stack.callback(os.close, lock)
            hold(lock, name)
        for root in roots:
            if not root.directory.is_dir():
                raise SnapshotMissing(f"Snapshot “{name}” does not hold “{root.content_path}”.")
        yield roots


def refuse_while_read(tops: Iterable[Path], name: str) -> None:
    """Raises StorageBusy while somebody on this node reads the snapshot; one that is not visible here is not read."""
    for top in tops:
        try:
            lock = os.open(top, _DIRECTORY)
        except OSError:
            continue
        try:
            require_unread(lock, name)
        finally:
            os.close(lock)


def _open(directory: Path, name: str) -> int:
    try:
        return os.open(directory, _DIRECTORY)
    except OSError as error:
        raise SourceUnavailable(
            f"The array has the snapshot “{name}”, but this node cannot read it at “{directory}”: {reason(error)}.",
            hint="See that the volume is mounted there on every access node, and that its snapshots are visible to it.",
        ) from error
