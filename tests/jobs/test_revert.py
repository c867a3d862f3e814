"""Reverting a subclient by jobs: refusals, the safety snapshot, what is lost, what the next copy makes of it (S6)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from jobs.engine.errors import Killed, SourceUnavailable
from jobs.engine.events import Control
from jobs.engine.snapshots.base import Reverted, SnapshotRef
from jobs.engine.snapshots.directory import DirectoryEngine
from jobs.models import BackupCopy, CopyState, Job, JobState, Mark, Operation, Snapshot, SnapshotState
from jobs.selectors import holds_on
from jobs.services import CannotLaunch, launch_backup_copy, launch_snapshot, mark_copies
from jobs.services.revert import launch_revert
from policies import services as configuration
from policies.models import AuditEntry, Subclient
from tests.factories import make_user
from tests.interop.restic import Restic
from tests.job_factories import make_job, make_node
from tests.jobs import reverting_engine
from tests.jobs.farm import PASSWORD, configure, picture
from tests.jobs.here import run


@pytest.fixture
def subclient(transactional_db: None, redis_url: str, tmp_path: Path) -> Subclient:
    """Of a directory, with one file."""
    make_node()
    made = configure(tmp_path)
    (tmp_path / "source" / "file").write_text("one")
    return made


@pytest.fixture
def array(subclient: Subclient) -> Iterator[Subclient]:
    """The same on a storage whose reverts delete newer snapshots."""
    with reverting_engine.registered():
        reverting_engine.use_it(subclient)
        yield subclient


def snap(subclient: Subclient) -> Snapshot:
    """The node reports anew each time, as a real one would."""
    make_node()
    job = run(launch_snapshot(subclient))
    assert job.state == JobState.COMPLETED, picture()
    return Snapshot.objects.get(job=job)


def live(subclient: Subclient) -> Path:
    return Path(subclient.content_paths[0])


def test_S6_a_revert_is_made_safe_by_a_pinned_snapshot_of_what_it_replaces(subclient: Subclient) -> None:
    target = snap(subclient)
    (live(subclient) / "file").write_text("two")
    (live(subclient) / "later").write_text("x")
    user = make_user()
    job = run(launch_revert(target, confirmation="tree", user=user))
    assert job.state == JobState.COMPLETED, picture()
    assert {path.name: path.read_text() for path in live(subclient).iterdir()} == {"file": "one"}
    safety = Snapshot.objects.get(job=job)
    assert job.result["safety_snapshot"] == safety.name
    assert safety.pin_reason == f"safety snapshot before the revert to {target.taken_at:%Y-%m-%d %H:%M} UTC"
    assert f"it is pinned ({safety.pin_reason})" in holds_on(safety)
    assert safety.backup_copies.get().state == CopyState.TO_BE_COPIED, "a snapshot like any other"
    assert job.snapshot == target
    assert (job.result["replaced"], job.result["removed"], job.result["lost"]) == (1, 1, [])
    entry = AuditEntry.objects.filter(sentence__startswith="Revert of server-tree/tree").get()
    assert entry.user == user
    back = run(launch_revert(safety, confirmation="tree", with_safety_snapshot=False))
    assert back.state == JobState.COMPLETED, picture()
    assert (live(subclient) / "file").read_text() == "two"
    assert not Snapshot.objects.filter(job=back).exists()


def test_S6_newer_snapshots_that_the_storage_deletes_are_accepted_first_and_unpicked_from_copying(
    array: Subclient,
) -> None:
    target, copied = snap(array), snap(array)
    run(launch_backup_copy(array))
    waiting, picked = snap(array), snap(array)
    mark_copies(picked.backup_copies.all(), mark=Mark.PICK)
    mark_copies(waiting.backup_copies.all(), mark=Mark.PREVENT)
    newer = [copied, waiting, picked]
    refused = run(launch_revert(target, confirmation="tree", accepted=[copied.name, waiting.name]))
    assert (refused.state, refused.error_code) == (JobState.FAILED, "revert-changed"), picture()
    assert picked.name in refused.error_sentence
    assert Snapshot.objects.filter(state=SnapshotState.PRESENT).count() == 4
    job = run(launch_revert(target, confirmation="tree", accepted=[one.name for one in newer]))
    assert job.state == JobState.COMPLETED, picture()
    assert job.result["safety_snapshot"] == "", "it would have been lost with the others"
    for snapshot in newer:
        snapshot.refresh_from_db()
        assert (snapshot.state, snapshot.state_reason) == (
            SnapshotState.DELETED,
            f"Deleted by the revert of job {job.pk}.",
        )
        assert snapshot.deleted_at is not None
    row = picked.backup_copies.get()
    assert (row.state, row.mark) == (CopyState.SKIPPED, Mark.NONE)
    assert row.state_reason == f"The snapshot is gone. Deleted by the revert of job {job.pk}."
    assert waiting.backup_copies.get().state == CopyState.PREVENTED
    assert copied.backup_copies.get().state == CopyState.COPIED, "what is on media stays"
    target.refresh_from_db()
    assert target.is_present


def test_S6_what_is_refused_says_why(subclient: Subclient) -> None:
    target = snap(subclient)
    with pytest.raises(CannotLaunch, match="Type the name of the subclient, “tree”"):
        launch_revert(target, confirmation="yes")
    later = timezone.now() + timedelta(hours=1)
    copying = make_job(operation=Operation.BACKUP_COPY, state=JobState.PENDING, subclient=subclient, retry_at=later)
    with pytest.raises(CannotLaunch, match=rf"Job {copying.pk} \(backup copy\) works on") as refusal:
        launch_revert(target, confirmation="tree")
    assert refusal.value.job == copying
    Job.objects.filter(pk=copying.pk).update(operation=Operation.MOUNT)
    job = launch_revert(target, confirmation="tree")
    for launch in (launch_snapshot, launch_backup_copy):
        with pytest.raises(CannotLaunch, match=f"Job {job.pk} reverts"):
            launch(subclient)
    Job.objects.filter(pk=copying.pk).update(operation=Operation.BACKUP_COPY)
    assert run(job).error_code == "storage-busy", picture()
    assert (live(subclient) / "file").read_text() == "one"
    Snapshot.objects.update(engine="other")
    with pytest.raises(CannotLaunch, match="another snapshot engine"):
        launch_revert(target, confirmation="tree")
    Snapshot.objects.update(engine="directory", state=SnapshotState.DELETED)
    with pytest.raises(CannotLaunch, match="not on the storage any more"):
        launch_revert(target, confirmation="tree")


def test_S6_a_revert_that_was_cut_off_goes_on_without_another_safety_snapshot(
    subclient: Subclient, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = snap(subclient)
    (live(subclient) / "file").write_text("two")
    real = DirectoryEngine.revert
    calls = []

    def breaks_once(self: DirectoryEngine, ref: SnapshotRef, control: Control) -> Reverted:
        calls.append(ref.name)
        if len(calls) == 1:
            raise SourceUnavailable("The disk went away.")
        return real(self, ref, control)

    monkeypatch.setattr(DirectoryEngine, "revert", breaks_once)
    job = run(launch_revert(target, confirmation="tree"))
    assert job.state == JobState.PENDING, picture()
    (live(subclient) / "file").write_text("half")
    Job.objects.filter(pk=job.pk).update(retry_at=None)
    job = run(job)
    assert job.state == JobState.COMPLETED, picture()
    assert calls == [target.name] * 2
    assert Snapshot.objects.filter(is_pinned=True).count() == 1
    assert (live(subclient) / "file").read_text() == "one"


def test_S6_a_killed_revert_says_that_it_is_half_done(subclient: Subclient, monkeypatch: pytest.MonkeyPatch) -> None:
    target = snap(subclient)

    def killed(self: DirectoryEngine, ref: SnapshotRef, control: Control) -> Reverted:
        raise Killed("The job was killed.")

    monkeypatch.setattr(DirectoryEngine, "revert", killed)
    job = run(launch_revert(target, confirmation="tree"))
    assert job.state == JobState.KILLED, picture()
    safety = Snapshot.objects.get(job=job)
    assert safety.name in job.events.get(code="revert-unfinished").sentence


@pytest.fixture(params=["exchanged", "file by file"])
def volume(request: pytest.FixtureRequest, btrfs_mount: Path) -> Path:
    """A subvolume that is no mount point, or the mount point itself."""
    if request.param == "file by file":
        return btrfs_mount
    subprocess.run(["btrfs", "subvolume", "create", str(btrfs_mount / "share")], check=True, capture_output=True)
    return btrfs_mount / "share"


@pytest.mark.system
@pytest.mark.interop
def test_S6_B8_after_a_revert_of_btrfs_the_next_copy_is_right(
    transactional_db: None, redis_url: str, tmp_path: Path, volume: Path
) -> None:
    """The base of the next copy is newer than what the live data is made of: nothing may be taken for unchanged."""
    make_node()
    policy = configure(tmp_path).policy
    server = configuration.create_file_server(name="volume", engine="btrfs", options={"volume": str(volume)}, user=None)
    subclient = configuration.create_subclient(
        file_server=server, name="data", content_paths=[str(volume)], policy=policy, user=None
    )
    for number in range(20):
        (volume / f"file-{number}").write_bytes(os.urandom(3000))
    target = snap(subclient)
    run(launch_backup_copy(subclient))
    stamp = os.stat(volume / "file-1")
    (volume / "file-1").write_bytes(os.urandom(3000))
    os.utime(volume / "file-1", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    (volume / "file-2").unlink()
    (volume / "later").write_text("x")
    snap(subclient)
    run(launch_backup_copy(subclient))
    job = run(launch_revert(target, confirmation="data"))
    assert job.state == JobState.COMPLETED, picture()
    assert job.result["is_exchanged"] == (volume.name == "share")
    (volume / "file-3").write_text("after the revert")
    expected = {path.name: path.read_bytes() for path in volume.iterdir() if path.is_file()}
    assert set(expected) == {f"file-{number}" for number in range(20)}
    newest = snap(subclient)
    copies = [run(launch_backup_copy(subclient, snapshot=one)) for one in Snapshot.objects.order_by("taken_at")[2:]]
    assert [copy.state for copy in copies] == [JobState.COMPLETED] * 2, picture()
    restic = Restic(repository=tmp_path / "media", password=PASSWORD)
    restic.judge()
    row = BackupCopy.objects.get(snapshot=newest)
    restic.run("restore", str(row.snapshot_file_id), "--target", str(tmp_path / "back"))
    restored = tmp_path / "back" / str(volume)[1:]
    assert {path.name: path.read_bytes() for path in restored.iterdir() if path.is_file()} == expected
    assert copies[-1].ran_level == "incremental"
    again = snap(subclient)
    last = run(launch_backup_copy(subclient))
    assert last.state == JobState.COMPLETED, picture()
    assert "changed paths from the file system" in str(last.result["source"]), last.result
    assert again.backup_copies.get().state == CopyState.COPIED
