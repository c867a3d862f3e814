"""Clicks that are the same for every array. Not a test module."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.test_journeys import expect_end


def add_subclient(page: Page, name: str, live: Path) -> None:
    """From the file server's page, of what its Test found."""
    page.reload()
    page.get_by_role("link", name="Add a subclient").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label(str(live)).check()
    page.get_by_label("Storage policy").select_option(label="policy-tree")
    page.get_by_role("button", name="Add the subclient").click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


def press_test(page: Page) -> None:
    """On the file server's page; without its script the report would come on the job's page."""
    button = page.get_by_role("button", name="Test", exact=True)
    expect(button).to_be_visible()
    page.wait_for_load_state()
    button.click()


def restore_in_place(page: Page) -> None:
    """The folder “reports” of the point that is browsed."""
    page.get_by_label("Choose reports").check()
    page.get_by_role("button", name="Put in the basket").click()
    page.get_by_role("link", name="Restore the basket").click()
    page.get_by_label("In place").check()
    page.get_by_role("button", name="Restore without a preview").click()
    expect_end(page, "Completed")
