"""Spool copies of a real btrfs volume: no snapshot is left, yet the next copy is incremental (RULES P1, B8)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.models import BackupCopy, Job, JobState, Snapshot, SnapshotState
from jobs.services import launch_backup_copy, launch_snapshot
from policies import services as configuration
from policies.models import Copy, Retention, Subclient
from tests.interop.restic import Restic
from tests.job_factories import make_node
from tests.jobs.farm import PASSWORD, configure, picture
from tests.jobs.here import run

FILES = 60


@pytest.fixture
def subclient(transactional_db: None, redis_url: str, tmp_path: Path, btrfs_mount: Path) -> Subclient:
    """A spool policy over a tree on btrfs."""
    make_node()
    source = btrfs_mount / "data"
    for number in range(FILES):
        folder = source / f"folder-{number % 5}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file-{number}").write_bytes(os.urandom(4000))
    made = configure(tmp_path)
    Copy.objects.filter(policy=made.policy, kind="primary_snap").update(retention=Retention.SPOOL)
    server = configuration.create_file_server(
        name="volume", engine="btrfs", options={"volume": str(btrfs_mount)}, user=None
    )
    return configuration.create_subclient(
        file_server=server, name="data", content_paths=[str(source)], policy=made.policy, user=None
    )


def change(subclient: Subclient, number: int) -> None:
    """One file changed, one deleted, one new, one renamed."""
    source = Path(subclient.content_paths[0])
    (source / "folder-0" / "file-0").write_bytes(os.urandom(4000))
    (source / "folder-1" / f"file-{1 + 5 * number}").unlink()
    (source / "folder-2" / f"new-{number}").write_bytes(os.urandom(4000))
    (source / "folder-3" / f"file-{3 + 5 * number}").rename(source / "folder-4" / f"moved-{number}")


def snap_and_copy(subclient: Subclient) -> Job:
    run(launch_snapshot(subclient))
    job = run(launch_backup_copy(subclient))
    assert job.state == JobState.COMPLETED, picture()
    return job


@pytest.mark.interop
def test_P1_B8_S5_after_a_spool_the_next_copy_compares_with_the_medium(subclient: Subclient, tmp_path: Path) -> None:
    jobs = [snap_and_copy(subclient)]
    for number in range(3):
        change(subclient, number)
        jobs.append(snap_and_copy(subclient))
    assert not Snapshot.objects.filter(state=SnapshotState.PRESENT).exists(), picture()
    assert [job.ran_level for job in jobs] == ["full", *["incremental"] * 3]
    assert [(job.files_new, job.files_changed) for job in jobs[1:]] == [(2, 1)] * 3, picture()
    assert all(job.bytes_read <= 3 * 4000 for job in jobs[1:]), "only what changed is read"
    restic = Restic(repository=tmp_path / "media", password=PASSWORD)
    restic.judge()
    newest = BackupCopy.objects.order_by("-pk")[0]
    back = tmp_path / "back"
    restic.run("restore", str(newest.snapshot_file_id), "--target", str(back))
    source = Path(subclient.content_paths[0])
    expected = {path.relative_to(source): path.read_bytes() for path in source.rglob("*") if path.is_file()}
    restored = back / str(source)[1:]
    assert {path.relative_to(restored): path.read_bytes() for path in restored.rglob("*") if path.is_file()} == expected


def test_R6_with_retention_the_base_stays_and_the_engine_tells_what_changed(subclient: Subclient) -> None:
    Copy.objects.filter(kind="primary_snap").update(retention=Retention.INFINITE)
    first = snap_and_copy(subclient)
    change(subclient, 0)
    second = snap_and_copy(subclient)
    assert Snapshot.objects.filter(state=SnapshotState.PRESENT).count() == 2
    assert "changed paths from the file system" in str(second.result["source"]), second.result
    assert (first.ran_level, second.ran_level) == ("full", "incremental")
    assert second.files_changed == 1
