"""Rows of the work for tests: jobs in any state, snapshots and backup copies, without running anything."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from jobs.models import BackupCopy, CopyState, Job, JobState, Operation, Snapshot
from jobs.rules import states
from policies.models import AccessNode, Copy, Installation, Subclient

_LEASE = {"lease_node": "one", "lease_pid": 1, "lease_boot_id": "boot"}


def make_job(*, operation: str = Operation.SNAPSHOT, state: str = JobState.QUEUED, **values: Any) -> Job:
    """A job that satisfies every constraint of its state; ``values`` override."""
    now = timezone.now()
    if subclient := values.get("subclient"):
        values.setdefault("subclient_label", subclient.path)
        values.setdefault("file_server_label", subclient.file_server.name)
    if copy := values.get("copy"):
        values.setdefault("copy_label", str(copy))
        values.setdefault("media_label", copy.media.name if copy.media else "")
    if node := values.get("node"):
        values.setdefault("node_label", node.name)
    if state == JobState.QUEUED:
        values.setdefault("queued_at", now)
        if "node" not in values:
            values["node"] = make_node()
    if state not in states.UNSTARTED:
        values.setdefault("started_at", now - timedelta(seconds=5))
    if state == JobState.RUNNING:
        values = {"heartbeat_at": now, **_LEASE, **values}
    if state in states.FINAL:
        values.setdefault("finished_at", now)
    return Job.objects.create(operation=operation, state=state, **values)


def make_node(*, name: str = "one", is_online: bool = True, **values: Any) -> AccessNode:
    """An access node by name, created once; online unless told otherwise, and as long as a test may take."""
    seen: datetime | None = timezone.now() + timedelta(minutes=5) if is_online else None
    defaults = {
        "last_seen_at": seen,
        "cores": 2,
        "load_1m": 0.1,
        "memory_total_bytes": 2**32,
        "memory_free_bytes": 2**31,
    }
    return AccessNode.objects.update_or_create(name=name, defaults=defaults | values)[0]


def make_snapshot(subclient: Subclient, *, n: int = 0, job: Job | None = None, **values: Any) -> Snapshot:
    """The ``n``-th snapshot row of a subclient, an hour after the one before."""
    install = Installation.objects.get().install_id
    job = job or make_job(subclient=subclient, state=JobState.COMPLETED)
    values.setdefault("taken_at", timezone.now() - timedelta(days=1) + timedelta(hours=n))
    values.setdefault("engine", subclient.file_server.engine)
    values.setdefault("content", subclient.content_paths)
    return Snapshot.objects.create(subclient=subclient, job=job, name=f"sc-{install}-{job.pk}-{n + 1}", **values)


def make_backup_copy(snapshot: Snapshot, copy: Copy, *, state: str = CopyState.COPIED, **values: Any) -> BackupCopy:
    """The row of a snapshot towards a copy; on media unless another state is given."""
    if state in states.ON_MEDIA:
        figures = {"files": 100, "logical_bytes": 10**6, "new_bytes": 10**5, "stored_bytes": 5 * 10**4}
        on_media = {"snapshot_file_id": f"{snapshot.pk:064x}", "tree_id": "f" * 64, "copied_at": timezone.now()}
        values = {**figures, **on_media, **values}
    if state == CopyState.PARTIAL:
        values.setdefault("exceptions", 1)
    assert copy.media is not None, "only backup copies hold backup copies"
    return BackupCopy.objects.create(snapshot=snapshot, copy=copy, media=copy.media, state=state, **values)
