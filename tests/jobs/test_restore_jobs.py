"""Restore jobs from every kind of source: the storage's snapshot, a replica, a backup copy (RULES V1, V2, J2, R6)."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs.engine.operations.restoring.items import FileJob
from jobs.engine.operations.restoring.source import Unread
from jobs.engine.operations.restoring.writing import FileWriter
from jobs.engine.plan import Overwrite
from jobs.holds import holds_of
from jobs.models import BackupCopy, JobState, Snapshot, SnapshotReplica, SnapshotState
from jobs.rules.holds import Hold
from jobs.runner.references import ref_from_row, ref_of_replica
from jobs.services import (
    CannotLaunch,
    launch_backup_copy,
    launch_restore,
    launch_secondary_copy,
    launch_snapshot,
    launch_snapshot_deletion,
    launch_verify,
    resubmit_job,
)
from jobs.services.placing import lists_of
from policies import services as configuration
from policies.models import Copy, Subclient
from policies.resolve import build_engine
from tests.job_factories import make_backup_copy, make_node, make_snapshot
from tests.jobs.farm import Farm, backup_copy_of, configure, picture, reach, wait
from tests.jobs.here import run
from tests.jobs.test_repository_copies import add_fed_copy
from tests.jobs.test_secondary_copies import add_secondary
from tests.loopmounts import LoopMount
from tests.odd_tree import Described, build_odd_tree, describe_tree

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="devices and owners need root")
TOO_DEEP_FOR_A_STREAM = "00 " + "d" * 120


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A subclient whose one snapshot is in ``copy``, and which kind of source that is."""

    subclient: Subclient
    copy: Copy
    kind: str

    @property
    def source(self) -> Path:
        return Path(self.subclient.content_paths[0])

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot.objects.get()


def primary_of(subclient: Subclient) -> Copy:
    return Copy.objects.get(policy=subclient.policy, kind="primary_snap")


def without_sockets(root: Path) -> dict[bytes, Described]:
    return {path: entry for path, entry in describe_tree(root).items() if not stat.S_ISSOCK(entry.mode)}


def fill(subclient: Subclient) -> None:
    for number in range(12):
        folder = Path(subclient.content_paths[0]) / f"folder {number % 3}"
        folder.mkdir(exist_ok=True)
        (folder / f"file {number}").write_bytes(os.urandom(3000 + number))


Maker = Callable[[Callable[[Subclient], None]], World]


@pytest.fixture(params=["directory snapshot", "btrfs snapshot", "replica", "media"])
def make_world(
    request: pytest.FixtureRequest, transactional_db: None, redis_url: str, tmp_path: Path, loop_mount: LoopMount
) -> Maker:
    """Makes the world once its source was filled."""
    make_node()

    def make(fill_source: Callable[[Subclient], None]) -> World:
        subclient = configure(tmp_path)
        if request.param == "btrfs snapshot":
            mount = loop_mount("btrfs")
            (mount / "data").mkdir()
            server = configuration.create_file_server(
                name="volume", engine="btrfs", options={"volume": str(mount)}, user=None
            )
            subclient = configuration.create_subclient(
                file_server=server,
                name="data",
                content_paths=[str(mount / "data")],
                policy=subclient.policy,
                user=None,
            )
        fill_source(subclient)
        copy, kind = primary_of(subclient), "snapshot"
        if request.param == "replica":
            target = configuration.create_file_server(
                name="vault-server", engine="directory", options={"area": str(tmp_path / "vault")}, user=None
            )
            copy, kind = add_secondary(subclient, target), "replica"
        assert run(launch_snapshot(subclient)).state == JobState.COMPLETED, picture()
        if request.param == "replica":
            assert run(launch_secondary_copy(subclient=subclient, copy=copy)).state == JobState.COMPLETED, picture()
        if request.param == "media":
            copy, kind = backup_copy_of(subclient), "media"
            assert run(launch_backup_copy(subclient)).state == JobState.COMPLETED, picture()
        return World(subclient=subclient, copy=copy, kind=kind)

    return make


@needs_root
def test_V1_an_odd_tree_comes_back_identical_from_every_kind_of_source(make_world: Maker, tmp_path: Path) -> None:
    made = make_world(lambda subclient: build_odd_tree(Path(subclient.content_paths[0])))
    job = run(launch_restore(made.snapshot, made.copy, target=str(tmp_path / "back")))
    assert job.state == JobState.COMPLETED, picture()
    assert job.parameters["source"] == made.kind
    assert job.parameters["source_reason"].endswith(f"{made.copy.name} was chosen.")
    assert without_sockets(tmp_path / "back" / made.source.relative_to("/")) == without_sockets(made.source)


def test_V2_in_place_brings_back_what_was_lost_and_keeps_what_is_newer(make_world: Maker) -> None:
    made = make_world(fill)
    before = describe_tree(made.source)
    (made.source / "folder 0" / "file 0").unlink()
    shutil.rmtree(made.source / "folder 1")
    (made.source / "folder 2" / "file 2").write_bytes(b"newer")
    os.utime(made.source / "folder 2" / "file 5", (1, 1))
    preview = run(launch_restore(made.snapshot, made.copy, in_place=True, dry_run=True))
    assert preview.state == JobState.COMPLETED, picture()
    found = preview.result["preview"]
    assert (found["files_new"], found["files_replaced"], found["files_kept"]) == (5, 1, 1)
    assert (found["newer"], found["older"], found["conflicts_total"]) == (1, 1, 2)
    assert {bytes.fromhex(one["path"]).rpartition(b"/")[2]: one["fate"] for one in found["conflicts"]} == {
        b"file 2": "kept",
        b"file 5": "replaced",
    }
    assert found["spaces"][0]["needed_bytes"] < found["spaces"][0]["free_bytes"]
    assert not (made.source / "folder 1").exists(), "a dry run writes nothing"
    job = run(launch_restore(made.snapshot, made.copy, in_place=True))
    assert job.state == JobState.COMPLETED, picture()
    assert job.parameters["target"] == "/"
    after = describe_tree(made.source)
    assert after.pop(b"folder 2/file 2").size == 5
    del before[b"folder 2/file 2"]
    same = {path for path in before if after[path] == before[path]}
    assert {path for path in before if path not in same} <= {b""}, "only a directory that was touched has another time"


def test_a_source_that_is_gone_gives_way_to_the_next_and_the_job_says_so(
    transactional_db: None, redis_url: str, tmp_path: Path
) -> None:
    make_node()
    subclient = configure(tmp_path)
    fill(subclient)
    run(launch_snapshot(subclient))
    run(launch_backup_copy(subclient))
    snapshot = Snapshot.objects.get()
    job = launch_restore(snapshot, target=str(tmp_path / "back"))
    assert job.parameters["source"] == "snapshot"
    assert "snapshots go before media" in job.parameters["source_reason"]
    assert Hold.RUNNING in {held.hold for held in holds_of([snapshot])[snapshot.pk]}
    with pytest.raises(CannotLaunch, match=f"job {job.pk} works on it"):
        launch_snapshot_deletion(snapshot)
    build_engine(subclient.file_server).delete(ref_from_row(snapshot))
    job = run(job)
    assert job.state == JobState.COMPLETED, picture()
    assert (job.parameters["source"], job.copy) == ("media", backup_copy_of(subclient))
    assert "is passed over" in job.events.get(code="restore-source").sentence
    assert describe_tree(tmp_path / "back" / subclient.content_paths[0][1:]) == describe_tree(
        Path(subclient.content_paths[0])
    )
    assert holds_of([snapshot]).get(snapshot.pk) is None or "works on it" not in str(holds_of([snapshot]))


@pytest.mark.parametrize("kind", ["snapshot", "replica"])
def test_V1_a_chosen_copy_that_lost_its_snapshot_fails_plainly(
    transactional_db: None, redis_url: str, tmp_path: Path, kind: str
) -> None:
    make_node()
    subclient = configure(tmp_path)
    fill(subclient)
    copy = primary_of(subclient)
    if kind == "replica":
        target = configuration.create_file_server(
            name="vault-server", engine="directory", options={"area": str(tmp_path / "vault")}, user=None
        )
        copy = add_secondary(subclient, target)
    run(launch_snapshot(subclient))
    run(launch_backup_copy(subclient))
    snapshot = Snapshot.objects.get()
    if kind == "replica":
        run(launch_secondary_copy(subclient=subclient, copy=copy))
        replica = SnapshotReplica.objects.get()
        build_engine(replica.file_server).delete(ref_of_replica(replica))
    else:
        build_engine(subclient.file_server).delete(ref_from_row(snapshot))
    job = run(launch_restore(snapshot, copy, target=str(tmp_path / "back")))
    assert job.state == JobState.FAILED, picture()
    assert job.error_code == "snapshot-missing"
    assert not (tmp_path / "back").exists()


def test_N1_a_restore_runs_where_its_source_and_its_target_are_reached(subclient: Subclient) -> None:
    near, far = make_node(name="near"), make_node(name="far")
    snapshot = make_snapshot(subclient)
    subclient.file_server.access_nodes.set([near])
    assert lists_of(launch_restore(snapshot, target="/back")).nodes == {"near"}
    with pytest.raises(CannotLaunch, match="the node far does not reach the storage"):
        launch_restore(snapshot, target="/back", node=far)
    with pytest.raises(CannotLaunch, match="cannot restore in place"):
        launch_restore(snapshot, in_place=True, node=far)
    subclient.access_nodes.set([far])
    job = launch_restore(snapshot, in_place=True)
    assert lists_of(job).nodes == {"far"}
    assert job.node == far


def two_backup_copies(tmp_path: Path) -> tuple[Subclient, BackupCopy, Copy]:
    """One file of ordinary size on two media and nowhere else; the first medium damaged in the middle of it."""
    make_node()
    subclient = configure(tmp_path)
    (tmp_path / "source" / "file").write_bytes(os.urandom(50_000))
    other = add_fed_copy(tmp_path, subclient)
    run(launch_snapshot(subclient))
    run(launch_backup_copy(subclient))
    run(launch_backup_copy(subclient, other))
    Snapshot.objects.update(state=SnapshotState.DELETED)
    row = BackupCopy.objects.get(copy=backup_copy_of(subclient))
    pack = max((path for path in (tmp_path / "media" / "data").rglob("*") if path.is_file()), key=os.path.getsize)
    pack.chmod(0o600)
    with pack.open("r+b") as file:
        file.seek(1000)
        file.write(b"damage")
    return subclient, row, other


def test_J6_what_one_copy_could_not_give_is_retried_from_another(
    transactional_db: None, redis_url: str, tmp_path: Path
) -> None:
    subclient, row, other = two_backup_copies(tmp_path)
    job = run(launch_restore(row.snapshot, target=str(tmp_path / "back")))
    assert (job.state, job.copy) == (JobState.COMPLETED_WITH_ERRORS, row.copy), picture()
    again = run(resubmit_job(job))
    assert (again.state, again.copy) == (JobState.COMPLETED, other), picture()
    assert f"job {job.pk} could not read 1 of its file" in again.parameters["source_reason"]
    restored = Path(tmp_path / "back", subclient.content_paths[0][1:], "file")
    assert restored.read_bytes() == (tmp_path / "source" / "file").read_bytes()


def test_V1_a_copy_that_is_known_to_be_damaged_is_passed_over_for_what_it_lost(
    transactional_db: None, redis_url: str, tmp_path: Path
) -> None:
    _subclient, row, other = two_backup_copies(tmp_path)
    assert run(launch_verify(media=row.media, percent=100)).state == JobState.FAILED, picture()
    job = launch_restore(row.snapshot, target=str(tmp_path / "back"))
    assert job.copy == other
    assert f"{row.copy.name} lacks “{tmp_path / 'source' / 'file'}”" in job.parameters["source_reason"]
    with pytest.raises(CannotLaunch, match="was chosen and lacks"):
        launch_restore(row.snapshot, row.copy, target=str(tmp_path / "back"))


def test_V2_everything_in_place_leaves_the_directories_above_as_they_are(
    transactional_db: None, redis_url: str, tmp_path: Path
) -> None:
    make_node()
    subclient = configure(tmp_path)
    fill(subclient)
    run(launch_snapshot(subclient))
    run(launch_backup_copy(subclient))
    (tmp_path / "source").parent.chmod(0o750)
    copy = backup_copy_of(subclient)
    assert run(launch_restore(Snapshot.objects.get(), copy, in_place=True)).state == JobState.COMPLETED, picture()
    assert stat.S_IMODE((tmp_path / "source").parent.stat().st_mode) == 0o750


def test_V1_a_node_that_does_not_reach_the_storage_reads_media_instead(subclient: Subclient) -> None:
    near, far = make_node(name="near"), make_node(name="far")
    subclient.file_server.access_nodes.set([near])
    row = make_backup_copy(make_snapshot(subclient), backup_copy_of(subclient))
    job = launch_restore(row.snapshot, target="/back", node=far)
    assert (job.parameters["source"], job.backup_copy, job.node) == ("media", row, far)
    assert "the node far does not reach the storage" in job.parameters["source_reason"]
    assert row.snapshot_id not in holds_of([row.snapshot]) or "works on it" not in str(holds_of([row.snapshot]))


def test_a_dry_run_takes_no_slot(subclient: Subclient) -> None:
    node = make_node(slots=1)
    snapshot = make_snapshot(subclient)
    first = launch_restore(snapshot, target="/back")
    assert (first.state, first.node) == (JobState.QUEUED, node)
    assert launch_restore(snapshot, target="/back").state == JobState.WAITING
    assert launch_restore(snapshot, target="/back", dry_run=True).state == JobState.QUEUED


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """While this file is there, no process restores more than 30 files. Processes that start later inherit it."""
    path = tmp_path / "hold"
    path.touch()
    write, written = FileWriter.write_whole, iter(range(10**9))

    def write_some(writer: FileWriter, job: FileJob, plain: bytes | Unread) -> None:
        while next(written) >= 30 and path.exists():
            time.sleep(0.02)
        write(writer, job, plain)

    monkeypatch.setattr(FileWriter, "write_whole", write_some)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["snapshot", "replica", "media"])
def test_J2_a_restore_whose_process_is_killed_goes_on(
    hold: Path, farm: Farm, large_subclient: Subclient, tmp_path: Path, kind: str
) -> None:
    copy = primary_of(large_subclient)
    if kind == "replica":
        target = configuration.create_file_server(
            name="vault-server", engine="directory", options={"area": str(tmp_path / "vault")}, user=None
        )
        copy = add_secondary(large_subclient, target)
    assert wait(launch_snapshot(large_subclient)).state == JobState.COMPLETED, picture()
    if kind == "replica":
        assert wait(launch_secondary_copy(subclient=large_subclient, copy=copy)).state == JobState.COMPLETED, picture()
    if kind == "media":
        copy = backup_copy_of(large_subclient)
        assert wait(launch_backup_copy(large_subclient)).state == JobState.COMPLETED, picture()
    back = tmp_path / "back"
    job = launch_restore(Snapshot.objects.get(), copy, target=str(back), overwrite=Overwrite.IF_NEWER)
    reach(job, lambda row: row.state == JobState.RUNNING and sum(path.is_file() for path in back.rglob("*")) >= 30)
    assert job.lease_pid
    os.kill(job.lease_pid, signal.SIGKILL)
    hold.unlink()
    wait(job)
    assert (job.state, job.attempt) == (JobState.COMPLETED, 2), picture()
    assert job.files_unmodified >= 25, "what the first attempt restored is not written again"
    source = Path(large_subclient.content_paths[0])
    assert describe_tree(back / source.relative_to("/")) == describe_tree(source)
