"""Whole ways through the product, with a real node: from an empty installation to a file that came back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from unittest import mock

import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from jobs.models import Job, JobState
from jobs.node import STOP_SECONDS
from jobs.services import asking
from policies.models import AccessNode, access_node
from snapcopy_site.lib.roles import Role
from tests.browser.conftest import Visit
from tests.browser.world import make_world
from tests.factories import make_user
from tests.jobs.farm import picture, until

ROOT: Final = Path(__file__).resolve().parents[2]
JOB_MS: Final = 90_000


@pytest.mark.slow
def test_a_new_admin_configures_copies_and_gets_a_file_back(visit: Visit, redis_url: str, tmp_path: Path) -> None:
    source = _source(tmp_path / "data")
    (tmp_path / "media").mkdir()
    visitor = visit(Role.ADMIN, accept_downloads=True)
    with real_node(key_file=Path(settings.SNAPCOPY_KEY_FILE)):
        page = visitor.open("/")
        page.get_by_role("link", name="Begin").click()
        _configure(page, source, tmp_path)
        page = visitor.open("/protect/files/office/")
        page.get_by_role("button", name="Snapshot now").click()
        expect_end(page, "Completed")
        page = visitor.open("/protect/files/office/")
        page.get_by_role("button", name="Copy now").click()
        expect_end(page, "Completed")
        expect(page.get_by_text("All 3 files are in the copy.")).to_be_visible()
        expect(page.locator("#restic-commands")).to_contain_text("restic restore")
        page.get_by_role("link", name="Browse").click()
        page.get_by_role("link", name="reports").click()
        with page.expect_download() as download:
            page.get_by_role("link", name="Download annual.txt").click()
        assert download.value.path().read_text() == "the year was good\n"
        page.get_by_label("Choose annual.txt").check()
        with page.expect_download() as archive:
            page.get_by_role("button", name="zip").click()
        assert zipfile.ZipFile(archive.value.path()).namelist() == ["annual.txt"]
        _restore_through_the_basket(page, tmp_path / "restored")
        assert (tmp_path / "restored" / "annual.txt").read_text() == "the year was good\n"


def test_a_viewer_sees_and_changes_nothing(visit: Visit) -> None:
    world = make_world()
    visitor = visit(Role.VIEWER)
    visitor.expected = ("403",)
    page = visitor.open("/")
    expect(page.get_by_role("button", name="Copy now")).to_have_count(0)
    page = visitor.open(f"/jobs/{world.running.pk}/")
    expect(page.get_by_text("42 %")).to_be_visible()
    expect(page.get_by_role("button", name="Kill")).to_have_count(0)
    page = visitor.open(f"/restore/{world.copied.snapshot_id}/")
    expect(page.get_by_text("This needs the role operator.")).to_be_visible()


def test_an_operator_acknowledges_a_failure(visit: Visit) -> None:
    world = make_world()
    page = visit(Role.OPERATOR).open("/")
    page.get_by_role("button", name=f"Acknowledge job {world.failed.pk}").click()
    expect(page.get_by_text("it no longer asks for attention")).to_be_visible()
    expect(page.locator(".attention")).not_to_contain_text(str(world.failed.error_sentence))
    world.failed.refresh_from_db()
    assert world.failed.acknowledged_by is not None


def test_signing_in_and_out(visit: Visit) -> None:
    user = make_user(Role.ADMIN, password="a long enough password")
    page = visit(None).open("/jobs/")
    page.get_by_label("Name").fill(user.username)
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Name or password is wrong.")).to_be_visible()
    page.get_by_label("Password").fill("a long enough password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1, name="Jobs")).to_be_visible()
    page.get_by_text(user.username, exact=True).click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1, name="Sign in")).to_be_visible()


def _lives(children: list[subprocess.Popen[bytes]]) -> bool:
    """A worker that dies on its first import fails the test at once."""
    assert all(child.poll() is None for child in children), "a node or scheduler ended by itself"
    return True


def _reported() -> bool:
    return AccessNode.objects.filter(last_seen_at__isnull=False).exists()


def _source(folder: Path) -> Path:
    (folder / "reports").mkdir(parents=True)
    (folder / "reports" / "annual.txt").write_text("the year was good\n")
    (folder / "reports" / "ärger.txt").write_text("none\n")
    (folder / "readme").write_text("hello\n")
    return folder


def _configure(page: Page, source: Path, folder: Path) -> None:
    """The three steps."""
    page.get_by_label("Name", exact=True).fill("files")
    page.get_by_label("Snapshot area").fill(str(folder / "snapshots"))
    page.get_by_label("Name of the subclient").fill("office")
    page.get_by_label("Content paths").fill(str(source))
    page.get_by_role("button", name="Go on").click()
    page.get_by_label("Name", exact=True).fill("disk-a")
    page.get_by_label("Directory", exact=True).fill(str(folder / "media"))
    page.get_by_label("Repository password").fill("correct horse battery")
    page.get_by_label("Repeat the password").fill("correct horse battery")
    page.get_by_role("button", name="Go on").click()
    page.get_by_label("Name of the new policy").fill("daily")
    page.get_by_label("Copy right after each snapshot").uncheck()
    page.get_by_role("button", name="Create the policy and the subclient").click()
    expect(page.get_by_role("heading", level=1, name="office")).to_be_visible()


def _restore_through_the_basket(page: Page, target: Path) -> None:
    page.get_by_label("Choose annual.txt").check()
    page.get_by_role("button", name="Put in the basket").click()
    page.get_by_role("link", name="Restore the basket").click()
    page.get_by_label("Target directory").fill(str(target))
    page.get_by_label("Leave out").check()
    page.get_by_role("button", name="Preview", exact=True).click()
    expect(page.get_by_text("Nothing is in the way")).to_be_visible(timeout=JOB_MS)
    page.get_by_role("button", name="Restore 1 file", exact=True).click()
    expect_end(page, "Completed")


def expect_end(page: Page, state: str) -> None:
    """The job's page, watched live until the job is over."""
    expect(page.locator("#job")).to_be_visible()
    expect(page.locator(".job-card .badge").first).to_have_text(state, timeout=JOB_MS)


@contextmanager
def real_node(*, key_file: Path) -> Iterator[None]:
    """A real access node and scheduler on the database of this test.

    Pages wait longer for its answers than a person would, and longer before they take it for gone.
    """
    database = settings.DATABASES["default"]
    environment = {
        **os.environ,
        "SNAPCOPY_DATABASE_URL": f"postgresql://{database['USER']}@/{database['NAME']}?host={database['HOST']}",
        "SNAPCOPY_KEY_FILE": str(key_file),
    }
    manage = [sys.executable, str(ROOT / "manage.py")]
    children = [
        subprocess.Popen([*manage, *words], env=environment, start_new_session=True)
        for words in (("node", "here", "--slots", "2"), ("scheduler",))
    ]
    try:
        until(lambda: _lives(children) and _reported(), seconds=120, what="the node reports")
        with mock.patch.object(asking, "SECONDS", 60.0), mock.patch.object(access_node, "ONLINE_SECONDS", 120):
            yield
        assert not Job.objects.filter(state=JobState.FAILED).exists(), picture()
    finally:
        for child in children:
            child.send_signal(signal.SIGTERM)
        for child in children:
            child.wait(STOP_SECONDS + 20)
