"""Repositories that others wrote are attached: looked at, imported, browsed, searched, restored, copied onto (V1)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from jobs.engine.plan import Secret
from jobs.models import BackupCopy, CatalogState, Job, JobState, Snapshot
from jobs.selectors_pages.protection import subclient_states
from jobs.services import launch_aging, launch_attach, launch_backup_copy, launch_restore, launch_snapshot
from policies import services as configuration
from policies.declared.picture import picture as declared
from policies.models import FileServer, Media, Subclient, UserScope
from policies.secrets import REPOSITORY_PASSWORD
from snapcopy_site.lib.roles import Role
from tests.factories import make_user
from tests.interop.restic import Restic
from tests.job_factories import make_node
from tests.jobs.farm import PASSWORD, picture
from tests.jobs.here import answering_here, run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.interop]


@pytest.fixture
def others(tmp_path: Path, redis_url: str) -> Restic:
    """What stock restic wrote: two points of one host, one of another, one of a relative path."""
    make_node(slots=4)
    source = tmp_path / "their" / "data"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / os.fsdecode(b"odd \xff name")).write_bytes(os.urandom(3000))
    (source / "large").write_bytes(os.urandom(2_000_000))
    (source / "link").symlink_to("large")
    restic = Restic(repository=tmp_path / "there", password=PASSWORD)
    restic.run("init")
    restic.run("backup", "--host", "web 1", str(source))
    (source / "second-only").write_text("came later")
    restic.run("backup", "--host", "web 1", str(source))
    restic.run("backup", "--host", "db", "--tag", "snapshot=sc-1-2-3", str(source / "deep"))
    restic.run("backup", "--host", "db", "data/second-only", cwd=tmp_path / "their")
    return restic


def medium_at(path: Path, *, password: str = PASSWORD, name: str = "theirs") -> Media:
    secrets = {REPOSITORY_PASSWORD: Secret(password)}
    return configuration.create_media(
        name=name, kind="disk", options={"path": str(path), "fsync": False}, secrets=secrets, user=None
    )


def everything_on(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file with its inode, time and content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = (status.st_ino, status.st_mtime_ns, content)
    return found


def contents(folder: Path) -> dict[bytes, bytes]:
    root = os.fsencode(folder)
    return {os.fsencode(path)[len(root) :]: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def signed_in(role: Role, **scope: Any) -> Client:
    user = make_user(role, username=f"{role.value}-{bool(scope)}")
    if scope:
        UserScope.objects.create(user=user).file_servers.set(scope["servers"])
    client = Client()
    client.force_login(user)
    return client


def test_v1_what_stock_restic_wrote_is_attached_browsed_searched_and_restored_byte_for_byte(
    others: Restic, tmp_path: Path
) -> None:
    """RULES V1: imported points serve restores like any other."""
    before = everything_on(others.repository)
    media = medium_at(others.repository)
    looked = run(launch_attach(media=media))
    assert looked.state == JobState.COMPLETED, picture()
    groups = {(one["host"], one["points"]) for one in looked.result["groups"]}
    assert groups == {("web 1", 2), ("db", 1)}
    assert (looked.result["snapshot_files"], looked.result["known"]) == (4, 0)
    assert not Snapshot.objects.exists(), "a look imports nothing"

    done = run(launch_attach(media=media, imports=True))
    assert (done.state, done.result["imported"]) == (JobState.COMPLETED, 4), picture()
    assert everything_on(others.repository) == before, "attaching changes nothing on the medium"
    media.refresh_from_db()
    assert media.repository_id == others.json("cat", "config")["id"]
    assert set(FileServer.objects.values_list("name", "is_active")) == {
        ("imported-web-1", False),
        ("imported-db", False),
    }
    assert set(Snapshot.objects.values_list("catalog_state", flat=True)) == {CatalogState.DONE}
    rows = BackupCopy.objects.filter(snapshot__subclient__file_server__name="imported-web-1")
    assert set(rows.values_list("files", flat=True)) == {2, 3}

    first, second = Snapshot.objects.filter(subclient__file_server__name="imported-web-1").order_by("taken_at")
    client = signed_in(Role.OPERATOR)
    data = str(tmp_path / "their" / "data")
    with answering_here():
        page = client.get(reverse("browse", args=[second.pk])).content.decode()
    assert "second-only" in page
    assert "second-only" in client.get(reverse("restore-search"), {"q": "second-only"}).content.decode()
    target = tmp_path / "back"
    job = run(launch_restore(first, first.backup_copies.get().copy, target=str(target)))
    assert job.state == JobState.COMPLETED, picture()
    expected = contents(tmp_path / "their" / "data")
    del expected[b"/second-only"]
    assert contents(Path(f"{target}{data}")) == expected

    again = run(launch_attach(media=media, imports=True))
    assert (again.result["imported"], again.result["known"]) == (0, 4), "importing twice imports nothing twice"
    assert run(launch_aging()).result["aged"] == 0


def test_a_relative_path_is_imported_as_everything(others: Restic, tmp_path: Path) -> None:
    run(launch_attach(media=medium_at(others.repository), imports=True))
    point = Snapshot.objects.get(content=["/"])
    run(launch_restore(point, point.backup_copies.get().copy, target=str(tmp_path / "back")))
    assert contents(tmp_path / "back") == {b"/data/second-only": b"came later"}


def test_an_attached_repository_is_copied_onto(others: Restic, tmp_path: Path) -> None:
    media = medium_at(others.repository)
    run(launch_attach(media=media, imports=True))
    before = {one["id"] for one in others.json("snapshots")}
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "file").write_bytes(os.urandom(100_000))
    policy = configuration.create_policy(name="own", user=None)
    configuration.create_copy(policy, name="onto", media=media, user=None)
    area: dict[str, object] = {"area": str(tmp_path / "area")}
    server = configuration.create_file_server(name="own", engine="directory", options=area, user=None)
    subclient = configuration.create_subclient(
        file_server=server, name="own", content_paths=[str(tmp_path / "own")], policy=policy, user=None
    )
    run(launch_snapshot(subclient))
    copied = run(launch_backup_copy(subclient))
    assert copied.state == JobState.COMPLETED, picture()
    after = {one["id"] for one in others.json("snapshots")}
    assert before < after
    assert after - before == {copied.backup_copy.snapshot_file_id if copied.backup_copy else ""}
    others.judge()
    assert run(launch_attach(media=media, imports=True)).result["imported"] == 0, "our own copies are known"


def test_imported_hosts_are_switched_off_and_no_part_of_the_configuration(others: Restic) -> None:
    run(launch_attach(media=medium_at(others.repository), imports=True))
    assert {state.state for state in subclient_states()} == {"inactive"}
    shown = declared()
    assert (shown["file_servers"], shown["subclients"], shown["policies"]) == ([], [], [])
    assert [medium["name"] for medium in shown["media"]] == ["theirs"]


@pytest.mark.parametrize(
    ("password", "folder", "code"), [("wrong", "there", "wrong-password"), (PASSWORD, "empty", "repository-missing")]
)
def test_a_repository_that_does_not_open_says_why_and_nothing_is_left(
    others: Restic, tmp_path: Path, password: str, folder: str, code: str
) -> None:
    (tmp_path / "empty").mkdir()
    media = medium_at(tmp_path / folder, password=password)
    job = run(launch_attach(media=media, imports=True))
    assert (job.state, job.error_code) == (JobState.FAILED, code)
    assert not Snapshot.objects.exists()
    assert list((tmp_path / "empty").iterdir()) == []
    media.refresh_from_db()
    assert media.repository_id is None


def test_a_repository_that_another_medium_uses_is_refused(others: Restic, tmp_path: Path) -> None:
    run(launch_attach(media=medium_at(others.repository)))
    (tmp_path / "second").symlink_to(others.repository)
    job = run(launch_attach(media=medium_at(tmp_path / "second", name="second"), imports=True))
    assert (job.state, job.error_code) == (JobState.FAILED, "repository-changed")


def test_an_admin_attaches_on_pages_and_scopes_are_respected(others: Restic) -> None:
    admin = signed_in(Role.ADMIN)
    typed = {
        "name": "theirs",
        "kind": "disk",
        "shown_kind": "disk",
        "option_path": str(others.repository),
        "option_min_free_bytes": "0",
        "is_active": "on",
        REPOSITORY_PASSWORD: PASSWORD,
    }
    assert "Repeat the password" not in admin.get(reverse("media-attach-new")).content.decode()
    answer = admin.post(reverse("media-attach-new"), typed)
    media = Media.objects.get()
    page = reverse("media-attach", args=[media.pk])
    assert answer["Location"] == page
    assert "polls" not in admin.get(page).content.decode()
    run(Job.objects.get())
    assert "Import 4 points" in admin.get(page).content.decode()
    admin.post(page, {"action": "import"})
    run(Job.objects.latest("pk"))
    shown = admin.get(page).content.decode()
    assert "imported-web-1" in shown
    assert "Import what is new" in shown

    db = FileServer.objects.get(name="imported-db")
    limited = signed_in(Role.OPERATOR, servers=[db])
    assert limited.get(page).status_code == 403
    assert "imported-web-1" not in limited.get(reverse("protect")).content.decode()
    web = Subclient.objects.filter(file_server__name="imported-web-1").get()
    point = web.snapshots.earliest("taken_at")
    assert limited.get(reverse("browse", args=[point.pk])).status_code == 404
    assert limited.get(reverse("job", args=[Job.objects.latest("pk").pk])).status_code == 404
