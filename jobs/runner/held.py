"""Opening a snapshot that is still on a storage, the first and cheapest that this node reaches (RULES V1)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from jobs.engine.errors import SnapshotMissing
from jobs.engine.plan import SourceRoot, StoredPath
from jobs.models import Snapshot
from jobs.restore_sources import sources_of
from jobs.rules.restore_source import SourceKind
from jobs.runner.references import ref_from_row, ref_of_replica
from policies.models import AccessNode
from policies.resolve import build_engine


@contextmanager
def open_held(snapshot: Snapshot, *, node: AccessNode | None) -> Iterator[tuple[SourceRoot, ...]]:
    """The snapshot's content paths, readable for the length of the context.

    Raises SnapshotMissing where it is gone, or no storage that holds it is reached; what its engine raises.
    """
    found = [one for one in sources_of(snapshot, node=node) if one.kind is not SourceKind.MEDIA]
    source = next((one for one in found if not one.candidate.obstacle), None)
    if source is None:
        why = "; ".join(one.candidate.obstacle for one in found)
        raise SnapshotMissing(f"{snapshot.name} cannot be read here{f': {why}' if why else ''}.")
    replica = source.replica
    server = replica.file_server if replica is not None else snapshot.subclient.file_server
    ref = ref_of_replica(replica) if replica is not None else ref_from_row(snapshot)
    with build_engine(server).open(ref) as roots:
        yield tuple(
            SourceRoot(directory=root.directory, stored_as=StoredPath(os.fsencode(root.content_path))) for root in roots
        )
