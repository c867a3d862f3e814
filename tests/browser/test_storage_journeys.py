"""A user protects real storage by clicks: form, Test, snapshot, copy, restore, revert with its cost, spool (P1).

Over a real ZFS dataset, and over a btrfs by the script that the documentation shows. A real node does the work.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse
from playwright.sync_api import Page, expect

from jobs.models import Initiator, JobState, Snapshot, SnapshotState
from jobs.services import launch_backup_copy, launch_snapshot
from policies.models import Copy, Retention, Subclient
from snapcopy_site.lib.roles import Role
from tests.browser.array_clicks import press_test
from tests.browser.conftest import Visit
from tests.browser.test_journeys import JOB_MS, expect_end, real_node
from tests.documented_script import commands_of, write_documented_script
from tests.jobs.farm import configure, picture, until, wait
from tests.loopmounts import LoopMount
from tests.zfs_pool import dataset_at

pytestmark = [pytest.mark.system, pytest.mark.slow]


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """What differs: the kind of mount, the words of the form for it, and whether a revert costs newer snapshots."""

    engine: str
    mount: str
    words: Callable[[Path], dict[str, str]]
    loses_newer: bool

    def __str__(self) -> str:
        return self.engine


def _zfs(mount: Path) -> dict[str, str]:
    return {"Dataset": dataset_at(mount), "Working directory (optional)": str(mount.parent / "clones")}


def _script(mount: Path) -> dict[str, str]:
    lines = commands_of(write_documented_script(mount.parent), mount)
    commands = {name.replace("_", " ").capitalize(): line for name, line in lines.items()}
    return {**commands, "Directory for the Test": str(mount)}


JOURNEYS = (
    Journey(engine="ZFS", mount="zfs", words=_zfs, loses_newer=True),
    Journey(engine="Script", mount="btrfs", words=_script, loses_newer=False),
)


@pytest.mark.parametrize("journey", JOURNEYS, ids=str)
def test_S6_P1_storage_is_protected_restored_and_reverted_by_clicks(
    visit: Visit, redis_url: str, tmp_path: Path, loop_mount: LoopMount, journey: Journey
) -> None:
    policy = configure(tmp_path, catalog="inline").policy
    Subclient.objects.all().delete()
    live = loop_mount(journey.mount)
    report = live / "reports" / "annual.txt"
    report.parent.mkdir()
    report.write_text("the year was good\n")
    visitor = visit(Role.ADMIN)
    chain = reverse("subclient", args=("storage1", "live"))
    with real_node(key_file=Path(settings.SNAPCOPY_KEY_FILE)):
        page = visitor.open(reverse("policies:file_server_create"))
        _add_server(page, journey, live)
        press_test(page)
        expect(page.locator("#test-server")).to_contain_text(
            "the probe snapshot is gone", timeout=JOB_MS, ignore_case=True
        )
        _add_subclient(page, live)
        page.get_by_role("button", name="Snapshot now").click()
        expect_end(page, "Completed")
        target = Snapshot.objects.get()
        visitor.open(chain).get_by_role("button", name="Copy now").click()
        expect_end(page, "Completed")

        report.unlink()
        _restore_in_place(visitor.open(reverse("browse", args=(target.pk,))))
        assert report.read_text() == "the year was good\n"

        report.write_text("overwritten by mistake\n")
        subclient = Subclient.objects.get()
        assert wait(launch_snapshot(subclient)).state == JobState.COMPLETED, picture()
        newer = Snapshot.objects.latest("pk")
        visitor.open(chain).locator(f"#revert-{target.pk}").click()
        _revert(page, lost=newer.name if journey.loses_newer else "")
        assert report.read_text() == "the year was good\n"
        newer.refresh_from_db()
        assert (newer.state == SnapshotState.PRESENT) is not journey.loses_newer

        Copy.objects.filter(policy=policy, kind="primary_snap").update(retention=Retention.SPOOL)
        assert wait(launch_snapshot(subclient, initiator=Initiator.SCHEDULE)).state == JobState.COMPLETED, picture()
        copied = wait(launch_backup_copy(subclient, initiator=Initiator.SCHEDULE))
        assert copied.state == JobState.COMPLETED, picture()
        spooled = copied.snapshot
        assert spooled is not None
        visitor.open(reverse("job", args=(copied.pk,)))
        expect(page.locator("#job")).to_contain_text(f"Snapshot {spooled.name} is deleted by job")
        of_it = Snapshot.objects.filter(pk=spooled.pk, state=SnapshotState.DELETED)
        until(of_it.exists, seconds=60, what="the spooled snapshot is deleted")


def _add_server(page: Page, journey: Journey, live: Path) -> None:
    page.get_by_role("radio", name=re.compile(f"^{journey.engine}\\b")).check()
    for number, (label, words) in enumerate(journey.words(live).items()):
        page.get_by_label(label, exact=True).fill(words)
        if not number:
            page.get_by_label("Name", exact=True).fill("storage1")
    page.get_by_role("button", name="Add the file server").click()
    expect(page.get_by_role("heading", level=1, name="storage1")).to_be_visible()


def _add_subclient(page: Page, live: Path) -> None:
    page.reload()
    page.get_by_role("link", name="Add a subclient").click()
    page.get_by_label("Name", exact=True).fill("live")
    page.get_by_label("Content paths").fill(str(live))
    page.get_by_label("Storage policy").select_option(label="policy-tree")
    page.get_by_role("button", name="Add the subclient").click()
    expect(page.get_by_role("heading", level=1, name="live")).to_be_visible()


def _restore_in_place(page: Page) -> None:
    page.get_by_label("Choose reports").check()
    page.get_by_role("button", name="Put in the basket").click()
    page.get_by_role("link", name="Restore the basket").click()
    page.get_by_label("In place").check()
    page.get_by_role("button", name="Restore without a preview").click()
    expect_end(page, "Completed")


def _revert(page: Page, *, lost: str) -> None:
    """What it costs is shown before; a safety snapshot is taken where it survives."""
    expect(page.get_by_text("is replaced")).to_be_visible(timeout=JOB_MS)
    if lost:
        expect(page.get_by_text(lost)).to_be_visible()
        expect(page.get_by_text("No safety snapshot is possible.")).to_be_visible()
    page.get_by_label("Name of the subclient").fill("live")
    page.get_by_role("button", name="Revert the live data").click()
    expect_end(page, "Completed")
