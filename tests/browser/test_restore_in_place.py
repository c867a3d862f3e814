"""RULES V2, V3: a basket goes back in place over files that are in conflict; they are shown before it is confirmed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse
from playwright.sync_api import expect

from jobs.models import Job, JobState, Operation, Snapshot
from jobs.services import launch_snapshot
from snapcopy_site.lib.roles import Role
from tests.browser.accessibility import inspect
from tests.browser.conftest import Visit
from tests.browser.test_journeys import JOB_MS, expect_end, real_node
from tests.jobs.farm import configure, picture, wait
from tests.odd_tree import build_odd_tree, describe_tree


def fill(source: Path) -> None:
    for number in range(8):
        folder = source / "reports" / f"quarter {number % 4}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"figures {number}.csv").write_bytes(os.urandom(2000 + number))
    (source / "reports" / "caf\udce9.txt").write_text("no UTF-8")
    (source / "readme").write_text("hello")


def damage(source: Path) -> None:
    """One file deleted, one changed by somebody a moment ago, one silently, with its old time and size."""
    (source / "reports" / "quarter 0" / "figures 0.csv").unlink()
    (source / "reports" / "quarter 1" / "figures 1.csv").write_text("overwritten by mistake")
    silent = source / "reports" / "quarter 2" / "figures 2.csv"
    times = (silent.stat().st_atime_ns, silent.stat().st_mtime_ns)
    silent.write_bytes(bytes(silent.stat().st_size))
    os.utime(silent, ns=times)


@pytest.mark.slow
def test_V2_a_basket_in_place_with_conflicts_is_byte_identical_in_the_end(
    visit: Visit, redis_url: str, tmp_path: Path
) -> None:
    visitor = visit(Role.OPERATOR)
    subclient = configure(tmp_path, catalog="inline")
    source = tmp_path / "source"
    fill(source)
    before = {path: entry for path, entry in describe_tree(source).items() if entry.digest}
    with real_node(key_file=Path(settings.SNAPCOPY_KEY_FILE)):
        assert wait(launch_snapshot(subclient)).state == JobState.COMPLETED, picture()
        damage(source)
        page = visitor.open(reverse("browse", args=(Snapshot.objects.get().pk,)))
        page.get_by_label("Choose reports").check()
        page.get_by_role("button", name="Put in the basket").click()
        page.get_by_role("link", name="Restore the basket").click()
        page.get_by_label("In place").check()
        page.get_by_label("Is always replaced").check()
        page.get_by_role("button", name="Preview", exact=True).click()
        conflicts = page.get_by_role("table")
        expect(conflicts).to_contain_text("quarter 1/figures 1.csv", timeout=JOB_MS)
        expect(conflicts).to_contain_text("Newer")
        expect(page.get_by_text("1 file that is not there")).to_be_visible()
        expect(page.get_by_text("snapshots go before media").or_(page.get_by_text("the only copy"))).to_be_visible()
        assert (source / "reports" / "quarter 1" / "figures 1.csv").read_text() == "overwritten by mistake"
        preview = Job.objects.get(operation=Operation.RESTORE)
        inspect(visit, reverse("restore-preview", args=(preview.pk,)))
        page.get_by_role("button", name="Restore").click()
        expect_end(page, "Completed")
        expect(page.get_by_text("in place: the paths they came from")).to_be_visible()
    after = {path: entry for path, entry in describe_tree(source).items() if entry.digest}
    assert after == before


@pytest.mark.slow
def test_V2_the_odd_tree_comes_back_elsewhere_as_it_was(visit: Visit, redis_url: str, tmp_path: Path) -> None:
    visitor = visit(Role.OPERATOR)
    subclient = configure(tmp_path, catalog="inline")
    source, target = tmp_path / "source", tmp_path / "back"
    build_odd_tree(source)
    with real_node(key_file=Path(settings.SNAPCOPY_KEY_FILE)):
        wait(launch_snapshot(subclient))
        page = visitor.open(reverse("browse", args=(Snapshot.objects.get().pk,)))
        page.get_by_role("link", name="Restore this folder").click()
        page.get_by_label("Target directory").fill(str(target))
        page.get_by_role("button", name="Restore without a preview").click()
        expect_end(page, "Completed")
    expected = {path: entry for path, entry in describe_tree(source).items() if path != b"kinds/socket"}
    assert describe_tree(target / str(source)[1:]) == expected
