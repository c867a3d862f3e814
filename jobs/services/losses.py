"""Snapshots that are gone from their storage: their rows, and the copies that were still to be made (RULES S6, B7)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from django.db import transaction

from jobs.models import BackupCopy, CopyState, Mark, Snapshot, SnapshotReplica, SnapshotState
from jobs.rules import states
from jobs.services.copy_states import GONE
from jobs.services.feeding import Supply, feed_of
from policies.models import CopyKind

AWAITED: Final = (*states.WAITS, CopyState.CANDIDATE)
"""States towards a copy that a snapshot can still be waited for in; what is being copied settles itself."""

_CLEARED: Final = {
    SnapshotState.MISSING: {"deleted_at": None},
    SnapshotState.DELETED: {"missing_at": None},
}


def record_losses(
    snapshots: Iterable[int], *, state: SnapshotState, reason: str, now: datetime
) -> dict[int, list[str]]:
    """Snapshots that were deleted by something, or found to be missing: rows, and what waited for them is given up.

    A copy that reads them from elsewhere goes on. Returns the names of the copies that were given up, by snapshot.
    """
    moment = "missing_at" if state == SnapshotState.MISSING else "deleted_at"
    given_up: dict[int, list[str]] = {}
    with transaction.atomic():
        gone = Snapshot.objects.select_for_update(of=("self",)).filter(pk__in=list(snapshots)).order_by("pk")
        for snapshot in gone:
            Snapshot.objects.filter(pk=snapshot.pk).update(
                state=state, state_reason=reason, **(_CLEARED[state] | {moment: now})
            )
            snapshot.state = state
            given_up[snapshot.pk] = give_up_copies(snapshot, reason=reason)
    return given_up


def give_up_copies(snapshot: Snapshot, *, reason: str) -> list[str]:
    """RULES B7: *skipped(missing)* wherever the snapshot can never come from any more; the names of those copies."""
    reason = f"{GONE} {reason}".strip()
    names = []
    replicas = snapshot.replicas.filter(state__in=AWAITED).select_related("copy__source", "snapshot")
    for replica in sorted(replicas, key=lambda one: one.copy.source_id is not None):
        if not _comes_from_another(replica):
            SnapshotReplica.objects.filter(pk=replica.pk).update(
                state=CopyState.SKIPPED, state_reason=reason, mark=Mark.NONE
            )
            names.append(replica.copy.name)
    rows = snapshot.backup_copies.filter(state__in=AWAITED)
    rows = rows.select_related("copy__source", "copy__policy__backup_source")
    for row in sorted(rows, key=lambda one: (one.copy.kind == CopyKind.SECONDARY_BACKUP, one.copy.precedence)):
        if feed_of(snapshot, row.copy).supply is Supply.NEVER:
            BackupCopy.objects.filter(pk=row.pk).update(
                state=CopyState.SKIPPED, state_reason=reason, mark=Mark.NONE, due_at=None, selected_at=None
            )
            names.append(row.copy.name)
    return names


def _comes_from_another(replica: SnapshotReplica) -> bool:
    """The primary has it, or it is sent on from a secondary snap copy that has it, or is getting it."""
    source = replica.copy.source
    if source is None or source.kind != CopyKind.SECONDARY_SNAP:
        return replica.snapshot.is_present
    there = SnapshotReplica.objects.filter(snapshot=replica.snapshot_id, copy=source)
    return there.filter(state__in=(*states.ON_MEDIA, *AWAITED, CopyState.COPYING)).exists()
