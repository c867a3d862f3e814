"""Browsing, the basket, downloads and the restore form, over a real repository."""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from jobs.engine.clock import SystemClock
from jobs.engine.events import FreeRun, NullSink
from jobs.engine.media.disk import DiskMedia, DiskOptions
from jobs.engine.operations import backup_copy
from jobs.engine.plan import CopyPlan, CopyResult, Secret, SourceRoot, StoredPath
from jobs.engine.repository.keys import ScryptCost
from jobs.engine.repository.repository import Repository
from jobs.models import BackupCopy, Job, Snapshot
from jobs.views import opened
from jobs.views.stored_paths import common_folder, crumbs, normalised, parent, paths_of_form, query_of_path
from policies.models import AuditEntry
from snapcopy_site.lib.roles import Role
from tests.factories import PASSWORD, backup_copy_of, make_media, make_policy, make_subclient, make_user
from tests.job_factories import make_backup_copy, make_node, make_snapshot

ODD = b"caf\xe9 & <b>.txt"


@dataclass(frozen=True, slots=True)
class Made:
    """A repository with one backup copy, made once for all tests here; nobody writes to it."""

    folder: Path
    result: CopyResult


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """/srv/home with three files, one of them with a name that is not UTF-8. Its key is a cheap one."""
    folder = tmp_path_factory.mktemp("repository")
    source = tmp_path_factory.mktemp("source")
    (source / "docs").mkdir()
    (source / "docs" / "plan.txt").write_text("the plan\n" * 1000)
    (source / "big").write_bytes(b"x" * 3_000_000)
    with open(os.fsencode(source) + b"/" + ODD, "wb") as file:
        file.write(b"odd")
    media, password = DiskMedia(DiskOptions(path=folder)), Secret(PASSWORD)
    Repository.create(media, password, cost=ScryptCost(n=1024, r=8, p=1))
    plan = CopyPlan(
        roots=(SourceRoot(directory=source, stored_as=StoredPath(b"/srv/home")),),
        hostname="fs1",
        username="test",
        taken_at_ns=1_700_000_000 * 10**9,
    )
    return Made(folder, backup_copy.run(plan, media, password, NullSink(), FreeRun(), SystemClock()))


@pytest.fixture
def point(db: None, made: Made, tmp_path: Path, settings: Settings) -> BackupCopy:
    """The row of that copy."""
    settings.SNAPCOPY_KEY_FILE = tmp_path / "keyring"
    (tmp_path / "media").symlink_to(made.folder)
    subclient = make_subclient(policy=make_policy(media=make_media(tmp_path / "media")))
    row = make_backup_copy(
        make_snapshot(subclient, taken_at=timezone.now()),
        backup_copy_of(subclient.policy),
        snapshot_file_id=made.result.snapshot_file_id,
        tree_id=made.result.tree_id,
    )
    opened.forget_all()
    return row


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(make_user(Role.OPERATOR))
    return client


def _browse(point: BackupCopy, path: bytes = b"") -> str:
    return reverse("browse", args=(point.snapshot_id,)) + (query_of_path(path) if path else "")


def test_browsing_begins_at_the_content_and_shows_folders_first(operator: Client, point: BackupCopy) -> None:
    page = operator.get(_browse(point))
    assert [row.name for row in page.context["listing"].rows] == ["docs", "big", "caf\\xe9 & <b>.txt"]
    html = page.content.decode()
    assert "caf\\xe9 &amp; &lt;b&gt;.txt" in html
    assert "2.86 MiB" in html


def test_a_click_opens_no_repository_again(
    operator: Client, point: BackupCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.get(_browse(point))
    opens: list[object] = []
    monkeypatch.setattr(opened, "_open", opens.append)
    assert operator.get(_browse(point, b"/srv/home/docs")).status_code == 200
    assert opens == []


def test_a_name_narrows_the_folder(operator: Client, point: BackupCopy) -> None:
    page = operator.get(_browse(point, b"/srv/home") + "&name=BI")
    assert [row.name for row in page.context["listing"].rows] == ["big"]


def test_a_large_folder_comes_in_pages(operator: Client, point: BackupCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.views.listing.PAGE", 2)
    first = operator.get(_browse(point, b"/srv/home")).context["listing"]
    second = operator.get(_browse(point, b"/srv/home") + f"&after={first.after}").context["listing"]
    assert [len(first.rows), len(second.rows), second.after] == [2, 1, ""]


def test_a_path_that_is_not_there_says_so(operator: Client, point: BackupCopy) -> None:
    page = operator.get(_browse(point, b"/srv/other"))
    assert page.status_code == 404
    assert "is not in this backup copy" in page.content.decode()


def test_a_medium_that_is_away_says_so(operator: Client, point: BackupCopy, tmp_path: Path) -> None:
    (tmp_path / "media").rename(tmp_path / "unplugged")
    page = operator.get(_browse(point))
    assert page.status_code == 503
    assert 'class="note note-bad"' in page.content.decode()


def test_one_file_is_downloaded_as_it_is(operator: Client, point: BackupCopy) -> None:
    answer = operator.get(reverse("download-file", args=(point.snapshot_id,)) + query_of_path(b"/srv/home/" + ODD))
    assert b"".join(answer.streaming_content) == b"odd"  # type: ignore[attr-defined]
    assert answer.headers["Content-Length"] == "3"
    assert "caf%5Cxe9" in answer.headers["Content-Disposition"]
    assert AuditEntry.objects.filter(sentence__startswith="Downloaded /srv/home/caf").exists()


def test_a_folder_is_not_a_file(operator: Client, point: BackupCopy) -> None:
    answer = operator.get(
        reverse("download-file", args=(point.snapshot_id,)) + query_of_path(b"/srv/home/docs"), follow=True
    )
    assert "is no regular file" in answer.content.decode()


def test_chosen_paths_come_as_an_archive(operator: Client, point: BackupCopy) -> None:
    paths = [b"/srv/home/docs".hex(), b"/srv/home/big".hex()]
    answer = operator.post(reverse("download", args=(point.snapshot_id,)), {"paths": paths, "format": "zip"})
    archive = zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content)))  # type: ignore[attr-defined]
    assert sorted(archive.namelist()) == ["big", "docs/", "docs/plan.txt"]
    assert archive.read("docs/plan.txt") == b"the plan\n" * 1000
    assert archive.testzip() is None


def test_the_basket_keeps_what_was_chosen_and_drops_what_a_folder_brings(operator: Client, point: BackupCopy) -> None:
    address = reverse("change-basket", args=(point.snapshot_id,))
    home = b"/srv/home".hex()
    operator.post(address, {"order": "add", "paths": [b"/srv/home/docs/plan.txt".hex()], "folder": home})
    page = operator.post(address, {"order": "add", "paths": [b"/srv/home/docs".hex()], "folder": home}, follow=True)
    assert [row["name"] for row in page.context["basket"]] == ["/srv/home/docs"]
    page = operator.post(address, {"order": "clear", "folder": home}, follow=True)
    assert page.context["basket"] == []


def test_a_restore_is_launched_with_what_the_form_says(operator: Client, point: BackupCopy) -> None:
    node = make_node()
    address = reverse("restore-start", args=(point.snapshot_id,))
    paths = [(b"/srv/home/" + ODD).hex(), b"/srv/home/docs".hex()]
    values = {"paths": paths, "target": "/restore/x", "layout": "flat", "overwrite": "never", "node": node.pk}
    answer = operator.post(address, values)
    job = Job.objects.get(operation="restore")
    assert answer.headers["Location"] == reverse("job", args=(job.pk,))
    assert job.parameters["paths"] == paths
    assert bytes.fromhex(job.parameters["strip_prefix"]) == b"/srv/home"
    assert (job.parameters["overwrite"], job.parameters["with_metadata"]) == ("never", False)


@pytest.mark.parametrize("target", ["", "relative/path", "/with\0nul"])
def test_a_wrong_target_comes_back_with_a_reason(target: str, operator: Client, point: BackupCopy) -> None:
    values = {"paths": [b"/srv".hex()], "target": target, "layout": "full", "overwrite": "always"}
    page = operator.post(reverse("restore-start", args=(point.snapshot_id,)), values)
    assert page.status_code == 200
    assert "target" in page.context["form"].errors
    assert not Job.objects.filter(operation="restore").exists()


def test_nothing_chosen_goes_back(operator: Client, point: BackupCopy) -> None:
    for address, values in (
        (reverse("download", args=(point.snapshot_id,)), {"format": "zip"}),
        (reverse("change-basket", args=(point.snapshot_id,)), {"order": "restore"}),
        (reverse("restore-start", args=(point.snapshot_id,)), {}),
    ):
        page = operator.post(address, values, follow=True)
        assert "Choose files or folders first." in page.content.decode(), address


def test_a_point_of_which_nothing_is_left_is_not_found(operator: Client, point: BackupCopy) -> None:
    BackupCopy.objects.filter(pk=point.pk).update(state="to_be_copied")
    Snapshot.objects.update(state="deleted")
    assert operator.get(_browse(point)).status_code == 404


def test_the_way_from_a_subclient_leads_to_its_newest_copy(operator: Client, point: BackupCopy) -> None:
    subclient = point.snapshot.subclient
    address = reverse("restore-subclient", args=(subclient.file_server.name, subclient.name))
    assert operator.get(address).headers["Location"] == _browse(point)
    BackupCopy.objects.all().delete()
    Snapshot.objects.update(state="deleted")
    assert "There is nothing of it to restore yet" in operator.get(address).content.decode()


def test_a_viewer_may_not_look_into_files(point: BackupCopy) -> None:
    viewer = Client()
    viewer.force_login(make_user(Role.VIEWER))
    for name in ("browse", "download-file", "restore-start"):
        assert viewer.get(reverse(name, args=(point.snapshot_id,))).status_code == 403


Part = st.binary(min_size=1, max_size=20).filter(lambda part: b"/" not in part and b"\0" not in part)


@given(st.lists(Part, max_size=5))
def test_any_path_survives_an_address_and_a_form(parts: list[bytes]) -> None:
    path = b"/" + b"/".join(parts)
    assert paths_of_form([path.hex()]) == [path]
    assert normalised(path + b"//") == path
    assert parent(path) == (b"/" + b"/".join(parts[:-1]) if parts else b"/")
    assert len(crumbs(path)) == len(parts)


def test_the_common_folder_holds_every_path() -> None:
    assert common_folder([b"/srv/home/a", b"/srv/home/b/c"]) == b"/srv/home"
    assert common_folder([b"/srv", b"/var"]) == b"/"
    assert common_folder([b"/srv/home/a"]) == b"/srv/home"
    assert paths_of_form(["zz", "", b"/a".hex(), b"/a".hex()]) == [b"/", b"/a"]
