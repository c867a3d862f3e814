"""A user protects a file system of a PowerStore by clicks: form, Test, snapshot, copy, restore, revert, spool.

A real node drives Dell's own client against an emulated array, whose files are those of a real btrfs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse
from playwright.sync_api import Page, expect

from jobs.models import Initiator, Job, JobState, Snapshot
from jobs.services import launch_backup_copy, launch_snapshot
from policies.models import Copy, FileServer, Retention, Subclient
from snapcopy_site.lib.roles import Role
from tests.arrays.https_server import HERE
from tests.arrays.powerstore_emulator import ACCOUNT, NAS, PASSWORD, PowerStore, emulated
from tests.browser.accessibility import inspect
from tests.browser.array_clicks import add_subclient, press_test, restore_in_place
from tests.browser.conftest import Visit
from tests.browser.test_journeys import JOB_MS, expect_end, real_node
from tests.jobs.farm import configure, picture, wait
from tests.loopmounts import LoopMount

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture
def array(loop_mount: LoopMount) -> Iterator[PowerStore]:
    with emulated(loop_mount("btrfs"), "home", "mail") as made:
        (made.mount / "home" / "reports").mkdir()
        (made.mount / "home" / "reports" / "annual.txt").write_text("the year was good\n")
        for number in range(206):
            made.take_as_somebody_else("mail", f"daily-{number}")
        yield made
        assert made.wrong == []


def test_S6_P2_a_file_system_is_protected_restored_and_reverted_by_clicks(
    visit: Visit, redis_url: str, tmp_path: Path, array: PowerStore
) -> None:
    policy = configure(tmp_path, catalog="inline").policy
    Subclient.objects.all().delete()
    live = array.mount / "home"
    report = live / "reports" / "annual.txt"
    visitor = visit(Role.ADMIN)
    with real_node(key_file=Path(settings.SNAPCOPY_KEY_FILE)):
        page = visitor.open(reverse("policies:file_server_create"))
        _add_array(page, array)
        _press_test(page, array)
        add_subclient(page, "home", live)
        page.get_by_role("button", name="Snapshot now").click()
        expect_end(page, "Completed")
        target = Snapshot.objects.get()
        assert array.snapshots("home") == [target.name]
        chain = reverse("subclient", args=("nas1", "home"))
        visitor.open(chain).get_by_role("button", name="Copy now").click()
        expect_end(page, "Completed")

        report.unlink()
        restore_in_place(visitor.open(reverse("browse", args=(target.pk,))))
        assert report.read_text() == "the year was good\n"

        report.write_text("overwritten by mistake\n")
        visitor.open(chain).locator(f"#revert-{target.pk}").click()
        _revert(page)
        assert report.read_text() == "the year was good\n"
        assert len(array.snapshots("home")) == 2, "and the safety snapshot"

        Copy.objects.filter(policy=policy, kind="primary_snap").update(retention=Retention.SPOOL)
        subclient = Subclient.objects.get()
        assert wait(launch_snapshot(subclient, initiator=Initiator.SCHEDULE)).state == JobState.COMPLETED, picture()
        first = wait(launch_backup_copy(subclient, initiator=Initiator.SCHEDULE))  # of the safety snapshot, the oldest
        copied = wait(Job.objects.get(pk=first.result["next_job"]))
        visitor.open(reverse("job", args=(copied.pk,)))
        expect(page.locator("#job")).to_contain_text("so exactly one is retained")
    inspect(visit, reverse("policies:file_server_detail", args=[FileServer.objects.latest("pk").pk]))
    assert Snapshot.objects.latest("pk").name in array.snapshots("home")


def _add_array(page: Page, array: PowerStore) -> None:
    page.get_by_label("Dell PowerStore", exact=False).first.check()
    page.get_by_label("NAS server", exact=True).fill(NAS)
    page.get_by_label("Name", exact=True).fill("nas1")
    page.get_by_label("Address", exact=True).fill(HERE)
    page.get_by_label("Port (optional)").fill(str(array.server.port))
    page.get_by_label("Account", exact=True).fill(ACCOUNT)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("CA file (optional)").fill(str(array.server.certificate.authority))
    page.get_by_label("Mounted at", exact=True).fill(str(array.mount))
    page.get_by_role("button", name="Add the file server").click()
    expect(page.get_by_role("heading", level=1, name="nas1")).to_be_visible()


def _press_test(page: Page, array: PowerStore) -> None:
    report = page.locator("#test-server")
    press_test(page)
    expect(report).to_contain_text("The probe snapshot is gone", timeout=JOB_MS, ignore_case=True)
    expect(report).to_contain_text("emulated-1, PowerStoreOS 4.1.0.0")
    expect(report).to_contain_text("Near the limit of 256 snapshots: mail (206).")
    expect(report.get_by_role("row", name=str(array.mount / "mail"))).to_contain_text("206")


def _revert(page: Page) -> None:
    """What it does is shown first, and that nothing is lost with it."""
    expect(page.get_by_text("for all who use it", exact=False)).to_be_visible(timeout=JOB_MS)
    expect(page.get_by_text("annual.txt", exact=False).first).to_be_visible()
    page.get_by_label("Name of the subclient").fill("home")
    page.get_by_role("button", name="Revert the live data").click()
    expect_end(page, "Completed")
