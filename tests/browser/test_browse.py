"""The restore browser in a real one: by keys, narrow, and with what is deleted."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from jobs.catalog.loading import load
from jobs.models import CatalogState, Snapshot
from tests.browser.accessibility import inspect
from tests.browser.conftest import Visit
from tests.catalog.histories import File, Tree, changes, listing
from tests.factories import backup_copy_of, make_media, make_policy, make_subclient
from tests.job_factories import make_backup_copy, make_snapshot

OLD: Tree = {
    b"accounts": {b"2025": {b"january.ods": File(88_000), b"february.ods": File(91_000)}},
    b"letters": {f"letter-{number:03}.odt".encode(): File(12_000 + 37 * number) for number in range(40)},
    b"a-name-that-goes-on-and-on-" + b"x" * 90 + b".tar.gz": File(7_340_032),
    b"todo.txt": File(420),
    b"caf\xe9.txt": File(12),
}
NEW: Tree = {**OLD, b"letters": {b"letter-000.odt": File(12_000)}, b"todo.txt": File(512)}


@pytest.fixture
def points(visit: Visit) -> list[Snapshot]:
    """A point an hour over two days, one that is not catalogued, and one of two months ago."""
    subclient = make_subclient(paths=("/srv/data",), policy=make_policy(media=make_media("/srv/backup/disk-a")))
    now = timezone.now().replace(minute=0, second=12)
    times = [now - timedelta(days=61), *(now - timedelta(hours=hours) for hours in range(30, -1, -1))]
    found = [
        make_snapshot(
            subclient,
            n=number,
            taken_at=at,
            content=["/srv/data"],
            catalog_state=CatalogState.SKIPPED if number == 20 else CatalogState.DONE,
        )
        for number, at in enumerate(times)
    ]
    make_backup_copy(found[-1], backup_copy_of(subclient.policy))
    load(subclient.pk, found[0].taken_at, listing(OLD), is_whole=True)
    without_letters = {name: node for name, node in NEW.items() if name != b"caf\xe9.txt"}
    load(subclient.pk, found[-1].taken_at, changes(OLD, without_letters), is_whole=False)
    return found


def test_folders_are_gone_through_by_keys(visit: Visit, points: list[Snapshot]) -> None:
    page = visit().open(reverse("browse", args=(points[-1].pk,)))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page).to_have_title("/srv/data/accounts of fs1/home · SnapCopy")
    page.wait_for_load_state()  # a key pressed before its script has run says nothing to the page
    page.keyboard.press("Backspace")
    expect(page).to_have_title("/srv/data of fs1/home · SnapCopy")
    page.wait_for_load_state()
    for key in ("ArrowDown", "End", "Space"):
        page.keyboard.press(key)
    expect(page.get_by_label("Choose todo.txt")).to_be_checked()
    page.get_by_label("Name in this folder").press("Backspace")
    expect(page).to_have_title("/srv/data of fs1/home · SnapCopy")


def test_the_browser_is_accessible_and_fits(visit: Visit, points: list[Snapshot]) -> None:
    page = reverse("browse", args=(points[-1].pk,))
    inspect(visit, page, f"{page}?deleted=1&sort=-size", f"{page}?path=/srv/data/letters&deleted=1")


def test_pages_that_have_nothing_to_show_are_accessible_and_fit(visit: Visit, points: list[Snapshot]) -> None:
    not_catalogued, page = (reverse("browse", args=(points[number].pk,)) for number in (20, -1))
    inspect(visit, not_catalogued, f"{page}?path=/srv/nowhere", expected=("404", "503"))
