"""Storages reconciled with the record: deleted outside, back again, unknown, imported, left over, replicas (V4, B7)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from jobs.models import CopyState, Job, JobState, Operation, Snapshot, SnapshotReplica, SnapshotState
from jobs.services import (
    CannotLaunch,
    launch_backup_copy,
    launch_reconcile,
    launch_reconciles,
    launch_secondary_copy,
    launch_snapshot,
    resubmit_job,
)
from jobs.services.placing import lists_of
from jobs.services.schedule_launch import launch_scheduled
from jobs.services.storage_record import last_reconcile, orphans_of
from policies import services as configuration
from policies.models import AuditEntry, Copy, FileServer, ScheduledOperation, Subclient
from policies.resolve import install_id
from tests.factories import make_schedule, make_user
from tests.job_factories import make_job, make_node
from tests.jobs.farm import configure, picture
from tests.jobs.here import run, work_off
from tests.jobs.test_commands import as_json, command
from tests.loopmounts import LoopMount


@pytest.fixture
def subclient(transactional_db: None, redis_url: str, tmp_path: Path) -> Subclient:
    """Of a directory, with one file."""
    make_node()
    made = configure(tmp_path)
    (tmp_path / "source" / "file").write_text("one")
    return made


def snap(subclient: Subclient) -> Snapshot:
    make_node()
    job = run(launch_snapshot(subclient))
    assert job.state == JobState.COMPLETED, picture()
    return Snapshot.objects.get(job=job)


def reconcile(server: FileServer, **given: object) -> Job:
    make_node()
    return run(launch_reconcile(server, **given))  # type: ignore[arg-type]


def area_of(subclient: Subclient) -> Path:
    return Path(str(subclient.file_server.options["area"]))


def take_away(subclient: Subclient, snapshot: Snapshot, aside: Path) -> None:
    """As somebody with the storage's own tools would."""
    shutil.move(area_of(subclient) / snapshot.name, aside / snapshot.name)


def test_V4_a_storage_that_holds_what_is_recorded_is_said_to(subclient: Subclient) -> None:
    snap(subclient)
    job = reconcile(subclient.file_server)
    assert job.state == JobState.COMPLETED, picture()
    assert (job.result["agrees"], job.result["listed"], job.result["recorded"]) == (True, 1, 1)
    assert job.file_server_label == "server-tree"


def test_V4_B7_a_snapshot_that_was_deleted_outside_is_missing_and_repaired_when_it_is_back(
    subclient: Subclient, tmp_path: Path
) -> None:
    kept, lost = snap(subclient), snap(subclient)
    row = lost.backup_copies.get()
    assert row.state == CopyState.TO_BE_COPIED
    take_away(subclient, lost, tmp_path)
    user = make_user()
    job = reconcile(subclient.file_server, user=user)
    assert job.state == JobState.COMPLETED, picture()
    lost.refresh_from_db()
    row.refresh_from_db()
    assert (lost.state, lost.missing_at is not None) == (SnapshotState.MISSING, True)
    assert lost.state_reason == f"Job {job.pk} found that it was deleted outside."
    assert (row.state, row.state_reason) == (CopyState.SKIPPED, f"The snapshot is gone. {lost.state_reason}")
    (told,) = job.result["missing"]
    assert (told["name"], told["subclient"]) == (lost.name, subclient.path)
    assert told["means"] == ("Skipped (missing) towards backup. No backup copy of it is on media: its data is lost.")
    entry = AuditEntry.objects.get(sentence__startswith=f"Missing, deleted outside: {lost.name}")
    assert entry.user == user
    kept.refresh_from_db()
    assert kept.is_present

    again = reconcile(subclient.file_server)
    assert again.result["agrees"], "what is known to be missing is no news"

    shutil.move(tmp_path / lost.name, area_of(subclient) / lost.name)
    back = reconcile(subclient.file_server)
    lost.refresh_from_db()
    row.refresh_from_db()
    assert (lost.state, lost.missing_at, lost.state_reason) == (SnapshotState.PRESENT, None, "")
    assert row.state == CopyState.TO_BE_COPIED
    assert [one["name"] for one in back.result["returned"]] == [lost.name]
    assert run(launch_backup_copy(subclient)).state == JobState.COMPLETED, picture()
    row.refresh_from_db()
    assert row.state == CopyState.COPIED, picture()


def test_V4_what_a_missing_snapshot_was_kept_for_is_said(
    transactional_db: None, redis_url: str, tmp_path: Path, btrfs_mount: Path
) -> None:
    make_node()
    subclient = on_btrfs(tmp_path, btrfs_mount)
    base = snap(subclient)
    run(launch_backup_copy(subclient))
    snap(subclient)
    subprocess.run(["btrfs", "subvolume", "delete", f"{btrfs_mount}/.snapcopy/{base.name}"], check=True)
    job = reconcile(subclient.file_server)
    (told,) = job.result["missing"]
    assert told["means"] == (
        "It was kept because the next copy to backup is compared with it: that copy is now a full look at everything."
    ), picture()
    copied = run(launch_backup_copy(subclient))
    assert copied.state == JobState.COMPLETED, picture()


def test_V4_when_not_one_snapshot_is_there_the_storage_is_doubted_until_a_person_confirms(
    subclient: Subclient, tmp_path: Path
) -> None:
    snapshots = [snap(subclient), snap(subclient)]
    aside = area_of(subclient).rename(tmp_path / "aside")
    job = reconcile(subclient.file_server)
    assert (job.state, job.result["doubted_count"]) == (JobState.COMPLETED_WITH_ERRORS, 2), picture()
    assert job.result["doubted"] == sorted(one.name for one in snapshots)
    assert Snapshot.objects.filter(state=SnapshotState.PRESENT).count() == 2
    assert "Is the storage mounted" in job.events.get(code="storage-doubtful").sentence
    user = make_user()
    accepted = reconcile(subclient.file_server, accept_missing=True, user=user)
    assert accepted.state == JobState.COMPLETED, picture()
    assert Snapshot.objects.filter(state=SnapshotState.MISSING).count() == 2
    assert AuditEntry.objects.filter(user=user, sentence__startswith="Accepted that no recorded snapshot").exists()
    aside.rename(area_of(subclient))
    reconcile(subclient.file_server)
    assert Snapshot.objects.filter(state=SnapshotState.PRESENT).count() == 2, "nothing was lost by it"


def forget(snapshot: Snapshot) -> None:
    """As a database does that was restored from before the snapshot was taken."""
    snapshot.backup_copies.all().delete()
    Job.objects.filter(snapshot=snapshot).update(snapshot=None)
    snapshot.delete()


def test_V4_an_unknown_snapshot_is_shown_and_imported_by_a_person_pinned(subclient: Subclient) -> None:
    known, unknown = snap(subclient), snap(subclient)
    forget(unknown)
    job = reconcile(subclient.file_server)
    assert job.state == JobState.COMPLETED, picture()
    (told,) = job.result["unknown"]
    assert (told["name"], told["content"]) == (unknown.name, subclient.content_paths)
    assert (told["subclient"], told["was_deleted"]) == (subclient.path, False)
    assert (area_of(subclient) / unknown.name).exists(), "it is never deleted by itself"
    assert last_reconcile(subclient.file_server) == job
    assert orphans_of(job) == [told]

    imported = reconcile(subclient.file_server, imports={unknown.name: subclient})
    assert imported.result["imported"] == [unknown.name], picture()
    row = Snapshot.objects.get(name=unknown.name)
    assert (row.subclient, row.is_present, row.taken_at) == (subclient, True, unknown.taken_at)
    assert (row.is_pinned, row.pin_reason) == (True, "imported from the storage")
    assert orphans_of(job) == []
    assert row.backup_copies.get().state == CopyState.TO_BE_COPIED
    run(launch_backup_copy(subclient))
    assert {one.backup_copies.get().state for one in (known, row)} == {CopyState.COPIED}, picture()
    with pytest.raises(CannotLaunch, match="is known: it is a snapshot of server-tree/tree"):
        launch_reconcile(subclient.file_server, imports={row.name: subclient})


def test_V4_an_unknown_snapshot_is_deleted_only_by_name(subclient: Subclient) -> None:
    snap(subclient)
    unknown = snap(subclient)
    forget(unknown)
    user = make_user()
    job = reconcile(subclient.file_server, deletions=[unknown.name], user=user)
    assert (job.result["deleted"], job.result["unknown"]) == ([unknown.name], []), picture()
    assert not (area_of(subclient) / unknown.name).exists()
    assert AuditEntry.objects.filter(user=user, sentence__contains=unknown.name).exists()


def test_V4_one_that_was_recorded_as_deleted_can_be_taken_back(subclient: Subclient) -> None:
    snap(subclient)
    undead = snap(subclient)
    Snapshot.objects.filter(pk=undead.pk).update(state=SnapshotState.DELETED, deleted_at=undead.taken_at)
    job = reconcile(subclient.file_server)
    assert [one["was_deleted"] for one in job.result["unknown"]] == [True]
    reconcile(subclient.file_server, imports={undead.name: subclient})
    undead.refresh_from_db()
    assert (undead.state, undead.deleted_at, undead.is_pinned) == (SnapshotState.PRESENT, None, True), picture()


def test_V4_a_deletion_that_no_job_is_at_any_more_is_taken_back(subclient: Subclient) -> None:
    snap(subclient)
    half = snap(subclient)
    Snapshot.objects.filter(pk=half.pk).update(state=SnapshotState.DELETING)
    deletion = make_job(
        operation=Operation.DELETE_SNAPSHOT, state=JobState.SUSPENDED, subclient=subclient, snapshot=half
    )
    assert reconcile(subclient.file_server).result["agrees"], "its job is at it"
    Job.objects.filter(pk=deletion.pk).update(state=JobState.FAILED, finished_at=half.taken_at)
    assert [one["name"] for one in reconcile(subclient.file_server).result["returned"]] == [half.name]
    half.refresh_from_db()
    assert half.is_present, picture()


def test_V4_a_snapshot_that_a_job_is_taking_is_not_unknown(subclient: Subclient) -> None:
    known = snap(subclient)
    waiting = make_job(subclient=subclient, state=JobState.SUSPENDED)
    taken = area_of(subclient) / f"sc-{install_id()}-{waiting.pk}-1"
    shutil.copytree(area_of(subclient) / known.name, taken)
    job = reconcile(subclient.file_server)
    assert (job.result["listed"], job.result["unknown"]) == (2, []), picture()
    Job.objects.filter(pk=waiting.pk).update(state=JobState.KILLED, finished_at=known.taken_at)
    assert [one["name"] for one in reconcile(subclient.file_server).result["unknown"]] == [taken.name]


def test_V4_one_reconciliation_at_a_time_and_on_nodes_that_reach_the_storage(subclient: Subclient) -> None:
    job = launch_reconcile(subclient.file_server)
    with pytest.raises(CannotLaunch, match=f"Job {job.pk} is already reconciling server-tree"):
        launch_reconcile(subclient.file_server)
    again = resubmit_job(run(job))
    assert again.parameters == job.parameters
    two = make_node(name="two")
    subclient.access_nodes.add(two)
    assert lists_of(again).nodes == {"two"}
    subclient.file_server.access_nodes.add(make_node(name="three"))
    assert lists_of(again).nodes == {"three"}
    FileServer.objects.update(is_active=False)
    with pytest.raises(CannotLaunch, match="switched off"):
        launch_reconcile(subclient.file_server)


def test_V4_a_schedule_reconciles_every_storage_of_its_scope(subclient: Subclient, tmp_path: Path) -> None:
    target = configuration.create_file_server(
        name="vault", engine="directory", options={"area": str(tmp_path / "vault")}, user=None
    )
    configuration.create_copy(subclient.policy, name="vault", kind="secondary_snap", target_server=target, user=None)
    schedule = make_schedule(subclient, name="look", operation=ScheduledOperation.RECONCILE)
    launched = launch_scheduled(schedule, run=None, initiator="schedule", how="policy")  # type: ignore[arg-type]
    assert [job.file_server_label for job in launched.jobs] == ["server-tree", "vault"]
    assert {job.state for job in work_off()} == {JobState.COMPLETED}, picture()


def on_btrfs(folder: Path, mount: Path) -> Subclient:
    """A subclient over a directory of a btrfs."""
    subclient = configure(folder)
    (mount / "data").mkdir()
    (mount / "data" / "file").write_bytes(os.urandom(5000))
    subclient.file_server = configuration.create_file_server(
        name="here", engine="btrfs", options={"volume": str(mount)}, user=None
    )
    subclient.content_paths = [str(mount / "data")]
    subclient.save()
    return subclient


@pytest.mark.system
def test_V4_B6_a_replica_that_was_deleted_outside_is_skipped_and_copied_again_when_it_is_back(
    transactional_db: None, redis_url: str, tmp_path: Path, loop_mount: LoopMount
) -> None:
    make_node()
    here, there = loop_mount("btrfs"), loop_mount("btrfs")
    subclient = on_btrfs(tmp_path, here)
    target = configuration.create_file_server(name="there", engine="btrfs", options={"volume": str(there)}, user=None)
    configuration.create_copy(subclient.policy, name="vault", kind="secondary_snap", target_server=target, user=None)
    vault = Copy.objects.get(name="vault")
    subclient.policy.backup_source = vault
    subclient.policy.save()
    kept, snapshot = snap(subclient), snap(subclient)
    run(launch_secondary_copy(subclient=subclient))
    replica = SnapshotReplica.objects.get(snapshot=snapshot)
    assert replica.state == CopyState.COPIED, picture()
    place = there / ".snapcopy" / snapshot.name
    aside = place.with_name("aside")
    place.rename(aside)
    (job,) = launch_reconciles(scope=target).jobs
    run(job)
    replica.refresh_from_db()
    snapshot.refresh_from_db()
    assert (replica.state, snapshot.state) == (CopyState.SKIPPED, SnapshotState.PRESENT), picture()
    assert replica.state_reason == f"Missing: job {job.pk} found that it was deleted from {replica.copy.name} outside."
    assert snapshot.backup_copies.get().state == CopyState.SKIPPED, "it may not fall back silently (B6)"
    assert kept.backup_copies.get().state == CopyState.TO_BE_COPIED
    aside.rename(place)
    run(launch_reconcile(target))
    replica.refresh_from_db()
    assert replica.state == CopyState.COPIED, picture()
    assert snapshot.backup_copies.get().state == CopyState.TO_BE_COPIED
    assert run(launch_backup_copy(subclient)).state == JobState.COMPLETED, picture()


@pytest.mark.system
def test_V4_a_volume_that_was_exchanged_outside_is_told(
    transactional_db: None, redis_url: str, tmp_path: Path, btrfs_mount: Path
) -> None:
    make_node()
    share = btrfs_mount / "share"
    subprocess.run(["btrfs", "subvolume", "create", str(share)], check=True)
    subclient = on_btrfs(tmp_path, share)
    snapshot = snap(subclient)
    old = share.rename(btrfs_mount / "old")
    subprocess.run(["btrfs", "subvolume", "snapshot", str(old / ".snapcopy" / snapshot.name), str(share)], check=True)
    if (share / ".snapcopy").exists():
        (share / ".snapcopy").rmdir()
    (old / ".snapcopy").rename(share / ".snapcopy")
    job = reconcile(subclient.file_server)
    assert job.result["reverted"] == [subclient.path], picture()
    snap(subclient)
    assert reconcile(subclient.file_server).result["reverted"] == []


def test_the_command_reconciles_imports_and_tells_in_json(subclient: Subclient) -> None:
    snap(subclient)
    unknown = snap(subclient)
    forget(unknown)
    assert command("reconcile", "nowhere")[0] == 2
    code, lines = command("reconcile", subclient.path, "--json")
    (told,) = as_json(lines)
    assert (code, told["operation"]) == (0, "reconcile")
    work_off()
    assert command("reconcile", "server-tree", "--import", f"{unknown.name}={subclient.path}")[0] == 0
    work_off()
    assert Snapshot.objects.filter(name=unknown.name).exists(), picture()
    assert command("reconcile", "server-tree", "--delete", unknown.name)[0] == 4
    assert Job.objects.filter(operation=Operation.RECONCILE).count() == 2
