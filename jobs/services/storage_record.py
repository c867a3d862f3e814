"""What is recorded of one storage: the snapshots of its subclients, and those that secondary copies sent there (V4)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from django.db.models import Q

from jobs.engine.ids import SnapshotName, job_of_snapshot
from jobs.models import CopyState, Job, Operation, Snapshot, SnapshotReplica, SnapshotState
from jobs.rules import states
from jobs.rules.reconciliation import Comparison, Recorded, compare
from jobs.selectors import active_jobs
from policies.models import FileServer

_STATES: Final = {
    SnapshotState.PRESENT: Recorded.THERE,
    SnapshotState.MISSING: Recorded.MISSING,
    SnapshotState.DELETING: Recorded.PASSING,
    SnapshotState.DELETED: Recorded.GONE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageRecord:
    """By name. ``others`` are of the installation, but not to be looked for on this storage.

    ``of_another_engine`` counts snapshots that the file server's present engine knows nothing of.
    """

    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    replicas: dict[str, SnapshotReplica] = field(default_factory=dict)
    states: dict[str, Recorded] = field(default_factory=dict)
    others: frozenset[str] = frozenset()
    of_another_engine: int = 0

    @property
    def expected(self) -> int:
        """How many should be there."""
        return sum(state is Recorded.THERE for state in self.states.values())

    def compared_with(self, listed: Collection[str]) -> Comparison:
        return compare(recorded=self.states, listed=listed, known_elsewhere=self.others)


def record_of(server: FileServer, *, listed: Collection[str]) -> StorageRecord:
    """Read after the storage was listed: what a job took meanwhile is then known, and what it takes now is passing.

    A deletion whose job ended without it counts as missing: if the snapshot is there, it is back.
    """
    alive = Q(subclient__file_server=server) & ~Q(state=SnapshotState.DELETED)
    snapshots = Snapshot.objects.filter(alive | Q(name__in=listed)).select_related("subclient__file_server")
    replicas = SnapshotReplica.objects.filter(file_server=server).filter(
        Q(snapshot__name__in=listed) | Q(state__in=states.ON_MEDIA) | Q(state=CopyState.SKIPPED)
    )
    replicas = replicas.select_related("snapshot__subclient__file_server", "copy__source", "file_server")
    busy = set(active_jobs().filter(replica__file_server=server).values_list("replica", flat=True))
    record = StorageRecord(
        snapshots={one.name: one for one in snapshots if _is_here(one, server)},
        replicas={one.snapshot.name: one for one in replicas},
        others=frozenset(one.name for one in snapshots if not _is_here(one, server)) | _being_taken(listed),
        of_another_engine=sum(
            one.subclient.file_server_id == server.pk and one.is_present and one.engine != server.engine
            for one in snapshots
        ),
    )
    for name, replica in record.replicas.items():
        record.states[name] = Recorded.PASSING if replica.pk in busy else _state_of(replica)
    going = active_jobs().filter(operation=Operation.DELETE_SNAPSHOT, snapshot__subclient__file_server=server)
    at_work = set(going.values_list("snapshot", flat=True))
    for name, snapshot in record.snapshots.items():
        is_left_half = snapshot.state == SnapshotState.DELETING and snapshot.pk not in at_work
        record.states[name] = Recorded.MISSING if is_left_half else _STATES[SnapshotState(snapshot.state)]
    return record


def orphans_of(job: Job) -> list[dict[str, object]]:
    """What a reconciliation found that nobody knew, and nobody knows yet. No query where there was nothing."""
    found: list[dict[str, object]] = list(job.result.get("unknown", []))
    if not found:
        return []
    names = [one["name"] for one in found]
    server = job.parameters.get("file_server")
    known = Snapshot.objects.filter(name__in=names, subclient__file_server=server).exclude(state=SnapshotState.DELETED)
    taken = set(known.values_list("name", flat=True))
    return [one for one in found if one["name"] not in taken]


def last_reconcile(server: FileServer) -> Job | None:
    """The newest that has something to say."""
    jobs = Job.objects.filter(operation=Operation.RECONCILE, parameters__file_server=server.pk)
    return jobs.filter(result__has_key="listed").order_by("-pk").first()


def _is_here(snapshot: Snapshot, server: FileServer) -> bool:
    return snapshot.subclient.file_server_id == server.pk and snapshot.engine == server.engine


def _state_of(replica: SnapshotReplica) -> Recorded:
    """A skipped one that was there once is one that went missing; one that never arrived says nothing."""
    if replica.state in states.ON_MEDIA:
        return Recorded.THERE
    if replica.state == CopyState.SKIPPED and replica.copied_at is not None:
        return Recorded.MISSING
    return Recorded.GONE if replica.deleted_at is not None else Recorded.PASSING


def _being_taken(names: Collection[str]) -> frozenset[str]:
    """A snapshot is on the storage a moment before its row is."""
    jobs = {name: job_of_snapshot(SnapshotName(name)) for name in names}
    active = set(active_jobs().filter(pk__in=jobs.values()).values_list("pk", flat=True))
    return frozenset(name for name, job in jobs.items() if job in active)
