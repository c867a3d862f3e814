"""A driver's reference to its snapshot, to the row and back."""

from __future__ import annotations

import os
from collections.abc import Iterable

from jobs.engine.ids import SnapshotName
from jobs.engine.plan import SourceRoot, StoredPath
from jobs.engine.snapshots.base import SnapshotRef, SnapshotRoot
from jobs.models import Snapshot, SnapshotReplica


def ref_to_json(ref: SnapshotRef) -> dict[str, object]:
    """What the row keeps of the driver's reference."""
    return {
        "taken_at_ns": ref.taken_at_ns,
        "handle": ref.handle,
        "warnings": list(ref.warnings),
    }


def ref_from_row(snapshot: Snapshot) -> SnapshotRef:
    """The reference as the driver made it; ``taken_at`` of the row keeps microseconds only."""
    kept = snapshot.ref
    return SnapshotRef(
        name=SnapshotName(snapshot.name),
        engine=snapshot.engine,
        taken_at_ns=int(kept["taken_at_ns"]),
        content=tuple(snapshot.content),
        handle={str(key): str(value) for key, value in kept["handle"].items()},
        exclusive_bytes=snapshot.exclusive_bytes,
        warnings=tuple(kept["warnings"]),
    )


def ref_of_replica(replica: SnapshotReplica) -> SnapshotRef:
    """The reference of the target's engine to its copy of the snapshot."""
    snapshot, kept = replica.snapshot, replica.ref
    return SnapshotRef(
        name=SnapshotName(snapshot.name),
        engine=replica.file_server.engine,
        taken_at_ns=int(kept["taken_at_ns"]),
        content=tuple(snapshot.content),
        handle={str(key): str(value) for key, value in kept["handle"].items()},
        warnings=tuple(kept["warnings"]),
    )


def source_roots(opened: Iterable[SnapshotRoot]) -> list[SourceRoot]:
    """The roots of an opened snapshot as operations read them."""
    return [
        SourceRoot(directory=root.directory, stored_as=StoredPath(os.fsencode(root.content_path)), origins=root.origins)
        for root in opened
    ]
