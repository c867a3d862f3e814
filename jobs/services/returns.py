"""Snapshots that were thought to be gone and are there, or were never heard of: their rows, and what waits again (V4).

The other direction is in :mod:`jobs.services.losses`. Nobody deletes anything here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from django.db import transaction

from jobs.engine.snapshots.base import SnapshotRef
from jobs.models import (
    BackupCopy,
    CatalogState,
    CopyState,
    Initiator,
    Level,
    Snapshot,
    SnapshotReplica,
    SnapshotState,
)
from jobs.services.copy_states import GONE
from jobs.services.selection import refresh_selection
from policies.models import CatalogMode, Subclient

PIN_REASON: Final = "imported from the storage"


def record_return(snapshot: Snapshot, *, pin_reason: str = "") -> list[str]:
    """It is on its storage after all: the row is right again, and what gave up waiting for it is decided anew (B4).

    ``pin_reason``: pin it, because a person asked for it back. Returns the names of the copies that may wait again.
    """
    with transaction.atomic():
        row = Snapshot.objects.select_for_update(of=("self",)).select_related("subclient__policy").get(pk=snapshot.pk)
        row.state, row.state_reason = SnapshotState.PRESENT, ""
        row.missing_at = row.deleted_at = row.aged_at = None
        row.aged_reason, row.deletion_failures = "", 0
        if row.catalog_state == CatalogState.AGED:
            row.catalog_state = _catalog_state(row.subclient)
        if pin_reason:
            row.is_pinned, row.pin_reason, row.pinned_until = True, pin_reason, None
        row.save()
        names = _wait_again(row)
        refresh_selection(row.subclient)
    return names


def record_replica_return(replica: SnapshotReplica) -> list[str]:
    """The same for a snapshot on a secondary storage: it is *copied* as it was."""
    with transaction.atomic():
        row = SnapshotReplica.objects.select_for_update(of=("self",)).select_related("snapshot").get(pk=replica.pk)
        row.state, row.state_reason = CopyState.COPIED, ""
        row.save(update_fields=["state", "state_reason"])
        names = _wait_again(row.snapshot)
        refresh_selection(row.snapshot.subclient)
    return names


def record_import(
    ref: SnapshotRef, subclient: Subclient, *, pin_reason: str = PIN_REASON, kept: dict[str, Any]
) -> Snapshot:
    """A snapshot that the database never heard of becomes one of ``subclient``: pinned, so that no rule deletes it.

    ``kept`` is what the row keeps of the driver's reference.
    """
    with transaction.atomic():
        snapshot = Snapshot.objects.create(
            subclient=subclient,
            name=ref.name,
            engine=ref.engine,
            ref=kept,
            content=list(ref.content),
            initiator=Initiator.PERSON,
            asked_level=Level.FULL,
            ran_level=Level.FULL,
            catalog_state=_catalog_state(subclient),
            is_pinned=True,
            pin_reason=pin_reason,
            exclusive_bytes=ref.exclusive_bytes,
            taken_at=datetime.fromtimestamp(ref.taken_at_ns / 1e9, tz=UTC),
        )
        refresh_selection(subclient)
    return snapshot


def _wait_again(snapshot: Snapshot) -> list[str]:
    """What was *skipped(missing)* only because it was gone: the rules decide it as if it had never been."""
    rows = BackupCopy.objects.filter(snapshot=snapshot, state=CopyState.SKIPPED, state_reason__startswith=GONE)
    replicas = SnapshotReplica.objects.filter(
        snapshot=snapshot, state=CopyState.SKIPPED, state_reason__startswith=GONE, copied_at__isnull=True
    )
    names = [*rows.values_list("copy__name", flat=True), *replicas.values_list("copy__name", flat=True)]
    rows.update(state=CopyState.NOT_SELECTED, state_reason="", failures=0)
    replicas.update(state=CopyState.TO_BE_COPIED, state_reason="", failures=0)
    return sorted(names)


def _catalog_state(subclient: Subclient) -> CatalogState:
    return CatalogState.SKIPPED if subclient.policy.catalog == CatalogMode.SKIP else CatalogState.PENDING
