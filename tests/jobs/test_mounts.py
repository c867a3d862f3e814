"""Snapshots mounted read-only on a node, for real: by hand, by time, and after a restart (RULES V4, R6)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from jobs.engine.errors import EngineUnsupported
from jobs.engine.snapshots.binding import is_mount_point
from jobs.models import Job, JobState, MountState, MountWay, Operation, Snapshot, SnapshotMount, SnapshotState
from jobs.runner import mounting
from jobs.selectors import holds_on
from jobs.services import (
    CannotLaunch,
    kill_job,
    launch_backup_copy,
    launch_snapshot,
    launch_snapshot_deletion,
)
from jobs.services.mounts import end_mount, expire_mounts, keep_mounted, launch_mount, launch_unmount
from policies.models import AccessNode, AuditEntry, Subclient
from tests.factories import make_user
from tests.job_factories import make_node, make_snapshot
from tests.jobs.farm import configure, picture
from tests.jobs.here import run
from tests.loopmounts import unmount

pytestmark = pytest.mark.system


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where this test's mounts go; none of them outlives it."""
    monkeypatch.setattr(mounting, "_base", lambda: tmp_path / "mounts")
    yield tmp_path / "mounts"
    unmount(tmp_path / "mounts")


@pytest.fixture
def snapshot(transactional_db: None, redis_url: str, base: Path, tmp_path: Path) -> Snapshot:
    """A real one of a directory."""
    make_node()
    subclient = configure(tmp_path)
    (tmp_path / "source" / "file").write_text("as it was")
    run(launch_snapshot(subclient))
    return Snapshot.objects.get()


def mounted(snapshot: Snapshot, **values: Any) -> SnapshotMount:
    job = run(launch_mount(snapshot, **values))
    assert job.state == JobState.COMPLETED, picture()
    return SnapshotMount.objects.get(pk=job.parameters["mount"])


def content_of(mount: SnapshotMount) -> Path:
    return Path(mount.path + mount.snapshot.content[0])


def test_V4_a_snapshot_is_mounted_read_only_at_a_place_that_can_be_guessed(snapshot: Snapshot, base: Path) -> None:
    user = make_user()
    mount = mounted(snapshot, hours=3, user=user)
    assert mount.path == f"{base}/server-tree/tree/{snapshot.taken_at:%Y-%m-%dT%H-%M-%SZ}"
    assert (mount.state, mount.way, mount.node_label) == (MountState.MOUNTED, MountWay.BIND, "one")
    assert mount.mounted_by == user
    assert timedelta(hours=2) < mount.expires_at - timezone.now() < timedelta(hours=4)
    there = content_of(mount)
    assert (there / "file").read_text() == "as it was"
    for name, mode in (("file", "a"), ("new", "x")):
        with pytest.raises(OSError, match="Read-only"), open(there / name, mode):
            pass
    with pytest.raises(OSError, match="Read-only"):
        (there / "file").unlink()
    entry = AuditEntry.objects.filter(action="operated").latest("pk")
    assert entry.user == user
    assert snapshot.name in entry.sentence


def test_R6_V4_a_mounted_snapshot_is_held_until_it_is_unmounted(snapshot: Snapshot, base: Path) -> None:
    run(launch_backup_copy(snapshot.subclient))
    mount = mounted(snapshot)
    assert holds_on(snapshot) == ["it is mounted on one"]
    with pytest.raises(CannotLaunch, match="mounted on one"):
        launch_snapshot_deletion(snapshot)
    with pytest.raises(CannotLaunch, match="mounted on one already"):
        launch_mount(snapshot)
    assert run(launch_unmount(mount)).state == JobState.COMPLETED, picture()
    mount.refresh_from_db()
    assert (mount.state, mount.end_reason) == (MountState.UNMOUNTED, "Unmounted by a script.")
    assert not list(base.iterdir())
    assert holds_on(snapshot) == []
    with pytest.raises(CannotLaunch, match="not mounted any more"):
        launch_unmount(mount)
    assert run(launch_snapshot_deletion(snapshot)).state == JobState.COMPLETED, picture()
    with pytest.raises(CannotLaunch, match="not on the storage any more"):
        launch_mount(snapshot)


def test_R6_it_is_unmounted_by_itself_when_its_time_is_over(snapshot: Snapshot) -> None:
    mount = mounted(snapshot)
    expire_mounts()
    assert not Job.objects.filter(operation=Operation.UNMOUNT).exists()
    keep_mounted(mount, hours=48)
    later = timezone.now() + timedelta(hours=47)
    assert expire_mounts(now=later) == 0
    assert expire_mounts(now=later + timedelta(hours=2)) == 1
    assert expire_mounts(now=later + timedelta(hours=2)) == 0, "once"
    job = run(Job.objects.get(operation=Operation.UNMOUNT))
    assert (job.initiator, job.state) == ("schedule", JobState.COMPLETED), picture()
    mount.refresh_from_db()
    assert mount.end_reason == "Its time was over."


def test_what_is_still_used_stays_mounted_and_is_tried_again(snapshot: Snapshot) -> None:
    mount = mounted(snapshot)
    with subprocess.Popen(["sleep", "600"], cwd=content_of(mount)) as user:
        job = run(launch_unmount(mount))
        assert (job.state, job.error_code) == (JobState.PENDING, "storage-busy"), picture()
        assert f"sleep (pid {user.pid})" in job.error_sentence
        assert holds_on(snapshot)
        kill_job(job)
        mount.refresh_from_db()
        assert mount.state == MountState.MOUNTED
        user.kill()
    assert run(launch_unmount(mount)).state == JobState.COMPLETED, picture()


def test_R6_after_a_restart_the_row_says_what_is_true(snapshot: Snapshot, base: Path) -> None:
    """Unmounting behind the product's back is what a restart of the host does."""
    mount = mounted(snapshot)
    node = AccessNode.objects.get(name="one")
    assert mounting.repair(node) == 0
    unmount(base)
    assert mounting.repair(make_node(name="two")) == 0, "another node knows nothing of it"
    assert mounting.repair(node) == 1
    mount.refresh_from_db()
    assert (mount.state, mount.end_reason) == (MountState.UNMOUNTED, mounting._FOUND_GONE)
    assert "it is mounted on one" not in holds_on(snapshot)
    assert "Found unmounted" in AuditEntry.objects.latest("pk").sentence
    again = mounted(snapshot)
    assert again.path == mount.path, "it can be mounted again at the same place"
    end_mount(again.pk, reason="its process was killed")
    assert is_mount_point(content_of(again))
    assert mounting.repair(node) == 1, "what no row knows is taken away"
    assert not list(base.iterdir())


def test_a_deleted_node_took_its_mounts_along(snapshot: Snapshot) -> None:
    mount = mounted(snapshot)
    AccessNode.objects.all().delete()
    assert expire_mounts() == 1
    mount.refresh_from_db()
    assert mount.end_reason == "Its access node was deleted."


@contextmanager
def may_not_mount() -> Iterator[None]:
    """As a node without root: the kernel refuses."""

    def refuses(directory: Path, point: Path) -> None:
        raise EngineUnsupported(f"This node may not mount anything at “{point}”.", hint="Run the access node as root.")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(mounting, "bind_read_only", refuses)
        yield


def test_V4_a_node_that_may_not_mount_says_so_and_leaves_nothing(snapshot: Snapshot, base: Path) -> None:
    with may_not_mount():
        job = run(launch_mount(snapshot))
    assert (job.state, job.error_code) == (JobState.FAILED, "engine-unsupported"), picture()
    assert "as root" in job.error_hint
    row = SnapshotMount.objects.get()
    assert row.state == MountState.UNMOUNTED
    assert "may not mount" in row.end_reason
    assert "it is mounted on one" not in holds_on(snapshot)
    assert not list(base.iterdir())


def test_V4_what_nobody_can_write_to_is_linked_where_the_node_may_not_mount(
    snapshot: Snapshot, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on btrfs, whose snapshots are read-only by themselves."""
    monkeypatch.setattr("jobs.engine.snapshots.directory.DirectoryEngine.capabilities", frozenset({"read_only"}))
    with may_not_mount():
        mount = mounted(snapshot)
    assert mount.way == MountWay.LINK
    assert content_of(mount).is_symlink()
    assert (content_of(mount) / "file").read_text() == "as it was"
    node = AccessNode.objects.get(name="one")
    assert mounting.repair(node) == 0
    assert run(launch_unmount(mount)).state == JobState.COMPLETED, picture()
    assert not list(base.iterdir())
    assert (Path(snapshot.ref["handle"]["path"]) / "0" / "file").exists()


def test_a_mount_has_an_end(subclient: Subclient) -> None:
    snapshot = make_snapshot(subclient)
    for hours in (0, -1, 10_000):
        with pytest.raises(CannotLaunch, match="at most 31 days"):
            launch_mount(snapshot, hours=hours)


NOW = timezone.now()
MOUNTED = {"state": "mounted", "path": "/somewhere", "mounted_at": NOW}


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ({"state": "broken"}, "mount_state_known"),
        ({"way": "wish"}, "mount_way_known"),
        ({"state": "mounted", "mounted_at": NOW}, "mount_mounted_has_a_path"),
        ({"state": "mounted", "path": "/somewhere"}, "mount_mounted_has_a_path"),
        ({"state": "unmounting", "path": "/somewhere"}, "mount_mounted_has_a_path"),
        ({"state": "unmounted"}, "mount_ended_exactly_when_unmounted"),
        (MOUNTED | {"ended_at": NOW}, "mount_ended_exactly_when_unmounted"),
        ({"expires_at": NOW - timedelta(days=1)}, "mount_expires_later"),
    ],
)
def test_rows_of_mounts_that_must_never_be(subclient: Subclient, values: dict[str, Any], constraint: str) -> None:
    snapshot = make_snapshot(subclient)
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        SnapshotMount.objects.create(snapshot=snapshot, **({"expires_at": NOW + timedelta(days=1)} | values))


def test_one_snapshot_is_mounted_once_and_one_path_holds_one(subclient: Subclient) -> None:
    node, until = make_node(), NOW + timedelta(days=1)
    first = SnapshotMount.objects.create(snapshot=make_snapshot(subclient), node=node, expires_at=until, **MOUNTED)
    other = make_snapshot(subclient, n=1)
    with pytest.raises(IntegrityError, match="mount_one_per_node_and_path"), transaction.atomic():
        SnapshotMount.objects.create(snapshot=other, node=node, expires_at=until, **MOUNTED)
    with pytest.raises(IntegrityError, match="mount_one_active_per_snapshot"), transaction.atomic():
        SnapshotMount.objects.create(snapshot=first.snapshot, node=node, expires_at=until)
    end_mount(first.pk, reason="over")
    SnapshotMount.objects.create(snapshot=first.snapshot, node=node, expires_at=until, **MOUNTED)


@pytest.mark.parametrize("values", [{"state": SnapshotState.MISSING}, {"missing_at": NOW}])
def test_a_missing_snapshot_says_since_when(subclient: Subclient, values: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match="snapshot_missing_has_a_time"), transaction.atomic():
        make_snapshot(subclient, **values)
