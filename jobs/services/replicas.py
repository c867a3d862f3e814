"""Rows of secondary snap copies: which snapshots are to be sent, which is next, what jobs make of them (RULES B4, B5).

Launching is in :mod:`jobs.services.secondary`.
"""

from __future__ import annotations

from jobs.engine.snapshots.base import Capability
from jobs.engine.snapshots.registry import ENGINES
from jobs.models import CopyState, Snapshot, SnapshotReplica, SnapshotState
from jobs.rules import states
from jobs.rules.retry import MOST_COPY_FAILURES
from jobs.services.copy_states import GONE
from policies.models import Copy, CopyKind, FileServer, Subclient


def secondary_copies_of(subclient: Subclient) -> list[Copy]:
    """The active secondary snap copies of its policy; one that another feeds comes after it (RULES O3)."""
    found = Copy.objects.filter(policy=subclient.policy_id, kind=CopyKind.SECONDARY_SNAP, is_active=True)
    copies = found.select_related("target_server", "source__target_server", "policy").order_by("precedence")
    return sorted(copies, key=lambda copy: copy.source_id is not None)


def refresh_replicas(subclient: Subclient) -> None:
    """A row for every present snapshot towards every active secondary snap copy. Idempotent.

    Snapshots older than the newest that is there already stay behind: a gap is safe (RULES B5).
    """
    for copy in secondary_copies_of(subclient):
        newest = newest_replica(subclient, copy)
        missing = subclient.snapshots.filter(state=SnapshotState.PRESENT, aged_at__isnull=True)
        missing = missing.exclude(replicas__copy=copy)
        if newest is not None:
            missing = missing.filter(taken_at__gt=newest.snapshot.taken_at)
        SnapshotReplica.objects.bulk_create(
            [
                SnapshotReplica(snapshot=snapshot, copy=copy, file_server=target_of(copy))
                for snapshot in missing.order_by("taken_at", "pk")
            ],
            ignore_conflicts=True,
        )


def target_of(copy: Copy) -> FileServer:
    """Where a secondary snap copy's snapshots go. Raises ValueError for another kind of copy."""
    if copy.target_server is None:
        raise ValueError(f"{copy} is no secondary snap copy")
    return copy.target_server


def source_server_of(subclient: Subclient, copy: Copy) -> FileServer:
    """Whose engine a secondary snap copy is sent from: the subclient's own, or the target of the copy that feeds it."""
    fed_by = copy.source
    return target_of(fed_by) if fed_by is not None and fed_by.target_server is not None else subclient.file_server


def common_nodes(source: FileServer, target: FileServer) -> frozenset[str] | None:
    """Names of the access nodes that reach both storages; None = any node may. Empty = there is none."""
    lists = [set(server.access_nodes.values_list("name", flat=True)) for server in (source, target)]
    known = [names for names in lists if names]
    return frozenset(set.intersection(*known)) if known else None


def is_streamed(source: FileServer, target: FileServer) -> bool:
    """Whether snapshots go from a node of the one to a node of the other, since no node reaches both."""
    kind = ENGINES.get(source.engine)
    is_able = kind is not None and Capability.STREAM in kind.capabilities
    return is_able and source.engine == target.engine and common_nodes(source, target) == frozenset()


def newest_replica(subclient: Subclient, copy: Copy, *, before: Snapshot | None = None) -> SnapshotReplica | None:
    """The newest that is on the copy's present target: what the next transfer may start from."""
    rows = SnapshotReplica.objects.filter(
        snapshot__subclient=subclient, copy=copy, file_server=copy.target_server, state__in=states.ON_MEDIA
    )
    if before is not None:
        rows = rows.filter(snapshot__taken_at__lt=before.taken_at)
    return rows.select_related("snapshot", "file_server").order_by("-snapshot__taken_at", "-snapshot_id").first()


def next_replica(subclient: Subclient, copy: Copy, *, without: int | None = None) -> SnapshotReplica | None:
    """The oldest snapshot that waits and is where it is sent from (RULES B5)."""
    rows = SnapshotReplica.objects.filter(snapshot__subclient=subclient, copy=copy, state__in=states.WAITS)
    if copy.source is not None and copy.source.kind == CopyKind.SECONDARY_SNAP:
        there = SnapshotReplica.objects.filter(copy=copy.source, state__in=states.ON_MEDIA).values("snapshot")
        rows = rows.filter(snapshot__in=there)
    else:
        rows = rows.filter(snapshot__state=SnapshotState.PRESENT)
    if without is not None:
        rows = rows.exclude(pk=without)
    return rows.select_related("snapshot").order_by("snapshot__taken_at", "snapshot_id").first()


def mark_sending(replica: SnapshotReplica, *, job_id: int, base: SnapshotReplica | None) -> None:
    SnapshotReplica.objects.filter(pk=replica.pk).update(
        state=CopyState.COPYING, state_reason="", job_id=job_id, base=base
    )


def mark_not_sent(replica: SnapshotReplica, *, reason: str) -> None:
    """Killed, suspended or interrupted: it is still to be sent."""
    rows = SnapshotReplica.objects.filter(pk=replica.pk, state=CopyState.COPYING)
    rows.update(state=CopyState.TO_BE_COPIED, state_reason=reason)


def mark_replica_failed(replica: SnapshotReplica, *, reason: str, snapshot_is_gone: bool) -> bool:
    """Count the failure. True = it is passed over for good: newer ones go on (RULES B7)."""
    failures = replica.failures + 1
    is_over = snapshot_is_gone or failures >= MOST_COPY_FAILURES
    if is_over:
        reason = GONE if snapshot_is_gone else f"Failed {failures} times: {reason}"
    SnapshotReplica.objects.filter(pk=replica.pk).exclude(state__in=states.ON_MEDIA).update(
        state=CopyState.SKIPPED if is_over else CopyState.FAILED, state_reason=reason, failures=failures
    )
    return is_over
