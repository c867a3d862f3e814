"""Secondary snap copies: rows, order, base protection, nodes, and whole jobs between real btrfs mounts (O1, B5, B6)."""

from __future__ import annotations

import os
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from jobs.engine.snapshots.btrfs.engine import BtrfsEngine, BtrfsOptions
from jobs.holds import holds_of
from jobs.models import BackupCopy, CopyState, Job, JobState, Operation, Snapshot, SnapshotReplica, SnapshotState
from jobs.rules.holds import Hold
from jobs.rules.retry import MOST_COPY_FAILURES
from jobs.services import (
    CannotLaunch,
    NothingNew,
    delete_replica,
    launch_backup_copy,
    launch_secondary_copies,
    launch_secondary_copy,
    launch_snapshot,
    refresh_selection,
)
from jobs.services.outcomes import Failed, Killed
from jobs.services.placing import lists_of
from jobs.services.replicas import next_replica, refresh_replicas
from jobs.services.secondary import settle_replica
from jobs.services.selection import next_to_copy
from policies import services as configuration
from policies.models import Copy, FileServer, Subclient
from policies.resolve import install_id
from snapcopy_site.lib.roles import Role
from tests.factories import make_user
from tests.interop.restic import Restic
from tests.job_factories import make_backup_copy, make_job, make_node, make_snapshot
from tests.jobs.farm import PASSWORD, Farm, backup_copy_of, configure, picture, wait
from tests.jobs.test_repository_copies import add_fed_copy
from tests.loopmounts import LoopMount
from tests.odd_tree import describe_tree


def add_secondary(subclient: Subclient, target: FileServer, *, name: str = "vault") -> Copy:
    made = configuration.create_copy(
        subclient.policy, name=name, kind="secondary_snap", target_server=target, user=None
    )
    return Copy.objects.select_related("target_server", "policy", "source").get(pk=made.pk)


def read_from(copy: Copy, *, allow_primary: bool = False) -> None:
    """Let the policy's backup copies read the secondary snap copy (B6)."""
    policy = copy.policy
    policy.backup_source, policy.allow_primary = copy, allow_primary
    policy.save()


@pytest.fixture
def vault(subclient: Subclient, tmp_path: Path) -> Copy:
    """A secondary snap copy on another directory server; rows only."""
    target = configuration.create_file_server(
        name="vault-server", engine="directory", options={"area": str(tmp_path / "vault")}, user=None
    )
    return add_secondary(subclient, target)


def present(snapshot: Snapshot, copy: Copy) -> SnapshotReplica:
    """A replica as a job leaves it."""
    replica = SnapshotReplica.objects.get(snapshot=snapshot, copy=copy)
    replica.state, replica.copied_at = CopyState.COPIED, snapshot.taken_at
    replica.ref = {"taken_at_ns": 1, "handle": {}, "warnings": []}
    replica.save()
    return replica


def test_O1_every_snapshot_gets_a_row_and_is_held_until_it_is_sent(subclient: Subclient, vault: Copy) -> None:
    snapshot = make_snapshot(subclient)
    refresh_selection(subclient)
    refresh_replicas(subclient)
    replica = SnapshotReplica.objects.get()
    assert (replica.state, replica.file_server) == (CopyState.TO_BE_COPIED, vault.target_server)
    assert Hold.NOT_COPIED in {held.hold for held in holds_of([snapshot])[snapshot.pk]}


def test_O3_a_copy_that_is_switched_off_gets_no_rows_and_nothing_waits_for_it(
    subclient: Subclient, vault: Copy
) -> None:
    read_from(vault)
    Copy.objects.filter(pk=vault.pk).update(is_active=False)
    make_snapshot(subclient)
    refresh_selection(subclient)
    assert not SnapshotReplica.objects.exists()
    assert next_to_copy(subclient, backup_copy_of(subclient)) is not None
    with pytest.raises(CannotLaunch, match="switched off"):
        launch_secondary_copy(subclient=subclient, copy=Copy.objects.get(pk=vault.pk))


@pytest.mark.parametrize("change", [{"is_active": False}, {"engine": "xfs"}])
def test_a_refusal_names_the_copy_and_not_the_file_server_that_may_be_out_of_sight(
    change: dict[str, object], subclient: Subclient, vault: Copy
) -> None:
    make_snapshot(subclient)
    FileServer.objects.filter(name="vault-server").update(**change)
    with pytest.raises(CannotLaunch) as refusal:
        launch_secondary_copy(subclient=subclient, copy=Copy.objects.get(pk=vault.pk))
    assert vault.name in str(refusal.value)
    assert "vault-server" not in str(refusal.value)


def test_B5_the_oldest_is_sent_first_and_gaps_before_the_newest_stay(subclient: Subclient, vault: Copy) -> None:
    older, newer = make_snapshot(subclient, n=1), make_snapshot(subclient, n=2)
    refresh_replicas(subclient)
    found = next_replica(subclient, vault)
    assert found is not None
    assert found.snapshot == older
    SnapshotReplica.objects.filter(snapshot=older).delete()
    present(newer, vault)
    refresh_replicas(subclient)
    assert next_replica(subclient, vault) is None


def test_R6_the_newest_common_snapshot_is_held_only_where_the_engine_sends_differences(
    subclient: Subclient, vault: Copy
) -> None:
    older, newer = make_snapshot(subclient, n=1, engine="btrfs"), make_snapshot(subclient, n=2, engine="btrfs")
    refresh_replicas(subclient)
    present(older, vault)
    present(newer, vault)
    held = holds_of([older, newer])
    assert older.pk not in held
    assert [one.sentence for one in held[newer.pk]] == ["the next transfer to vault starts from it"]
    Snapshot.objects.update(engine="directory")
    assert holds_of([older, newer]) == {}


def test_B6_a_backup_copy_waits_for_the_secondary_and_never_falls_back_silently(
    subclient: Subclient, vault: Copy
) -> None:
    read_from(vault)
    snapshot = make_snapshot(subclient)
    copy = backup_copy_of(subclient)
    refresh_selection(subclient)
    assert next_to_copy(subclient, copy) is None
    with pytest.raises(NothingNew, match="not on vault yet"):
        launch_backup_copy(subclient, copy)
    sending = launch_secondary_copy(subclient=subclient, copy=vault)
    job = launch_backup_copy(subclient, copy)
    assert (job.state, job.state_reason) == (
        JobState.WAITING,
        f"{snapshot.name} is not on vault yet: job {sending.pk} is at it.",
    )


def test_B6_the_primary_serves_only_where_the_policy_allows_it(subclient: Subclient, vault: Copy) -> None:
    read_from(vault, allow_primary=True)
    make_snapshot(subclient)
    refresh_selection(subclient)
    assert next_to_copy(subclient, backup_copy_of(subclient)) is not None


def test_B6_a_snapshot_that_only_the_secondary_still_has_is_copied(subclient: Subclient, vault: Copy) -> None:
    read_from(vault)
    snapshot = make_snapshot(subclient)
    refresh_selection(subclient)
    present(snapshot, vault)
    Snapshot.objects.update(state=SnapshotState.DELETED)
    found = next_to_copy(subclient, backup_copy_of(subclient))
    assert found is not None
    assert found.snapshot == snapshot


def test_N2_the_media_agents_of_the_source_snap_copy_and_the_nodes_of_its_storage_count(
    subclient: Subclient, vault: Copy
) -> None:
    read_from(vault)
    snapshot = make_snapshot(subclient)
    refresh_selection(subclient)
    present(snapshot, vault)
    primary, agent, there = (make_node(name=name) for name in ("primary", "agent", "there"))
    subclient.policy.copies.get(kind="primary_snap").media_agents.add(primary)
    vault.media_agents.add(agent)
    subclient.file_server.access_nodes.add(primary)
    assert vault.target_server is not None
    vault.target_server.access_nodes.add(there, agent)
    job = make_job(
        operation=Operation.BACKUP_COPY,
        state=JobState.PENDING,
        subclient=subclient,
        copy=backup_copy_of(subclient),
        snapshot=snapshot,
    )
    lists = lists_of(Job.objects.get(pk=job.pk))
    assert lists.nodes == {"there", "agent"}
    assert lists.agents == {"agent"}


def test_N1_a_transfer_runs_on_a_node_that_reaches_both_and_is_refused_without_one(
    subclient: Subclient, vault: Copy
) -> None:
    make_snapshot(subclient)
    assert vault.target_server is not None
    one, both = make_node(name="one"), make_node(name="both")
    subclient.file_server.access_nodes.add(one, both)
    vault.target_server.access_nodes.add(both)
    assert launch_secondary_copy(subclient=subclient, copy=vault).node_label == "both"
    Job.objects.all().delete()
    vault.target_server.access_nodes.set([make_node(name="far")])
    with pytest.raises(CannotLaunch, match="No access node reaches both"):
        launch_secondary_copy(subclient=subclient, copy=vault)


def test_O1_another_engine_and_nothing_to_send_are_refused(subclient: Subclient, vault: Copy) -> None:
    with pytest.raises(NothingNew):
        launch_secondary_copy(subclient=subclient, copy=vault)
    make_snapshot(subclient)
    first = launch_secondary_copy(subclient=subclient, copy=vault)
    assert launch_secondary_copy(subclient=subclient, copy=vault) == first
    FileServer.objects.filter(name="vault-server").update(engine="xfs")
    with pytest.raises(CannotLaunch, match="do not fit"):
        launch_secondary_copy(subclient=subclient, copy=Copy.objects.get(pk=vault.pk))


def test_a_person_sends_from_the_page_of_the_subclient(subclient: Subclient, vault: Copy) -> None:
    make_snapshot(subclient)
    client = Client()
    client.force_login(make_user(Role.OPERATOR))
    page = client.get(reverse("subclient", args=(subclient.file_server.name, subclient.name)))
    assert "vault (snapshots to vault-server)" in page.content.decode()
    client.post(reverse("copy-now", args=(subclient.file_server.name, subclient.name)), {"copy": vault.pk})
    job = Job.objects.get(operation=Operation.SECONDARY_COPY)
    assert (job.copy, job.started_by_label) == (vault, Role.OPERATOR.value)


def test_a_script_sends_one_subclient_or_a_whole_policy(subclient: Subclient, vault: Copy) -> None:
    make_snapshot(subclient)
    output = StringIO()
    call_command("copy", subclient.path, copy="vault", stdout=output)
    call_command("copy", policy=subclient.policy.name, copy="vault", stdout=output)
    job = Job.objects.get(operation=Operation.SECONDARY_COPY)
    assert (job.copy, job.initiator) == (vault, "script")


def test_B6_a_schedule_of_secondary_copies_feeds_snap_and_backup_copies(
    subclient: Subclient, vault: Copy, tmp_path: Path
) -> None:
    fed = add_fed_copy(tmp_path, subclient)
    snapshot = make_snapshot(subclient)
    make_backup_copy(snapshot, backup_copy_of(subclient))
    launched = launch_secondary_copies(scope=subclient.policy, initiator="schedule", how="policy")
    assert [(job.operation, job.copy) for job in launched.jobs] == [
        (Operation.SECONDARY_COPY, vault),
        (Operation.BACKUP_COPY, fed),
    ]


def test_J3_a_killed_transfer_is_still_to_be_sent(subclient: Subclient, vault: Copy) -> None:
    make_snapshot(subclient)
    job = launch_secondary_copy(subclient=subclient, copy=vault)
    SnapshotReplica.objects.update(state=CopyState.COPYING)
    job.refresh_from_db()
    settle_replica(job, Killed())
    replica = SnapshotReplica.objects.get()
    assert (replica.state, replica.state_reason) == (CopyState.TO_BE_COPIED, "killed")
    for _ in range(MOST_COPY_FAILURES):
        job = Job.objects.select_related("replica").get(pk=job.pk)
        settle_replica(job, Failed(code="x", sentence="It broke."))
    replica.refresh_from_db()
    assert (replica.state, replica.failures) == (CopyState.SKIPPED, MOST_COPY_FAILURES)


def btrfs_server(name: str, mount: Path) -> FileServer:
    return configuration.create_file_server(name=name, engine="btrfs", options={"volume": str(mount)}, user=None)


@pytest.fixture
def on_btrfs(transactional_db: None, tmp_path: Path, loop_mount: LoopMount) -> tuple[Subclient, Copy, Path, Path]:
    """A subclient on one btrfs, a secondary snap copy on another, and both mounts."""
    subclient = configure(tmp_path)
    here, there = loop_mount("btrfs"), loop_mount("btrfs")
    (here / "data").mkdir()
    subclient.file_server = btrfs_server("here", here)
    subclient.content_paths = [str(here / "data")]
    subclient.save()
    return subclient, add_secondary(subclient, btrfs_server("there", there)), here, there


def snap(subclient: Subclient) -> Snapshot:
    job = wait(launch_snapshot(subclient))
    assert job.snapshot is not None, picture()
    return job.snapshot


@pytest.mark.system
@pytest.mark.interop
def test_B6_snapshots_are_sent_as_differences_and_copied_from_the_other_storage(
    farm: Farm, on_btrfs: tuple[Subclient, Copy, Path, Path], tmp_path: Path
) -> None:
    subclient, vault, here, _there = on_btrfs
    read_from(vault)
    (here / "data" / "large").write_bytes(os.urandom(2 << 20))
    first = snap(subclient)
    (here / "data" / "small").write_bytes(b"small")
    second = snap(subclient)

    launched = launch_secondary_copies(scope=subclient, initiator="person", how="cli")
    (job,) = launched.jobs
    job = wait(job)
    assert (job.state, job.result["base"]) == (JobState.COMPLETED, ""), picture()
    assert job.bytes_done == job.result["sent_bytes"] > 2 << 20
    following = wait(Job.objects.get(pk=job.result["next_job"]))
    assert (following.state, following.result["base"]) == (JobState.COMPLETED, first.name), picture()
    assert following.result["sent_bytes"] < 100_000
    one, two = SnapshotReplica.objects.order_by("snapshot__taken_at")
    assert (one.state, two.state, two.base) == (CopyState.COPIED, CopyState.COPIED, one)

    source_engine = BtrfsEngine(BtrfsOptions(volume=here), install_id())
    for ref in source_engine.list():
        source_engine.delete(ref)
    Snapshot.objects.update(state=SnapshotState.DELETED)
    copied = wait(launch_backup_copy(subclient, backup_copy_of(subclient)))
    assert copied.state == JobState.COMPLETED, picture()
    assert copied.events.filter(sentence__contains="Copied from the secondary snap copy").exists()
    after = wait(Job.objects.get(pk=copied.result["next_job"]))
    assert (after.state, after.ran_level, after.snapshot) == (JobState.COMPLETED, "incremental", second), picture()
    assert after.bytes_read < 1 << 20, "the other btrfs tells what changed between its own two"
    restic = Restic(repository=tmp_path / "media", password=PASSWORD)
    restic.judge()
    restic.run("restore", "latest", "--target", str(tmp_path / "back"))
    assert describe_tree(tmp_path / "back" / str(here / "data")[1:]) == describe_tree(here / "data")


@pytest.mark.system
def test_R4_an_aged_replica_is_deleted_on_its_target_and_the_primary_stays(
    farm: Farm, on_btrfs: tuple[Subclient, Copy, Path, Path]
) -> None:
    subclient, vault, _here, there = on_btrfs
    snapshot = snap(subclient)
    wait(launch_secondary_copy(subclient=subclient, copy=vault))
    replica = SnapshotReplica.objects.get()
    assert (there / ".snapcopy" / snapshot.name).is_dir(), picture()
    job = delete_replica(replica, reason="Its days are over.")
    assert job is not None
    assert wait(job).state == JobState.COMPLETED, picture()
    replica.refresh_from_db()
    assert (replica.state, replica.state_reason) == (CopyState.AGED, "Its days are over.")
    assert replica.deleted_at is not None
    assert not (there / ".snapcopy" / snapshot.name).exists()
    snapshot.refresh_from_db()
    assert snapshot.is_present
    assert delete_replica(replica, reason="again") is None


@pytest.mark.system
def test_B7_a_snapshot_that_is_gone_is_skipped_and_the_next_one_sent(
    farm: Farm, on_btrfs: tuple[Subclient, Copy, Path, Path]
) -> None:
    subclient, vault, here, _there = on_btrfs
    gone, _second = snap(subclient), snap(subclient)
    engine = BtrfsEngine(BtrfsOptions(volume=here), install_id())
    engine.delete(next(ref for ref in engine.list() if ref.name == gone.name))
    job = wait(launch_secondary_copy(subclient=subclient, copy=vault))
    assert (job.state, job.error_code) == (JobState.FAILED, "snapshot-missing"), picture()
    assert wait(Job.objects.get(pk=job.result["next_job"])).state == JobState.COMPLETED
    states = SnapshotReplica.objects.order_by("snapshot__taken_at").values_list("state", flat=True)
    assert list(states) == [CopyState.SKIPPED, CopyState.COPIED]


@pytest.mark.system
def test_B1_an_inline_policy_sends_first_and_copies_from_there_within_the_snapshot_job(
    farm: Farm, on_btrfs: tuple[Subclient, Copy, Path, Path]
) -> None:
    subclient, vault, here, _there = on_btrfs
    read_from(vault)
    subclient.policy.refresh_from_db()
    subclient.policy.is_inline = True
    subclient.policy.save()
    (here / "data" / "file").write_text("text")
    job = wait(launch_snapshot(subclient))
    assert job.state == JobState.COMPLETED, picture()
    assert [child.operation for child in job.children.order_by("pk")] == ["secondary_copy", "backup_copy"]
    assert BackupCopy.objects.get().state == CopyState.COPIED
    assert SnapshotReplica.objects.get().state == CopyState.COPIED
