"""A user protects a filer: medium, policy and file server by form, Test, a full, nine incrementals, a differential.

The filer is the real ndmjob behind a cable; which of its two nodes does the work is in
tests/jobs/test_ndmp_journey.py, where no node is ever late.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from jobs.models import Job, JobState, Level, Operation
from policies import services as configuration
from policies.models import AccessNode, FileServer, StoragePolicy
from snapcopy_site.lib.roles import Role
from tests.browser.array_clicks import press_test
from tests.browser.conftest import Visit
from tests.jobs.farm import Farm, until, wait
from tests.ndmp_server import ACCOUNT, NdmpHost

pytestmark = [pytest.mark.system, pytest.mark.slow]
JOB_MS: Final = 60_000
LIMIT: Final = 9
"""What the file server has without a word in its form (RULES L2)."""
NODES: Final = ("north", "south")
AGENT: Final = "south"


@pytest.fixture
def start_nodes(visit: Visit, redis_url: str) -> Iterator[Callable[[], None]]:
    """Two nodes and a scheduler, forked once the pages have been opened."""
    farm = Farm()

    def start() -> None:
        for name in NODES:
            farm.start_node(name)
        farm.start_scheduler()
        until(
            lambda: AccessNode.objects.filter(last_seen_at__isnull=False).count() == 2,
            seconds=60,
            what="both nodes report",
        )

    try:
        yield start
    finally:
        farm.close()


def test_L3_N_a_filer_is_protected_by_clicks_and_the_incremental_after_the_limit_is_a_differential(
    visit: Visit, start_nodes: Callable[[], None], ndmp_filer: NdmpHost, tmp_path: Path
) -> None:
    _change(ndmp_filer, 0)
    start_nodes()
    page = visit(Role.ADMIN).open("/")
    _add_medium(page, tmp_path / "medium")
    _add_policy(page)
    _add_filer(page, ndmp_filer)
    _press_test(page, ndmp_filer)
    _add_subclient(page, ndmp_filer)
    page.get_by_role("button", name="Snapshot now").click()
    _expect_end(page)
    for number in range(1, 1 + LIMIT):
        _change(ndmp_filer, number)
        _snapshot_now(page)
        assert wait(Job.objects.filter(operation=Operation.SNAPSHOT).latest("pk")).state == JobState.COMPLETED
    _open(page, "/protect/filer1/vol1/")
    expect(page.get_by_text("The next incremental is converted to a differential.")).to_be_visible()
    _change(ndmp_filer, 1 + LIMIT)
    page.get_by_role("button", name="Snapshot now").click()
    _expect_end(page)
    _expect_the_reason_everywhere(page)
    _expect_true_levels(ndmp_filer)


def _open(page: Page, path: str) -> None:
    page.goto("/".join(page.url.split("/")[:3]) + path)


def _add_medium(page: Page, folder: Path) -> None:
    _open(page, reverse("policies:media_create"))
    page.get_by_label("Name", exact=True).fill("disk-a")
    page.get_by_label("Directory", exact=True).fill(str(folder))
    page.get_by_label("Create the directory").check()
    page.get_by_label("Repository password").fill("correct horse battery")
    page.get_by_label("Repeat the password").fill("correct horse battery")
    page.get_by_role("button", name="Add the medium").click()
    expect(page.get_by_role("heading", level=1, name="disk-a")).to_be_visible()


def _add_policy(page: Page) -> None:
    """Inline, with a catalog, and a backup copy whose MediaAgent is one of the two nodes."""
    _open(page, reverse("policies:policy_create"))
    page.get_by_label("Name", exact=True).fill("filers")
    page.get_by_role("button", name="Add the policy").click()
    configuration.update_policy(StoragePolicy.objects.get(), user=None, catalog="skip")
    page.get_by_role("link", name="Add a backup copy").click()
    page.get_by_label("Name", exact=True).fill("backup")
    page.get_by_label("Medium", exact=True).select_option(label="disk-a")
    page.get_by_label(AGENT, exact=True).check()
    page.get_by_role("button", name="Add the copy").click()
    expect(page.get_by_text("backup").first).to_be_visible()


def _add_filer(page: Page, filer: NdmpHost) -> None:
    _open(page, reverse("policies:file_server_create"))
    page.get_by_role("radio", name=re.compile("^NDMP")).check()
    page.get_by_label("Address", exact=True).fill(filer.address)
    page.get_by_label("Name", exact=True).fill("filer1")
    page.get_by_role("textbox", name=re.compile("^Account")).fill(ACCOUNT)
    page.get_by_label("Password", exact=True).fill(ACCOUNT)
    for name in NODES:
        page.get_by_label(name, exact=True).check()
    page.get_by_role("button", name="Add the file server").click()
    expect(page.get_by_role("heading", level=1, name="filer1")).to_be_visible()
    expect(page.get_by_text(f"after {LIMIT} in a row the next becomes a differential")).to_be_visible()


def _press_test(page: Page, filer: NdmpHost) -> None:
    press_test(page)
    report = page.locator("#test-server")
    expect(report).to_contain_text("Data connection", timeout=JOB_MS)
    expect(report).to_contain_text("NDMJOB")
    expect(report).to_contain_text(str(filer.root))
    assert FileServer.objects.get().last_test is not None
    page.reload()


def _add_subclient(page: Page, filer: NdmpHost) -> None:
    page.get_by_role("link", name="Add a subclient").click()
    page.get_by_label("Name", exact=True).fill("vol1")
    page.get_by_label(str(filer.root)).check()
    page.get_by_label("Storage policy").select_option(label="filers")
    page.get_by_role("button", name="Add the subclient").click()
    expect(page.get_by_role("heading", level=1, name="vol1")).to_be_visible()
    expect(page.get_by_text("Points and their copies")).to_be_visible()


def _snapshot_now(page: Page) -> None:
    """By the button on the subclient's page; the browser is then on that of the job."""
    _open(page, "/protect/filer1/vol1/")
    page.get_by_role("button", name="Snapshot now").click()
    expect(page.locator(".job-card")).to_be_visible()


def _expect_end(page: Page) -> None:
    """The job's page, watched live until the job is over."""
    expect(page.locator(".job-card .badge").first).to_have_text("Completed", timeout=JOB_MS)


def _expect_the_reason_everywhere(page: Page) -> None:
    reason = f"Converted: limit of {LIMIT} incrementals reached."
    expect(page.locator("#job")).to_contain_text(reason)
    copy = Job.objects.filter(operation=Operation.BACKUP_COPY).latest("pk")
    assert (copy.ran_level, copy.level_number) == (Level.DIFFERENTIAL, 1)
    _open(page, f"/jobs/{copy.pk}/")
    expect(page.locator("#job")).to_contain_text(reason)
    _open(page, "/jobs/")
    expect(page.locator("#job-rows tbody tr").first).to_contain_text(f"Incremental was asked. {reason}")
    _open(page, "/protect/filer1/vol1/")
    newest = page.locator(".link").first
    expect(newest).to_contain_text("Differential, level 1")
    expect(newest).to_contain_text(f"Incremental was asked. {reason}")
    expect(page.get_by_text("8 more incrementals, then one is converted to a differential.")).to_be_visible()


def _expect_true_levels(filer: NdmpHost) -> None:
    """What the filer itself wrote down of the dumps that it made."""
    dates = (filer.state / "dumpdates").read_text().splitlines()
    assert [json.loads(line)["level"] for line in dates] == [*range(1 + LIMIT), 1]


def _change(filer: NdmpHost, number: int) -> None:
    (filer.root / "annual.txt").write_text(f"change {number}")
    (filer.root / f"new-{number}.txt").write_text(f"new in {number}")
