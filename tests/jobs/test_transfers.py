"""Snapshots that go from a node of one storage to a node of another, where no node reaches both (RULES O1, N)."""

from __future__ import annotations

import os
import socket
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from jobs import queues
from jobs.engine.events import FreeRun
from jobs.engine.snapshots.channel import Channel
from jobs.models import Job, JobState, SnapshotReplica
from jobs.rules.placement import Chosen, NoNode
from jobs.runner import meeting
from jobs.services import CannotLaunch, launch_backup_copy, launch_secondary_copy, launch_snapshot
from jobs.services.placing import lists_of, receiver_for
from policies import services as configuration
from policies.models import AccessNode, Copy, FileServer, Subclient
from tests.forks import fork
from tests.interop.restic import Restic
from tests.job_factories import make_node, make_snapshot
from tests.jobs.farm import PASSWORD, Farm, backup_copy_of, configure, picture, reach, until, wait
from tests.loopmounts import LoopMount
from tests.odd_tree import describe_tree

RUN = FreeRun()


def btrfs_server(name: str, volume: Path) -> FileServer:
    return configuration.create_file_server(name=name, engine="btrfs", options={"volume": str(volume)}, user=None)


def apart(folder: Path, here: Path, there: Path) -> tuple[Subclient, Copy]:
    """A subclient on ``here``, which the node *one* reaches, and a copy to ``there``, which only *far* reaches."""
    subclient = configure(folder)
    near, far = btrfs_server("here", here), btrfs_server("there", there)
    subclient.file_server = near
    subclient.content_paths = [str(here / "data")]
    subclient.save()
    near.access_nodes.set([AccessNode.objects.get_or_create(name="one")[0]])
    far.access_nodes.set([AccessNode.objects.get_or_create(name="far")[0]])
    made = configuration.create_copy(
        subclient.policy, name="vault", kind="secondary_snap", target_server=far, user=None
    )
    return subclient, Copy.objects.select_related("target_server", "policy", "source").get(pk=made.pk)


@pytest.fixture
def rows(db: None, tmp_path: Path) -> tuple[Subclient, Copy]:
    """Rows only."""
    make_node(name="one")
    make_node(name="far")
    return apart(tmp_path, tmp_path / "here", tmp_path / "there")


@pytest.fixture
def mounts(transactional_db: None, loop_mount: LoopMount) -> tuple[Path, Path]:
    here, there = loop_mount("btrfs"), loop_mount("btrfs")
    (here / "data").mkdir()
    return here, there


def test_N1_a_node_of_the_source_sends_and_one_of_the_target_receives(rows: tuple[Subclient, Copy]) -> None:
    subclient, vault = rows
    make_snapshot(subclient)
    job = launch_secondary_copy(subclient=subclient, copy=vault)
    assert (job.node_label, set(lists_of(job).nodes)) == ("one", {"one"})
    chosen = receiver_for(vault)
    assert isinstance(chosen, Chosen)
    assert chosen.name == "far"
    AccessNode.objects.filter(name="far").update(last_seen_at=None)
    assert isinstance(receiver_for(vault), NoNode)


def test_N1_a_storage_that_cannot_stream_still_needs_a_node_that_reaches_both(rows: tuple[Subclient, Copy]) -> None:
    subclient, vault = rows
    FileServer.objects.filter(name__in=("here", "there")).update(engine="directory")
    subclient.refresh_from_db()
    make_snapshot(subclient)
    with pytest.raises(CannotLaunch, match="No access node reaches both"):
        launch_secondary_copy(subclient=subclient, copy=Copy.objects.get(pk=vault.pk))


@pytest.mark.system
@pytest.mark.interop
def test_O1_snapshots_are_streamed_as_differences_and_copied_to_media_by_the_far_node(
    farm: Farm, mounts: tuple[Path, Path], tmp_path: Path
) -> None:
    here, there = mounts
    subclient, vault = apart(tmp_path, here, there)
    farm.start_node("far")
    until(lambda: AccessNode.objects.get(name="far").is_online, what="the far node reports")
    (here / "data" / "large").write_bytes(os.urandom(4 << 20))
    wait(launch_snapshot(subclient))
    (here / "data" / "small").write_bytes(b"small")
    wait(launch_snapshot(subclient))

    job = wait(launch_secondary_copy(subclient=subclient, copy=vault))
    assert (job.state, job.node_label) == (JobState.COMPLETED, "one"), picture()
    assert job.events.filter(code="receiver-chosen", sentence__startswith="Node far receives").exists()
    assert job.result["sent_bytes"] > 4 << 20
    following = wait(Job.objects.get(pk=job.result["next_job"]))
    assert following.state == JobState.COMPLETED, picture()
    assert following.result["base"] == job.result["snapshot"], "only the difference"
    assert following.result["sent_bytes"] < 100_000

    policy = vault.policy
    policy.backup_source = vault
    policy.save()
    copied = wait(launch_backup_copy(subclient, backup_copy_of(subclient)))
    assert (copied.state, copied.node_label) == (JobState.COMPLETED, "far"), picture()
    wait(Job.objects.get(pk=copied.result["next_job"]))
    restic = Restic(repository=tmp_path / "media", password=PASSWORD)
    restic.judge()
    restic.run("restore", "latest", "--target", str(tmp_path / "back"))
    assert describe_tree(tmp_path / "back" / str(here / "data")[1:]) == describe_tree(here / "data")


@pytest.mark.system
def test_N5_while_no_node_of_the_target_is_online_the_transfer_is_tried_again(
    farm: Farm, mounts: tuple[Path, Path], tmp_path: Path
) -> None:
    here, there = mounts
    subclient, vault = apart(tmp_path, here, there)
    wait(launch_snapshot(subclient))
    job = launch_secondary_copy(subclient=subclient, copy=vault)
    reach(job, lambda row: row.state == JobState.PENDING and row.attempt > 1)
    assert "No node of there can receive now" in job.state_reason, picture()
    Job.objects.filter(pk=job.pk).update(retry_at=timezone.now() + timedelta(hours=1))  # not before the node is there
    farm.start_node("far")
    until(lambda: AccessNode.objects.get(name="far").is_online, what="the far node reports")
    Job.objects.filter(pk=job.pk).update(retry_at=job.queued_at or job.created_at)
    assert wait(job).state == JobState.COMPLETED, picture()
    assert SnapshotReplica.objects.get().state == "copied"


@pytest.mark.django_db
def test_a_stranger_on_the_transfer_port_is_hung_up_on_and_the_sender_still_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(meeting, "_CONNECT_SECONDS", 60.0)
    context, certificate = meeting._own_certificate()
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.load_verify_locations(cadata=certificate)

    def come(key: str) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", port))
        return trusting.wrap_socket(plain, server_hostname="snapcopy-transfer")

    with meeting._listening() as listener:
        port = listener.getsockname()[1]
        pid = fork()
        if pid == 0:
            code = 1
            try:
                with socket.create_connection(("127.0.0.1", port)) as plain:
                    plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
                for key, is_right in (("wrong", False), ("right", True)):
                    with come(key) as connection:
                        channel = Channel(connection, RUN, silence_seconds=60)
                        channel.tell(key=key)
                        if is_right:
                            channel.tell(hello="there")
                            code = 0 if channel.hear() == {"hello": "back"} else 2
            finally:
                os._exit(code)
        with meeting._accepted(listener, context, "right", RUN) as channel:
            assert channel.hear() == {"hello": "there"}
            channel.tell(hello="back")
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_an_offer_reaches_whoever_knows_the_key_and_nobody_else(redis_url: str) -> None:
    queues.offer("key", {"port": 1})
    assert queues.wait_for_offer("other", seconds=0.05) is None
    assert queues.wait_for_offer("key", seconds=0.05) == {"port": 1}
