"""Deleting snapshots by a real node (RULES V4)."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.models import Job, JobState, Snapshot, SnapshotState
from jobs.services import (
    CannotLaunch,
    launch_backup_copy,
    launch_restore,
    launch_snapshot,
    launch_snapshot_deletion,
    resubmit_job,
)
from policies.models import Subclient
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
