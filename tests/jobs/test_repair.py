"""Repair jobs: what is damaged comes back from other media and held snapshots, the rest is named and marked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.engine.plan import Secret
from jobs.models import BackupCopy, DamagedPath, Job, JobState, Operation, Snapshot
from jobs.selectors import jobs_needing_attention
from jobs.services import (
    launch_backup_copy,
    launch_repair,
    launch_restore,
    launch_snapshot,
    launch_verify,
    resubmit_job,
)
from jobs.services.damage import damaged_copies
from policies import services as configuration
from policies.models import AuditEntry, Copy, Media, Subclient
from policies.secrets import REPOSITORY_PASSWORD
from tests.interop.restic import Restic
from tests.job_factories import make_node
from tests.jobs.farm import PASSWORD, backup_copy_of, configure, picture
from tests.jobs.here import run, work_off

pytestmark = pytest.mark.interop
DAMAGED_BASE = "The last backup copy is damaged: everything is read again."


@pytest.fixture
def subclient(transactional_db: None, redis_url: str, tmp_path: Path) -> Subclient:
    make_node(name="here")
    made = configure(tmp_path)
    for number in range(10):
        (tmp_path / "source" / f"file-{number}").write_bytes(os.urandom(50_000))
    return made


def snap_and_copy(subclient: Subclient) -> BackupCopy:
    assert run(launch_snapshot(subclient)).state == JobState.COMPLETED, picture()
    assert run(launch_backup_copy(subclient)).state == JobState.COMPLETED, picture()
    return BackupCopy.objects.latest("pk")


def medium() -> Media:
    return Media.objects.get(name="disk-tree")


def packs(folder: Path) -> list[Path]:
    """The smallest first: trees, then data."""
    found = (path for path in (folder / "data").rglob("*") if path.is_file())
    return sorted(found, key=lambda path: path.stat().st_size)


def damage(pack: Path) -> None:
    pack.chmod(0o600)
    with pack.open("r+b") as file:
        file.seek(1000)
        file.write(b"damage")


def verified(*, percent: float = 100) -> Job:
    return run(launch_verify(media=medium(), percent=percent))


def judge(folder: Path) -> None:
    """Stock ``restic check --read-data`` finds nothing wrong."""
    Restic(repository=folder, password=PASSWORD).judge()


def test_a_damaged_pack_comes_back_from_the_held_snapshot_and_restic_finds_nothing_wrong(
    subclient: Subclient, tmp_path: Path
) -> None:
    row = snap_and_copy(subclient)
    (tmp_path / "source" / "file-1").write_bytes(b"changed since")
    damage(packs(tmp_path / "media")[-1])
    failed = verified()
    assert failed.state == JobState.FAILED, picture()
    assert damaged_copies(medium()).get() == row

    job = run(launch_repair(media=medium()))
    assert job.state == JobState.COMPLETED, picture()
    assert (job.result["ok"], job.result["packs_removed"], job.result["blobs_lost"]) == (True, 1, 0)
    assert job.result["brought"] == [{"source": "held snapshots", "blobs": job.result["blobs_back"]}]
    assert not damaged_copies(medium()).exists()
    assert not DamagedPath.objects.exists()
    assert not jobs_needing_attention().filter(pk=failed.pk).exists(), "what was found is repaired"
    judge(tmp_path / "media")
    assert run(launch_restore(row.snapshot, row.copy, target=str(tmp_path / "back"))).state == JobState.COMPLETED
    assert AuditEntry.objects.filter(sentence__startswith="Repair of the medium disk-tree").exists()


def test_what_is_lost_comes_back_from_the_medium_of_another_copy_with_the_folders(
    subclient: Subclient, tmp_path: Path
) -> None:
    other = configuration.create_media(
        name="other",
        kind="disk",
        options={"path": str(tmp_path / "other"), "create_directory": True, "fsync": False},
        secrets={REPOSITORY_PASSWORD: Secret("another")},
        user=None,
    )
    configuration.create_copy(
        subclient.policy,
        name="second",
        kind="secondary_backup",
        source=backup_copy_of(subclient),
        media=other,
        user=None,
    )
    row = snap_and_copy(subclient)
    run(launch_backup_copy(subclient, Copy.objects.get(name="second")))
    assert BackupCopy.objects.filter(media=other, state="copied").exists(), picture()
    Snapshot.objects.update(state="deleted")
    for pack in packs(tmp_path / "media"):
        pack.unlink()
    assert verified(percent=0).state == JobState.FAILED

    job = run(launch_repair(media=medium()))
    assert (job.state, job.result["blobs_lost"]) == (JobState.COMPLETED, 0), picture()
    assert [one["source"] for one in job.result["brought"]] == ["the medium other"]
    judge(tmp_path / "media")
    row.refresh_from_db()
    assert not row.is_damaged


def test_what_no_place_has_is_named_with_its_paths_and_marked_at_the_copies(
    subclient: Subclient, tmp_path: Path
) -> None:
    row = snap_and_copy(subclient)
    Snapshot.objects.update(state="deleted")
    damage(packs(tmp_path / "media")[-1])
    verified()
    job = run(launch_repair(media=medium()))
    assert (job.state, job.error_code) == (JobState.FAILED, "repair-incomplete"), picture()
    lost = [one["path"] for one in job.result["touched"]]
    assert lost
    assert all(path.startswith(str(tmp_path / "source" / "file-")) for path in lost)
    assert job.result["packs_removed"] == 1, "what was whole in it is in another pack now"
    row.refresh_from_db()
    assert row.damaged_files == len(lost)
    assert set(DamagedPath.objects.values_list("display_path", "tried_in")) == {(path, job.pk) for path in lost}
    assert job.result["not_copied_again"] == [
        f"{row.snapshot.name} cannot be copied to {row.copy.name} again: it is gone."
    ]
    assert job in jobs_needing_attention()
    back = run(launch_restore(row.snapshot, row.copy, target=str(tmp_path / "back")))
    assert back.state == JobState.COMPLETED_WITH_ERRORS
    assert back.exceptions_count == len(lost), "the others restore as before"


def test_lost_folders_are_copied_again_from_the_snapshot_and_what_that_replaced_is_gone(
    subclient: Subclient, tmp_path: Path
) -> None:
    first = snap_and_copy(subclient)
    (tmp_path / "source" / "file-1").write_bytes(os.urandom(60_000))
    second = snap_and_copy(subclient)
    assert second.parent == first
    for pack in packs(tmp_path / "media"):
        pack.unlink()
    assert verified(percent=0).state == JobState.FAILED
    before = second.snapshot_file_id

    job = launch_repair(media=medium())
    done = work_off()
    job.refresh_from_db()
    assert (job.state, job.result["copied_again"]) == (JobState.FAILED, 2), picture()
    assert "made again" in job.error_sentence
    copies = [one for one in done if one.operation == Operation.BACKUP_COPY]
    assert [one.pk for one in copies][:1] == job.result["copied_again_jobs"]
    assert {one.state for one in copies} == {JobState.COMPLETED}, picture()
    second.refresh_from_db()
    assert second.snapshot_file_id != before
    assert not second.is_damaged
    assert not DamagedPath.objects.exclude(backup_copies=[]).exists()
    assert verified().state == JobState.COMPLETED, picture()
    assert job not in jobs_needing_attention()
    judge(tmp_path / "media")


def test_a_snapshot_file_that_is_gone_is_written_again_under_another_id(subclient: Subclient, tmp_path: Path) -> None:
    row = snap_and_copy(subclient)
    (tmp_path / "media" / "snapshots" / str(row.snapshot_file_id)).unlink()
    assert verified(percent=0).state == JobState.FAILED
    job = run(launch_repair(media=medium()))
    assert (job.state, job.result["files_written_again"]) == (JobState.COMPLETED, 1), picture()
    old, tree = row.snapshot_file_id, row.tree_id
    row.refresh_from_db()
    assert row.snapshot_file_id != old
    (there,) = Restic(repository=tmp_path / "media", password=PASSWORD).json("snapshots")
    assert (there["id"], there["tree"]) == (row.snapshot_file_id, tree)
    assert f"snapshot={row.snapshot.name}" in there["tags"]
    judge(tmp_path / "media")


def test_a_source_that_cannot_be_read_is_told_and_passed_over(subclient: Subclient, tmp_path: Path) -> None:
    snap_and_copy(subclient)
    server = subclient.file_server
    server.access_nodes.set([make_node(name="elsewhere", is_online=False)])
    damage(packs(tmp_path / "media")[-1])
    verified()
    job = run(launch_repair(media=medium(), copy_again=False))
    assert (job.state, job.result["copied_again"]) == (JobState.FAILED, 0), picture()
    told = " ".join(job.events.values_list("sentence", flat=True))
    assert "was passed over" in told
    assert "the node here does not reach the storage of server-tree" in told

    server.access_nodes.clear()
    again = run(resubmit_job(job))
    assert again.state == JobState.COMPLETED, picture()
    judge(tmp_path / "media")


def test_a_recopy_before_the_repair_does_not_pass_for_whole(subclient: Subclient, tmp_path: Path) -> None:
    row = snap_and_copy(subclient)
    damage(packs(tmp_path / "media")[-1])
    verified()
    assert run(launch_backup_copy(subclient, row.copy, snapshot=row.snapshot, recopy=True)).state == JobState.COMPLETED
    assert damaged_copies(medium()).get() == row, "it refers to the same contents in the damaged pack"
    assert run(launch_repair(media=medium())).state == JobState.COMPLETED, picture()
    assert not damaged_copies(medium()).exists()
    judge(tmp_path / "media")


def test_B8_the_next_copy_of_what_is_lost_reads_everything_again_and_is_whole(
    subclient: Subclient, tmp_path: Path
) -> None:
    first = snap_and_copy(subclient)
    damage(packs(tmp_path / "media")[-1])
    Snapshot.objects.update(state="deleted")
    verified()
    assert run(launch_repair(media=medium())).state == JobState.FAILED, picture()
    assert damaged_copies(medium()).get() == first
    (tmp_path / "source" / "new").write_text("new")
    second = snap_and_copy(subclient)
    job = Job.objects.get(pk=second.job_id or 0)
    assert (second.ran_level, job.level_reason) == (
        "full",
        DAMAGED_BASE,
    )
    assert verified().state == JobState.COMPLETED, "what was stored again is whole in the older copy, too"
    assert not damaged_copies(medium()).exists()
    judge(tmp_path / "media")
