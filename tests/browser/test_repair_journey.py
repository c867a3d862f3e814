"""From damage to its repair: a pack is damaged on disk, a verification finds it, the files are named, it comes back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from jobs.models import Job, JobState
from jobs.services import launch_backup_copy, launch_snapshot
from policies.models import Media, Subclient
from snapcopy_site.lib.roles import Role
from tests.browser.accessibility import inspect
from tests.browser.conftest import Visit, Visitor
from tests.interop.restic import Restic
from tests.job_factories import make_node
from tests.jobs.farm import PASSWORD, configure, picture
from tests.jobs.here import run, work_off

PICTURES: Final = os.environ.get("PICTURES")
"""A folder for pictures of the pages, for whoever wants to look at them."""


@pytest.fixture
def subclient(live_server: object, redis_url: str, tmp_path: Path) -> Subclient:
    """One copy of ten files."""
    make_node(name="backup-1")
    made = configure(tmp_path, name="home")
    for number in range(10):
        (tmp_path / "source" / f"report-{number}.bin").write_bytes(os.urandom(40_000))
    assert run(launch_snapshot(made)).state == JobState.COMPLETED, picture()
    assert run(launch_backup_copy(made)).state == JobState.COMPLETED, picture()
    return made


def take(visitor: Visitor, name: str) -> None:
    if PICTURES:
        visitor.page.screenshot(path=f"{PICTURES}/{name}.png", full_page=True)


def ended(page: Page) -> Job:
    """Carry out what the page has launched, and look at it again."""
    expect(page.locator("#job")).to_be_visible()
    work_off()
    page.reload()
    return Job.objects.latest("pk")


@pytest.mark.slow
@pytest.mark.interop
def test_damage_is_found_named_and_repaired(visit: Visit, subclient: Subclient, tmp_path: Path) -> None:
    medium = Media.objects.get()
    its_page = reverse("policies:media_detail", args=[medium.pk])
    own_page = reverse("subclient", args=[subclient.file_server.name, subclient.name])
    victim = max(
        (path for path in (tmp_path / "media" / "data").rglob("*") if path.is_file()),
        key=lambda path: path.stat().st_size,
    )
    victim.chmod(0o600)
    with victim.open("r+b") as file:
        file.seek(1000)
        file.write(b"damage")

    visitor = visit(Role.OPERATOR)
    page = visitor.open(its_page)
    page.get_by_label("reading").fill("100")
    page.get_by_role("button", name="Verify now").click()
    found = ended(page)
    assert (found.state, found.result["touched_count"]) == (JobState.FAILED, 1), picture()
    lost = found.result["touched"][0]["path"]
    expect(page.get_by_text("Errors found")).to_be_visible()
    expect(page.get_by_role("cell", name=lost).or_(page.get_by_role("rowheader", name=lost))).to_be_visible()

    page = visitor.open("/")
    expect(page.get_by_text("1 backup copy on disk-home cannot be restored whole")).to_be_visible()
    expect(page.locator(".attention")).to_contain_text("A problem was found on disk-home")
    take(visitor, "overview")
    page = visitor.open(own_page)
    expect(page.locator(".chain")).to_contain_text(f"Damaged: {lost} cannot be restored whole.")
    take(visitor, "subclient")
    visitor.open(its_page)
    take(visitor, "medium")
    page.get_by_role("link", name="In which copies").click()
    expect(page.get_by_role("rowheader")).to_contain_text(lost)
    take(visitor, "damage")
    damage = reverse("media-damage", args=[medium.pk])
    repair = reverse("media-repair", args=[medium.pk])
    inspect(visit, "/", its_page, own_page, damage, repair, reverse("job", args=[found.pk]))

    page.get_by_role("link", name="Repair").click()
    expect(page.get_by_role("heading", level=1, name="Repair disk-home?")).to_be_visible()
    take(visitor, "repair")
    page.get_by_role("button", name="Repair").click()
    repaired = ended(page)
    assert repaired.state == JobState.COMPLETED, picture()
    expect(page.get_by_text("Nothing is damaged now")).to_be_visible()
    expect(page.get_by_text("They came back from held snapshots")).to_be_visible()
    take(visitor, "repaired")
    page = visitor.open("/")
    expect(page.get_by_text("cannot be restored whole")).to_have_count(0)
    expect(page.get_by_text("Nothing calls for you.")).to_be_visible()
    Restic(repository=tmp_path / "media", password=PASSWORD).judge()

    page = visitor.open(own_page)
    expect(page.locator(".chain")).not_to_contain_text("Damaged")
    page.get_by_label("files", exact=False).first.fill("5")
    page.get_by_role("button", name="Drill now").click()
    drilled = ended(page)
    assert drilled.state == JobState.COMPLETED, picture()
    expect(page.get_by_text("As it was copied")).to_be_visible()
    take(visitor, "drill")
    page = visitor.open(own_page)
    expect(page.locator(".chain")).to_contain_text("5 files as copied, by the snapshot")
    take(visitor, "clean")
    inspect(visit, own_page, its_page, *(reverse("job", args=[job.pk]) for job in (repaired, drilled)))
    if PICTURES:
        small = visit(Role.OPERATOR, width=360, dark=True)
        for name, address in (("own", own_page), ("medium", its_page), ("job", reverse("job", args=[drilled.pk]))):
            small.open(address)
            take(small, f"{name}-360")
