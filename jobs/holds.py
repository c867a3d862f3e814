"""What holds snapshots back from deletion, for many at once (RULES R5, R6, V4): the one truth of all who ask.

Aging, the pages and the deletion itself read it here; :func:`jobs.selectors.holds_on` is the same for one snapshot.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import F, Q
from django.utils import timezone

from jobs.engine.snapshots.base import Capability
from jobs.engine.snapshots.registry import ENGINES
from jobs.models import BackupCopy, CopyState, Job, MountState, Operation, Snapshot, SnapshotMount, SnapshotReplica
from jobs.rules import states
from jobs.rules.holds import Hold
from policies.models import Copy, CopyKind
from policies.models.policy_choices import BACKUP_KINDS, Retention

AWAITED: Final = (*states.WAITS, CopyState.CANDIDATE, CopyState.COPYING)
"""RULES R5: in these states a snapshot is held for its copy."""

_COMPARING: Final = frozenset({Capability.DIFF, Capability.KEEPS_BASE_SNAPSHOT})
_READS_SOMETHING_ELSE: Final = (
    Q(operation=Operation.RESTORE) & (Q(backup_copy__isnull=False) | Q(replica__isnull=False))
) | Q(operation=Operation.BACKUP_COPY, copy__source__kind__in=BACKUP_KINDS)
"""A restore from media or from a replica, and a copy that another backup copy feeds: the primary may lose its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """``sentence`` is a part of one, without capital and full stop: “it is pinned”."""

    hold: Hold
    sentence: str


def holds_of(snapshots: Iterable[Snapshot], *, now: datetime | None = None) -> dict[int, list[Held]]:
    """By snapshot id; what is not held is missing. A handful of queries, however many snapshots are given."""
    known = list(snapshots)
    now = now or timezone.now()
    held: dict[int, list[Held]] = defaultdict(list)
    for snapshot in known:
        if snapshot.is_pinned and (snapshot.pinned_until is None or snapshot.pinned_until > now):
            why = f" ({snapshot.pin_reason})" if snapshot.pin_reason else ""
            held[snapshot.pk].append(Held(hold=Hold.PINNED, sentence=f"it is pinned{why}"))
    ids = [snapshot.pk for snapshot in known]
    subclients = {snapshot.subclient_id for snapshot in known}
    bases = (_bases(subclients), _bases_of_transfers(subclients))
    for found in (_mounted(ids), _awaited(ids), *bases, _in_use(ids, subclients)):
        for snapshot_id, one in found:
            held[snapshot_id].append(one)
    return {snapshot_id: held[snapshot_id] for snapshot_id in ids if snapshot_id in held}


def _mounted(ids: list[int]) -> Iterator[tuple[int, Held]]:
    """R6, P7: people read it on a node."""
    mounts = SnapshotMount.objects.filter(snapshot__in=ids).exclude(state=MountState.UNMOUNTED)
    for snapshot_id, node in mounts.values_list("snapshot", "node_label"):
        yield snapshot_id, Held(hold=Hold.MOUNTED, sentence=f"it is mounted on {node}")


def _awaited(ids: list[int]) -> Iterator[tuple[int, Held]]:
    """R5: copies that still read it. What another backup copy feeds does not."""
    rows = (
        BackupCopy.objects.filter(snapshot__in=ids, copy__is_active=True, state__in=AWAITED)
        .exclude(copy__source__kind__in=BACKUP_KINDS)
        .order_by("snapshot_id", "copy__precedence")
    )
    replicas = SnapshotReplica.objects.filter(snapshot__in=ids, copy__is_active=True, state__in=AWAITED)
    for query in (rows, replicas):
        for snapshot_id, name in query.values_list("snapshot", "copy__name"):
            yield snapshot_id, Held(hold=Hold.NOT_COPIED, sentence=f"it is still to be copied to {name}")


def _bases(subclients: set[int]) -> Iterator[tuple[int, Held]]:
    """R6: the newest copied one, where the engine tells what changed since. A spool keeps none but its own (P)."""
    engines = [kind.name for kind in ENGINES.values() if kind.capabilities & _COMPARING]
    spools = Copy.objects.filter(kind=CopyKind.PRIMARY_SNAP, retention=Retention.SPOOL).values("policy")
    newest = (
        BackupCopy.objects.filter(
            snapshot__subclient__in=subclients,
            snapshot__engine__in=engines,
            state__in=states.ON_MEDIA,
            copy__is_active=True,
            copy__policy=F("snapshot__subclient__policy"),
            copy__media=F("media"),
            copy__policy__backup_source__isnull=True,
        )
        .exclude(copy__source__kind__in=BACKUP_KINDS)
        .exclude(copy__policy__in=spools)
        .order_by("snapshot__subclient_id", "copy_id", "-snapshot__taken_at", "-snapshot_id")
        .distinct("snapshot__subclient_id", "copy_id")
    )
    for snapshot_id, name in newest.values_list("snapshot", "copy__name"):
        yield snapshot_id, Held(hold=Hold.BASE, sentence=f"the next copy to {name} is compared with it")


def _bases_of_transfers(subclients: set[int]) -> Iterator[tuple[int, Held]]:
    """The newest that both storages have, where the engine sends only the difference. Of a spool, too (P7)."""
    engines = [kind.name for kind in ENGINES.values() if Capability.SENDS_DIFFERENCE in kind.capabilities]
    newest = (
        SnapshotReplica.objects.filter(
            snapshot__subclient__in=subclients,
            snapshot__engine__in=engines,
            state__in=states.ON_MEDIA,
            copy__is_active=True,
            copy__source__isnull=True,
            copy__policy=F("snapshot__subclient__policy"),
            copy__target_server=F("file_server"),
        )
        .order_by("snapshot__subclient_id", "copy_id", "-snapshot__taken_at", "-snapshot_id")
        .distinct("snapshot__subclient_id", "copy_id")
    )
    for snapshot_id, name in newest.values_list("snapshot", "copy__name"):
        yield snapshot_id, Held(hold=Hold.BASE, sentence=f"the next transfer to {name} starts from it")


def _in_use(ids: list[int], subclients: set[int]) -> Iterator[tuple[int, Held]]:
    """A snapshot job that launched its inline copies has done its own part, be they over before it awaits them.

    What was aged before a copy began is not compared with: the copy looks at its parent on the medium instead.
    """
    drills = Q(operation=Operation.DRILL, subclient__in=subclients)
    jobs = Job.objects.filter(Q(snapshot__in=ids) | drills, state__in=states.ACTIVE, awaits_children=False)
    jobs = jobs.exclude(operation__in=(Operation.MOUNT, Operation.UNMOUNT))
    jobs = jobs.exclude(operation=Operation.SNAPSHOT, children__isnull=False)
    jobs = jobs.exclude(_READS_SOMETHING_ELSE)
    found = jobs.order_by("pk").values_list("pk", "operation", "snapshot", "parameters__backup_copies")
    for job, operation, snapshot_id, drilled in found:
        is_drill = operation == Operation.DRILL
        for used in _drilled(drilled or [], ids) if is_drill else (snapshot_id,):
            yield used, Held(hold=Hold.RUNNING, sentence=f"job {job} works on it")
    compared = BackupCopy.objects.filter(
        state=CopyState.COPYING, parent__snapshot__in=ids, parent__snapshot__aged_at__isnull=True
    )
    for snapshot_id, job in compared.order_by("pk").values_list("parent__snapshot", "job"):
        yield snapshot_id, Held(hold=Hold.RUNNING, sentence=f"job {job} compares with it")


def _drilled(rows: list[int], ids: list[int]) -> Iterable[int]:
    """The snapshots of all backup copies that are drilled. A drill looks at none that was aged before it began."""
    compared = BackupCopy.objects.filter(pk__in=rows, snapshot__in=ids, snapshot__aged_at__isnull=True)
    return compared.order_by("snapshot").values_list("snapshot", flat=True).distinct()
