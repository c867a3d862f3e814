"""Whole jobs through the services, the queue and real workers: snapshot, copy, restore, test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.models import BackupCopy, CopyState, Job, JobState, Snapshot
from jobs.services import launch_backup_copy, launch_restore, launch_snapshot, launch_test
from policies.models import Media, Secret, Subclient
from tests.interop.restic import Restic
from tests.jobs.farm import PASSWORD, Farm, configure, picture, wait


@pytest.fixture
def subclient(transactional_db: None, tmp_path: Path) -> Subclient:
    made = configure(tmp_path)
    for number in range(30):
        (tmp_path / "source" / f"file-{number}").write_bytes(os.urandom(5_000))
    return made


@pytest.mark.interop
def test_a_snapshot_is_copied_and_stock_restic_reads_it(farm: Farm, subclient: Subclient, tmp_path: Path) -> None:
    snapped = wait(launch_snapshot(subclient))
    assert (snapped.state, snapped.ran_level) == (JobState.COMPLETED, "full"), picture()
    assert "slots free" in snapped.node_reason
    assert [phase.name for phase in snapped.phases.all()] == ["prepare", "snapshot", "finish"]
    assert BackupCopy.objects.get().state == CopyState.TO_BE_COPIED

    copied = wait(launch_backup_copy(subclient))
    assert copied.state == JobState.COMPLETED, picture()
    row = BackupCopy.objects.get()
    assert (row.state, row.files, row.job_id) == (CopyState.COPIED, 30, copied.pk)
    assert copied.files_done == 30
    assert copied.percent == 100
    restic = Restic(repository=tmp_path / "media", password=PASSWORD)
    restic.judge()
    assert restic.run("list", "locks") == ""
    (found,) = restic.json("snapshots")
    assert found["id"] == row.snapshot_file_id
    assert found["hostname"] == "server-tree"

    restored = wait(launch_restore(row.snapshot, row.copy, target=str(tmp_path / "back")))
    assert restored.state == JobState.COMPLETED, picture()
    source = tmp_path / "source"
    for path in source.iterdir():
        assert (tmp_path / "back" / str(source)[1:] / path.name).read_bytes() == path.read_bytes()


def test_copy_now_takes_every_waiting_snapshot_oldest_first(farm: Farm, subclient: Subclient, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "source" / f"new-{number}").write_text(str(number))
        wait(launch_snapshot(subclient))
    first = wait(launch_backup_copy(subclient))
    second = wait(Job.objects.get(pk=first.result["next_job"]))
    third = wait(Job.objects.get(pk=second.result["next_job"]))
    names = list(Snapshot.objects.order_by("taken_at").values_list("name", flat=True))
    assert [job.snapshot.name for job in (first, second, third) if job.snapshot] == names
    assert [job.ran_level for job in (first, second, third)] == ["full", "incremental", "incremental"]
    assert third.bytes_read <= 10, "only the changed file is read"
    assert "next_job" not in third.result
    rows = BackupCopy.objects.order_by("snapshot__taken_at")
    assert [row.parent_id for row in rows] == [None, rows[0].pk, rows[1].pk]


def test_an_inline_policy_copies_within_the_snapshot_job(farm: Farm, transactional_db: None, tmp_path: Path) -> None:
    subclient = configure(tmp_path, is_inline=True)
    (tmp_path / "source" / "file").write_text("text")
    snapped = wait(launch_snapshot(subclient))
    child = snapped.children.get()
    assert (snapped.state, child.state, child.initiator) == (JobState.COMPLETED, JobState.COMPLETED, "inline"), (
        picture()
    )
    assert [phase.name for phase in snapped.phases.all()] == ["prepare", "snapshot", "copy", "finish"]
    assert child.finished_at
    assert snapped.finished_at
    assert child.finished_at <= snapped.finished_at


def test_B9_an_inline_copy_that_fails_does_not_fail_the_snapshot(
    farm: Farm, transactional_db: None, tmp_path: Path
) -> None:
    subclient = configure(tmp_path, is_inline=True)
    Secret.objects.all().delete()
    snapped = wait(launch_snapshot(subclient))
    child = snapped.children.get()
    assert child.state == JobState.FAILED, picture()
    assert child.error_code == "secret-missing"
    assert snapped.state == JobState.COMPLETED_WITH_ERRORS
    assert Snapshot.objects.get().is_present
    assert BackupCopy.objects.get().state == CopyState.FAILED


def test_a_snapshot_does_not_wait_for_an_inline_copy_that_is_put_off(
    farm: Farm, transactional_db: None, tmp_path: Path
) -> None:
    subclient = configure(tmp_path, is_inline=True)
    (tmp_path / "media").write_text("a file where the directory should be")
    snapped = wait(launch_snapshot(subclient))
    child = snapped.children.get()
    assert snapped.state == JobState.COMPLETED_WITH_ERRORS, picture()
    assert (child.state, child.error_code) == (JobState.PENDING, "media-unavailable")
    assert child.retry_at is not None
    assert BackupCopy.objects.get().state == CopyState.TO_BE_COPIED


def test_a_snapshot_deleted_outside_is_skipped_and_the_next_one_copied(
    farm: Farm, subclient: Subclient, tmp_path: Path
) -> None:
    gone = wait(launch_snapshot(subclient)).snapshot
    wait(launch_snapshot(subclient))
    assert gone is not None
    os.rename(tmp_path / "snapshots" / gone.name, tmp_path / "elsewhere")
    first = wait(launch_backup_copy(subclient))
    assert (first.state, first.error_code) == (JobState.FAILED, "snapshot-missing"), picture()
    second = wait(Job.objects.get(pk=first.result["next_job"]))
    assert second.state == JobState.COMPLETED
    states = list(BackupCopy.objects.order_by("snapshot__taken_at").values_list("state", flat=True))
    assert states == [CopyState.SKIPPED, CopyState.COPIED]


def test_a_test_reports_on_the_medium(farm: Farm, subclient: Subclient) -> None:
    media = Media.objects.get()
    job = wait(launch_test(media=media))
    assert job.state == JobState.COMPLETED, picture()
    media.refresh_from_db()
    assert media.last_test
    assert media.last_test["ok"]
    assert media.free_bytes
    wait(launch_test(file_server=subclient.file_server))
    subclient.file_server.refresh_from_db()
    assert subclient.file_server.last_test
    assert subclient.file_server.last_test["ok"]
