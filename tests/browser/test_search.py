"""From a word to the bytes of another day: search, versions and differences in a real browser."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from jobs.catalog.loading import load
from jobs.models import CatalogState, Job, JobState, Operation
from jobs.services import launch_backup_copy, launch_snapshot
from policies.models import CatalogMode, StoragePolicy
from snapcopy_site.lib.roles import Role
from tests.browser.accessibility import inspect
from tests.browser.conftest import Visit
from tests.browser.world import make_world
from tests.catalog.histories import File, Tree, listing
from tests.job_factories import make_node, make_snapshot
from tests.jobs.farm import configure
from tests.jobs.here import run, work_off


@pytest.mark.slow
def test_a_file_is_searched_and_comes_back_as_it_was_on_either_day(
    visit: Visit, redis_url: str, tmp_path: Path
) -> None:
    visitor = visit(Role.OPERATOR)
    notes = tmp_path / "source" / "papers" / "notes.txt"
    notes.parent.mkdir(parents=True)
    make_node()
    subclient = configure(tmp_path)
    StoragePolicy.objects.update(catalog=CatalogMode.INLINE, is_inline=False)
    for text in ("the first day\n", "the second day, and more\n"):
        notes.write_text(text)
        run(launch_snapshot(subclient))
        run(launch_backup_copy(subclient))
        (notes.parent / "later").write_text("came later\n")

    page = visitor.open("/restore/")
    page.keyboard.press("/")
    page.keyboard.type("NOTES")
    page.keyboard.press("Enter")
    expect(page.locator("mark")).to_have_text("notes")
    page.get_by_role("button", name="Put notes.txt in the basket").click()
    _restore_the_basket(page, tmp_path / "new")
    assert _restored(tmp_path / "new") == "the second day, and more\n"

    page = visitor.open("/restore/search/?q=notes")
    page.get_by_role("link", name="2 versions").click()
    expect(page.locator(".versions > li")).to_have_count(2)
    older = page.locator(".versions > li").nth(1)
    expect(older).to_contain_text("14 B")
    older.get_by_role("button", name="Put in the basket").click()
    _restore_the_basket(page, tmp_path / "old")
    assert _restored(tmp_path / "old") == "the first day\n"

    page = visitor.open(reverse("restore-diff", args=(subclient.file_server.name, subclient.name)))
    rows = page.locator(".files tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("Added")
    expect(rows.nth(1)).to_contain_text("Changed")
    page.locator(".change-card", has_text="Changed").click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("25 B")
    page.get_by_role("link", name="Exchange").click()
    expect(page.locator(".change-card", has_text="Deleted")).to_contain_text("1 file")
    page.get_by_role("link", name="notes.txt").click()
    expect(page.get_by_role("heading", level=1, name="Versions")).to_be_visible()


def test_pages_of_search_are_accessible_and_fit(visit: Visit) -> None:
    world = make_world()
    home, long = world.home, b"a-very-long-report-of-everything-that-happened-" + b"x" * 120 + b".docx"
    trees: list[Tree] = [
        {b"reports": {b"report-2025.docx": File(900_000), long: File(3)}, b"old-report": File(10**12)},
        {b"reports": {b"report-2025.docx": File(950_000), b"report\xff.txt": File(3), long: File(3)}},
    ]
    points = []
    for day, tree in enumerate(trees):
        taken_at = timezone.now() - timedelta(days=9 - day)
        points.append(make_snapshot(home, n=day, taken_at=taken_at, catalog_state=CatalogState.DONE))
        load(home.pk, taken_at, listing(tree), is_whole=True)
    args = (home.file_server.name, home.name)
    versions = reverse("restore-versions", args=args)
    inspect(
        visit,
        "/restore/search/",
        "/restore/search/?q=report&which=all&smallest=0",
        "/restore/search/?q=re",
        "/restore/search/?q=nothing&smallest=2&largest=1",
        f"{versions}?path=/srv/data/reports/report-2025.docx",
        reverse("restore-diff", args=args),
        reverse("restore-diff", args=(world.home.file_server.name, "new")),
    )
    inspect(visit, f"{versions}?path=/srv/data/none", expected=("404",))


def _restore_the_basket(page: Page, target: Path) -> None:
    page.get_by_role("link", name="Restore the basket").click()
    page.get_by_label("Target directory").fill(str(target))
    page.get_by_role("button", name="Restore without a preview").click()
    expect(page.locator("#job")).to_be_visible()
    work_off()
    job = Job.objects.filter(operation=Operation.RESTORE).latest("pk")
    assert job.state == JobState.COMPLETED, job.error_sentence


def _restored(target: Path) -> str:
    """The one file below it."""
    (found,) = (Path(folder) / name for folder, _, names in os.walk(target) for name in names)
    return found.read_text()
