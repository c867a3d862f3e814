"""Opening a snapshot that is still on a storage, the first and cheapest that this node reaches (RULES V1)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.db import transaction

from jobs.engine.errors import SnapshotMissing
from jobs.engine.plan import SourceRoot, StoredPath
from jobs.models import Snapshot
from jobs.restore_sources import sources_of
from jobs.rules.restore_source import SourceKind
from jobs.runner.references import ref_from_row, ref_of_replica
from policies.models import AccessNode
from policies.resolve import build_engine

_TO_GO: Final = "the snapshot is to be deleted"


@contextmanager
def open_held(
    snapshot: Snapshot, *, node: AccessNode | None, but_no_aged: bool = False
) -> Iterator[tuple[SourceRoot, ...]]:
    """The snapshot's content paths, readable for the length of the context.

    ``but_no_aged``: not on its own storage if it was aged already, because its deletion waits for nobody.
    Raises SnapshotMissing where it is gone, or no storage that holds it is reached; what its engine raises.
    """
    found = [one for one in sources_of(snapshot, node=node) if one.kind is not SourceKind.MEDIA]
    is_to_go = but_no_aged and _is_aged(snapshot)
    obstacles = [
        one.candidate.obstacle or (_TO_GO if is_to_go and one.kind is SourceKind.SNAPSHOT else "") for one in found
    ]
    source = next((one for one, why in zip(found, obstacles, strict=True) if not why), None)
    if source is None:
        why = "; ".join(obstacles)
        raise SnapshotMissing(f"{snapshot.name} cannot be read here{f': {why}' if why else ''}.")
    replica = source.replica
    server = replica.file_server if replica is not None else snapshot.subclient.file_server
    ref = ref_of_replica(replica) if replica is not None else ref_from_row(snapshot)
    with build_engine(server).open(ref) as roots:
        yield tuple(
            SourceRoot(directory=root.directory, stored_as=StoredPath(os.fsencode(root.content_path))) for root in roots
        )


def _is_aged(snapshot: Snapshot) -> bool:
    """Locked for a moment, so that an aging which is about to say so is waited for."""
    with transaction.atomic():
        return Snapshot.objects.select_for_update(of=("self",)).get(pk=snapshot.pk).aged_at is not None
