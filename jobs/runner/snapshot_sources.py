"""Which snapshot a backup copy reads, and with what it may be compared: the primary, or a secondary snap copy (B6)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from jobs.engine.errors import SnapshotMissing
from jobs.engine.events import Level
from jobs.engine.snapshots.base import SnapshotEngine, SnapshotRef
from jobs.models import BackupCopy, CopyState, Job, Snapshot, SnapshotReplica
from jobs.rules import states
from jobs.rules.waiting import Source
from jobs.runner.references import ref_from_row, ref_of_replica
from jobs.runner.task import Task
from jobs.services.failures import SourceNotThere
from jobs.services.feeding import Supply, feed_of
from policies.models import Copy, Subclient
from policies.resolve import build_engine


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotSource:
    """An engine and the snapshot to be read on it. ``replica`` None = the primary snap copy."""

    engine: SnapshotEngine
    ref: SnapshotRef
    replica: SnapshotReplica | None = None

    def server_id(self, subclient: Subclient) -> int:
        """The file server it is read from."""
        return subclient.file_server_id if self.replica is None else self.replica.file_server_id

    def older(self, base: BackupCopy | None, held: Snapshot | None) -> SnapshotRef | None:
        """The base's snapshot on the same storage; ``held`` is that of the primary, if it may still be read."""
        if self.replica is None:
            return ref_from_row(held) if held is not None else None
        if base is None:
            return None
        there = SnapshotReplica.objects.filter(
            snapshot=base.snapshot_id,
            copy=self.replica.copy_id,
            file_server=self.replica.file_server_id,
            state__in=states.ON_MEDIA,
        )
        found = there.select_related("snapshot", "file_server").first()
        return ref_of_replica(found) if found is not None else None


def choose_source(task: Task, row: BackupCopy, subclient: Subclient, copy: Copy) -> SnapshotSource:
    """The source the policy names; the primary instead only where the policy allows it, and the job then says so.

    Raises SourceNotThere where it must be waited for.
    """
    feed = feed_of(row.snapshot, copy)
    if feed.supply is not Supply.READY and row.snapshot.is_present:
        raise SourceNotThere(feed.sentence)
    if feed.sentence and feed.supply is Supply.READY:
        is_instead = feed.source is Source.PRIMARY
        task.tell("copy-source", feed.sentence, level=Level.WARNING if is_instead else Level.INFO)
    if feed.replica is None:
        if copy.policy.backup_source is not None and not copy.policy.backup_source.is_active:
            name = copy.policy.backup_source.name
            task.tell("copy-source", f"The secondary snap copy {name} is switched off, so the primary is read.")
        return SnapshotSource(engine=build_engine(subclient.file_server), ref=ref_from_row(row.snapshot))
    Job.objects.filter(pk=task.job.pk).update(replica=feed.replica)
    return SnapshotSource(
        engine=build_engine(feed.replica.file_server), ref=ref_of_replica(feed.replica), replica=feed.replica
    )


class ReplicaMissing(SnapshotMissing):
    """The secondary snapshot was deleted outside; the primary may still be there."""


@contextmanager
def replica_losses(source: SnapshotSource) -> Iterator[None]:
    """A secondary snapshot that turns out to be gone is remembered as gone; the primary's row is left alone."""
    try:
        yield
    except SnapshotMissing as error:
        if source.replica is None or source.engine.exists(source.ref):
            raise
        SnapshotReplica.objects.filter(pk=source.replica.pk, state__in=states.ON_MEDIA).update(
            state=CopyState.SKIPPED, state_reason="The snapshot was deleted on the target."
        )
        raise ReplicaMissing(error.sentence, hint="Send the snapshot to the secondary snap copy again.") from error
