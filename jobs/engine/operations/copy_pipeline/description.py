"""The snapshot file of a copy, from its plan and its figures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from ... import VERSION
from ...ids import BlobId, FileId
from ...plan import CopyPlan
from ...repository.snapshot_file import SnapshotFile, Summary
from .comparison import PARTIAL
from .context import RootContext


def describe_copy(
    plan: CopyPlan,
    roots: Sequence[RootContext],
    *,
    tree: BlobId,
    parent: FileId | None,
    totals: Mapping[str, int],
    started_ns: int,
    ended_ns: int,
) -> SnapshotFile:
    """What is to be stored last. A copy with exceptions says so in a tag."""
    return SnapshotFile(
        time_ns=plan.taken_at_ns,
        tree=tree,
        paths=tuple(os.fsencode(root.stored_as) or b"/" for root in roots),
        hostname=plan.hostname,
        username=plan.username,
        tags=(*plan.tags, PARTIAL) if totals["exceptions"] else plan.tags,
        parent=parent,
        program_version=f"snapcopy {VERSION}",
        summary=Summary(
            backup_start_ns=started_ns,
            backup_end_ns=ended_ns,
            files_new=totals["files_new"],
            files_changed=totals["files_changed"],
            files_unmodified=totals["files_unmodified"],
            dirs_new=totals["dirs_new"],
            dirs_changed=totals["dirs_changed"],
            dirs_unmodified=totals["dirs_unmodified"],
            data_blobs=totals["data_blobs"],
            tree_blobs=totals["tree_blobs"],
            data_added=totals["bytes_new"],
            data_added_packed=totals["bytes_stored"],
            total_files_processed=totals["files_done"],
            total_bytes_processed=totals["bytes_done"],
        ),
    )
