"""A snapshot that is neither catalogued nor copied is browsed on its storage, by a node that is asked (RULES V3)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import django_rq
import pytest
from django.test import Client
from django.urls import reverse

from jobs import queues
from jobs.engine.errors import NotInCopy, SnapshotMissing
from jobs.models import JobState, Snapshot, SnapshotReplica
from jobs.services import launch_backup_copy, launch_secondary_copy, launch_snapshot
from jobs.services.live_folder import live_folder
from policies import services as configuration
from policies.models import Subclient
from snapcopy_site.lib.roles import Role
from tests.factories import make_user
from tests.job_factories import make_node
from tests.jobs.farm import configure, picture
from tests.jobs.here import answering_here, run


@pytest.fixture
def subclient(transactional_db: None, redis_url: str, tmp_path: Path) -> Iterator[Subclient]:
    """Of a directory with a few odd things in it."""
    make_node()
    made = configure(tmp_path)
    source = tmp_path / "source"
    (source / "folder").mkdir()
    (source / "folder" / "inside").write_text("text")
    (source / "link").symlink_to("/etc")
    Path(os.fsdecode(bytes(source) + b"/caf\xe9")).write_text("not UTF-8")
    with answering_here():
        yield made


def snap(subclient: Subclient) -> Snapshot:
    make_node()
    job = run(launch_snapshot(subclient))
    assert job.state == JobState.COMPLETED, picture()
    return Snapshot.objects.get(job=job)


def address(snapshot: Snapshot, path: str = "") -> str:
    return reverse("browse", args=[snapshot.pk]) + (f"?path={path}" if path else "")


def enter() -> Client:
    client = Client()
    client.force_login(make_user(Role.OPERATOR))
    return client


def test_V3_folders_are_listed_from_the_storage_as_they_are_in_the_snapshot(subclient: Subclient) -> None:
    snapshot = snap(subclient)
    (source,) = (Path(path) for path in subclient.content_paths)
    (source / "later").write_text("x")
    entries = {entry.name: entry for entry in live_folder(snapshot, os.fsencode(source)).entries}
    assert set(entries) == {b"folder", b"link", b"caf\xe9"}
    assert entries[b"link"].link_target == b"/etc"
    assert entries[b"folder"].is_directory
    (inside,) = live_folder(snapshot, os.fsencode(source / "folder")).entries
    assert (inside.name, inside.size) == (b"inside", 4)
    (above,) = live_folder(snapshot, b"/").entries
    assert above.name == os.fsencode(source.parts[1]), "the way down to the content path"
    for wrong in ("link", "folder/inside", "nowhere"):
        with pytest.raises(NotInCopy):
            live_folder(snapshot, os.fsencode(source / wrong))


def test_V3_the_page_says_where_the_folder_comes_from(subclient: Subclient) -> None:
    snapshot = snap(subclient)
    client = enter()
    chain = client.get(reverse("subclient", args=["server-tree", "tree"])).content.decode()
    assert f'id="browse-live-{snapshot.pk}"' in chain
    page = client.get(address(snapshot)).content.decode()
    for words in ("read from the snapshot on its storage", "folder", "link", "Catalog now"):
        assert words in page
    make_node()
    run(launch_backup_copy(subclient))
    page = client.get(address(snapshot)).content.decode()
    assert "read from backup on disk-tree" in page, "what is on media needs no node"


def test_V3_what_is_gone_from_the_storage_is_said(subclient: Subclient, tmp_path: Path) -> None:
    snapshot = snap(subclient)
    (tmp_path / "snapshots" / snapshot.name).rename(tmp_path / "aside")
    with pytest.raises(SnapshotMissing):
        live_folder(snapshot, b"/")
    page = enter().get(address(snapshot))
    assert page.status_code == 503
    assert "is not in" in page.content.decode()


def test_V3_a_replica_is_browsed_when_the_primary_is_gone(subclient: Subclient, tmp_path: Path) -> None:
    target = configuration.create_file_server(
        name="vault-server", engine="directory", options={"area": str(tmp_path / "vault")}, user=None
    )
    configuration.create_copy(subclient.policy, name="vault", kind="secondary_snap", target_server=target, user=None)
    snapshot = snap(subclient)
    make_node()
    run(launch_secondary_copy(subclient=subclient))
    assert SnapshotReplica.objects.get().is_present, picture()
    Snapshot.objects.update(state="deleted")
    page = enter().get(address(snapshot)).content.decode()
    assert "read from the snapshot on its storage (vault)" in page


def test_V3_a_node_that_is_silent_is_told_within_seconds(
    transactional_db: None, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_node()
    snapshot = snap(configure(tmp_path))
    monkeypatch.setattr("jobs.services.asking.SECONDS", 1.0)
    page = enter().get(address(snapshot))
    assert page.status_code == 503
    assert "The access node one did not answer within 1 s." in page.content.decode()
    make_node(is_online=False)
    assert "No access node online" in enter_again().get(address(snapshot)).content.decode()


def test_V3_an_answer_is_awaited_longer_than_the_redis_client_waits_for_a_reply(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[float] = []

    class Late:
        def blpop(self, keys: list[str], timeout: float) -> tuple[str, str] | None:
            waited.append(timeout)
            return (keys[0], '{"entries": []}') if len(waited) == 4 else None

    monkeypatch.setattr(django_rq, "get_connection", lambda _name: Late())
    assert queues.wait_for_offer("key", seconds=60) == {"entries": []}
    assert max(waited) < 5


def enter_again() -> Client:
    client = Client()
    client.force_login(make_user(Role.OPERATOR, username="another"))
    return client


@pytest.mark.system
def test_V3_a_snapshot_of_a_real_volume_is_listed_as_it_was(
    transactional_db: None, redis_url: str, tmp_path: Path, btrfs_mount: Path
) -> None:
    make_node()
    subclient = configure(tmp_path)
    (btrfs_mount / "data").mkdir()
    (btrfs_mount / "data" / "before").write_text("1")
    (btrfs_mount / "other").mkdir()
    subclient.file_server = configuration.create_file_server(
        name="volume", engine="btrfs", options={"volume": str(btrfs_mount)}, user=None
    )
    subclient.content_paths = [str(btrfs_mount / "data")]
    subclient.save()
    snapshot = snap(subclient)
    (btrfs_mount / "data" / "before").unlink()
    with answering_here():
        assert [entry.name for entry in live_folder(snapshot, os.fsencode(btrfs_mount / "data")).entries] == [b"before"]
        above = live_folder(snapshot, os.fsencode(btrfs_mount)).entries
        assert [entry.name for entry in above] == [b"data"], "only the content paths, whatever else the volume holds"
        with pytest.raises(NotInCopy):
            live_folder(snapshot, os.fsencode(btrfs_mount / "other"))
