"""Deleting snapshots by a real node (RULES V4)."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.models import CopyState, Job, JobState, Operation, Snapshot, SnapshotState
from jobs.services import (
    CannotLaunch,
    launch_backup_copy,
    launch_restore,
    launch_snapshot,
    launch_snapshot_deletion,
    resubmit_job,
)
from jobs.services.deletion import explained_holds
from policies.models import AuditEntry, Subclient
from tests.factories import make_user
from tests.job_factories import make_job, make_snapshot
from tests.jobs.farm import Farm, configure, picture, wait


@pytest.fixture
def subclient(transactional_db: None, tmp_path: Path) -> Subclient:
    made = configure(tmp_path)
    (tmp_path / "source" / "one").write_text("one")
    return made


def test_a_copied_snapshot_is_deleted_and_its_copy_still_restores(
    farm: Farm, subclient: Subclient, tmp_path: Path
) -> None:
    wait(launch_snapshot(subclient))
    snapshot = Snapshot.objects.get()
    with pytest.raises(CannotLaunch, match="still to be copied"):
        launch_snapshot_deletion(snapshot)
    wait(launch_backup_copy(subclient))
    on_storage = list((tmp_path / "snapshots").rglob(f"{snapshot.name}*"))
    assert on_storage
    done = wait(launch_snapshot_deletion(snapshot))
    assert done.state == JobState.COMPLETED, picture()
    snapshot.refresh_from_db()
    assert snapshot.state == SnapshotState.DELETED
    assert list((tmp_path / "snapshots").rglob(f"{snapshot.name}*")) == []
    with pytest.raises(CannotLaunch, match="not on the storage any more"):
        resubmit_job(done)
    restored = wait(launch_restore(snapshot, target=str(tmp_path / "back")))
    assert restored.state == JobState.COMPLETED, picture()
    assert [path.read_text() for path in (tmp_path / "back").rglob("one")] == ["one"]
    (tmp_path / "source" / "two").write_text("two")
    wait(launch_snapshot(subclient))
    assert wait(launch_backup_copy(subclient)).state == JobState.COMPLETED, picture()


def test_a_snapshot_that_was_pinned_meanwhile_is_kept(subclient: Subclient, farm: Farm) -> None:
    wait(launch_snapshot(subclient))
    wait(launch_backup_copy(subclient))
    snapshot = Snapshot.objects.get()
    farm.stop("scheduler")
    farm.stop("node-one")
    job = launch_snapshot_deletion(snapshot)
    Snapshot.objects.update(is_pinned=True)
    farm.start_node()
    farm.start_scheduler()
    ended = wait(Job.objects.get(pk=job.pk))
    assert (ended.state, ended.error_code) == (JobState.FAILED, "snapshot-held"), picture()
    snapshot.refresh_from_db()
    assert snapshot.state == SnapshotState.PRESENT


def test_V4_a_held_snapshot_is_deleted_by_force_with_a_reason_that_stays(subclient: Subclient, farm: Farm) -> None:
    wait(launch_snapshot(subclient))
    snapshot = Snapshot.objects.get()
    Snapshot.objects.update(is_pinned=True)
    with pytest.raises(CannotLaunch, match="Say why"):
        launch_snapshot_deletion(snapshot, forced_reason=" ")
    user = make_user()
    job = wait(launch_snapshot_deletion(snapshot, forced_reason="the array is full", user=user))
    assert job.state == JobState.COMPLETED, picture()
    snapshot.refresh_from_db()
    reason = f"Deleted by {user}: the array is full"
    assert (snapshot.state, snapshot.state_reason) == (SnapshotState.DELETED, reason)
    row = snapshot.backup_copies.get()
    assert (row.state, row.state_reason) == (CopyState.SKIPPED, f"The snapshot is gone. {reason}")
    entry = AuditEntry.objects.get(user=user, sentence__contains="the array is full")
    assert "although it is pinned; it is still to be copied to backup" in entry.sentence


def test_V4_what_somebody_reads_is_not_deleted_by_force_either(subclient: Subclient, redis_url: str) -> None:
    snapshot = make_snapshot(subclient)
    make_job(operation=Operation.BACKUP_COPY, state=JobState.RUNNING, subclient=subclient, snapshot=snapshot)
    with pytest.raises(CannotLaunch, match="is in use: job"):
        launch_snapshot_deletion(snapshot, forced_reason="now")
    assert [hold.can_be_forced for hold in explained_holds(snapshot)] == [False]
