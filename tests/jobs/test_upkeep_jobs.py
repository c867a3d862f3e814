"""Aging, pruning and verifying as whole jobs on real workers, judged by stock restic (RULES R4, R10, J1)."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from jobs.engine.repository.lock import locked
from jobs.engine.repository.repository import Repository
from jobs.models import BackupCopy, CopyState, Job, JobEvent, JobState, Snapshot
from jobs.selectors import jobs_needing_attention
from jobs.services import (
    acknowledge_source,
    launch_aging,
    launch_backup_copy,
    launch_prune,
    launch_restore,
    launch_snapshot,
    launch_verify,
)
from policies.models import AuditEntry, Copy, Media, Subclient
from policies.resolve import media_password, resolve_media
from tests.interop.restic import Restic
from tests.jobs.farm import PASSWORD, Farm, backup_copy_of, configure, picture, until, wait

pytestmark = pytest.mark.interop


@pytest.fixture
def subclient(transactional_db: None, tmp_path: Path) -> Subclient:
    made = configure(tmp_path)
    for number in range(10):
        (tmp_path / "source" / f"file-{number}").write_bytes(os.urandom(50_000))
    copy = backup_copy_of(made)
    Copy.objects.filter(pk=copy.pk).update(retention="basic", retention_days=1, retention_cycles=1)
    return made


def snap_and_copy(subclient: Subclient, *, level: str = "full", days_ago: float = 0) -> BackupCopy:
    """A snapshot and its backup copy; the clock of its row is put back."""
    assert wait(launch_snapshot(subclient, level=level)).state == JobState.COMPLETED, picture()
    snapshot = Snapshot.objects.latest("pk")
    Snapshot.objects.filter(pk=snapshot.pk).update(taken_at=timezone.now() - timedelta(days=days_ago))
    wait(launch_backup_copy(subclient))
    return BackupCopy.objects.get(snapshot=snapshot)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_R4_what_is_aged_is_pruned_and_the_rest_restores_identically(
    farm: Farm, subclient: Subclient, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    old = snap_and_copy(subclient, days_ago=9)
    for path in source.iterdir():
        path.write_bytes(os.urandom(50_000))
    kept = snap_and_copy(subclient)
    expected = contents(source)

    aging = wait(launch_aging())
    assert aging.state == JobState.COMPLETED, picture()
    assert aging.result["backup_copies"] == {"aged": 1, "cycles": 1}
    assert aging.result["aged_items"][0]["name"] == old.snapshot.name
    old.refresh_from_db()
    assert (old.state, old.forgotten_at) == (CopyState.AGED, None)

    media = Media.objects.get()
    before = media.stored_bytes or 0
    pruned = wait(launch_prune(media=media))
    assert pruned.state == JobState.COMPLETED, picture()
    assert (pruned.result["forgotten"], pruned.result["logical_bytes"]) == (1, 500_000)
    assert pruned.result["freed_bytes"] > 450_000
    old.refresh_from_db()
    media.refresh_from_db()
    assert old.forgotten_at is not None
    assert media.stored_bytes is not None
    assert media.stored_bytes < before - 400_000

    restic = Restic(repository=tmp_path / "media", password=PASSWORD)
    restic.judge()
    assert restic.run("list", "locks") == ""
    assert [one["id"] for one in restic.points()] == [kept.snapshot_file_id]
    assert wait(launch_restore(kept.snapshot, kept.copy, target=str(tmp_path / "back"))).state == JobState.COMPLETED, (
        picture()
    )
    assert contents(tmp_path / "back" / str(source)[1:]) == expected

    again = wait(launch_prune(media=media))
    assert (again.state, again.result["forgotten"], again.result["freed_bytes"]) == (JobState.COMPLETED, 0, 0)


def test_R4_files_of_others_in_the_repository_are_left_alone(farm: Farm, subclient: Subclient, tmp_path: Path) -> None:
    snap_and_copy(subclient, days_ago=9)
    snap_and_copy(subclient)
    restic = Restic(repository=tmp_path / "media", password=PASSWORD)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").write_text("not ours")
    restic.run("backup", str(tmp_path / "theirs"))
    wait(launch_aging())
    assert wait(launch_prune(media=Media.objects.get())).state == JobState.COMPLETED, picture()
    left = restic.points()
    assert len(left) == 2
    assert [str(tmp_path / "theirs")] in [one["paths"] for one in left]
    restic.judge()


def test_R4_a_file_that_a_recopy_replaced_goes_and_what_is_meant_stays(
    farm: Farm, subclient: Subclient, tmp_path: Path
) -> None:
    row = snap_and_copy(subclient)
    replaced = row.snapshot_file_id
    driver = resolve_media(row.media)
    with locked(Repository.open(driver, media_password(row.media)), exclusive=False):
        wait(launch_backup_copy(subclient, row.copy, snapshot=row.snapshot, recopy=True))
        until(lambda: JobEvent.objects.filter(code="former-left").exists(), what="it cannot be removed at once")
    driver.close()
    row.refresh_from_db()
    assert row.snapshot_file_id != replaced
    restic = Restic(repository=tmp_path / "media", password=PASSWORD)
    assert len(restic.points()) == 2
    restic.run("tag", "--add", "kept-by-hand", str(row.snapshot_file_id))

    held = wait(launch_prune(media=Media.objects.get()))
    assert held.result["replaced_forgotten"] == 0, "the file that the row means is not there under its id"
    assert len(restic.points()) == 2

    BackupCopy.objects.filter(pk=row.pk).update(
        snapshot_file_id=next(one["id"] for one in restic.points() if "kept-by-hand" in one["tags"])
    )
    done = wait(launch_prune(media=Media.objects.get()))
    assert (done.state, done.result["forgotten"], done.result["replaced_forgotten"]) == (JobState.COMPLETED, 0, 1)
    assert ["kept-by-hand" in one["tags"] for one in restic.points()] == [True]
    restic.judge()


def test_R4_a_prune_that_was_killed_after_it_forgot_does_the_rest_later(
    farm: Farm, subclient: Subclient, tmp_path: Path
) -> None:
    old = snap_and_copy(subclient, days_ago=9)
    snap_and_copy(subclient)
    wait(launch_aging())
    restic = Restic(repository=tmp_path / "media", password=PASSWORD)
    restic.run("forget", str(old.snapshot_file_id))
    done = wait(launch_prune(media=Media.objects.get()))
    assert (done.state, done.result["forgotten"]) == (JobState.COMPLETED, 0), picture()
    old.refresh_from_db()
    assert old.forgotten_at is not None
    restic.judge()


def test_a_verification_names_what_is_damaged_and_calls_for_a_person(
    farm: Farm, subclient: Subclient, tmp_path: Path
) -> None:
    snap_and_copy(subclient)
    media = Media.objects.get()
    fine = wait(launch_verify(media=media, percent=100))
    assert fine.state == JobState.COMPLETED, picture()
    assert (fine.result["ok"], fine.result["packs_read"]) == (True, fine.result["packs"])

    pack = max((tmp_path / "media" / "data").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    pack.chmod(0o600)
    with pack.open("r+b") as file:
        file.seek(1000)
        file.write(b"damage")
    bad = wait(launch_verify(media=media, percent=100))
    assert (bad.state, bad.error_code) == (JobState.FAILED, "verification-failed"), picture()
    assert bad.result["ok"] is False
    assert pack.name in bad.result["problems"][0]["name"]
    assert any(str(tmp_path / "source") in one["path"] for one in bad.result["touched"])
    assert bad in jobs_needing_attention()


def test_R10_a_source_that_lost_half_of_itself_ends_with_errors_and_stops_aging(
    farm: Farm, subclient: Subclient, tmp_path: Path
) -> None:
    snap_and_copy(subclient, days_ago=9)
    for number in range(6):
        (tmp_path / "source" / f"file-{number}").unlink()
    row = snap_and_copy(subclient)
    job = Job.objects.get(pk=row.job_id or 0)
    assert (row.state, job.state) == (CopyState.COPIED, JobState.COMPLETED_WITH_ERRORS), picture()
    assert "lost half" in job.exceptions.get().error
    subclient.refresh_from_db()
    assert subclient.aging_frozen_at is not None

    frozen = wait(launch_aging())
    assert frozen.result["frozen"] == [subclient.path]
    assert frozen.result["aged"] == 0
    acknowledge_source(subclient, user=None)
    assert "Acknowledged the source" in AuditEntry.objects.latest("pk").sentence
    assert wait(launch_aging()).result["backup_copies"]["aged"] == 1

    (tmp_path / "source" / "one-more").write_text("text")
    job = Job.objects.get(pk=snap_and_copy(subclient).job_id or 0)
    assert job.state == JobState.COMPLETED, "the smaller source is the measure from now on"
