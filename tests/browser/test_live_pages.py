"""Pages that live: what polls, when it stops, and that a poll takes nothing away from the person at the screen."""

from __future__ import annotations

from collections.abc import Callable

from django.utils import timezone
from playwright.sync_api import Page, Route, expect

from jobs.models import Job, JobState
from tests.browser.conftest import Visit
from tests.browser.world import make_world


def test_the_job_card_follows_the_row_and_stops_when_the_job_is_over(visit: Visit) -> None:
    job = make_world().running
    page = visit().open(f"/jobs/{job.pk}/")
    expect(page.locator(".bar-percent")).to_have_text("42 %")
    Job.objects.filter(pk=job.pk).update(percent=57.5, bytes_done=57 * 2**30)
    expect(page.locator(".bar-percent")).to_have_text("57.5 %")
    Job.objects.filter(pk=job.pk).update(state=JobState.COMPLETED, finished_at=timezone.now(), current_phase="")
    expect(page.locator(".job-card .badge").first).to_have_text("Completed")
    expect(page.locator(".bar-percent")).to_have_text("100 %")
    expect(page.locator("#job[hx-get]")).to_have_count(0)


def test_a_poll_keeps_focus_and_never_swallows_a_click(visit: Visit) -> None:
    job = make_world().running
    page = visit().open(f"/jobs/{job.pk}/")
    kill = page.locator("#order-kill")
    kill.focus()
    with page.expect_response("**/live/"):
        pass
    expect(kill).to_be_focused()
    kill.hover()
    page.mouse.down()
    for _ in range(2):
        with page.expect_response("**/live/"):
            pass
    page.mouse.up()
    expect(page.get_by_text("The job is told to end.")).to_be_visible()
    expect(page.get_by_text("Ending, as asked")).to_be_visible()


def test_what_was_said_to_a_job_goes_when_it_is_over(visit: Visit) -> None:
    job = make_world().running
    page = visit().open(f"/jobs/{job.pk}/")
    page.locator("#order-kill").click()
    said = page.get_by_text("The job is told to end.")
    expect(said).to_be_visible()
    Job.objects.filter(pk=job.pk).update(state=JobState.KILLED, finished_at=timezone.now())
    expect(said).to_have_count(0)


def test_the_overview_is_read_again_when_another_job_runs(visit: Visit) -> None:
    world = make_world()
    page = visit().open("/")
    expect(page.locator(f"#running-{world.running.pk}")).to_be_visible()
    Job.objects.filter(pk=world.running.pk).update(state=JobState.FAILED, finished_at=timezone.now())
    expect(page.locator(f"#running-{world.running.pk}")).to_have_count(0)
    expect(page.locator(".attention")).to_contain_text(f"Backup copy {world.running.pk}")


def test_the_jobs_list_is_filtered_by_its_address_and_lives(visit: Visit) -> None:
    world = make_world()
    page = visit().open("/jobs/")
    page.get_by_label("State").select_option("attention")
    expect(page.locator(".jobs tbody tr")).to_have_count(2)
    assert "state=attention" in page.url
    Job.objects.filter(pk=world.partial.pk).update(acknowledged_at=timezone.now())
    expect(page.locator(".jobs tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Clear").click()
    expect(page.locator(f"#job-{world.running.pk}")).to_be_visible()


def test_pages_are_useful_without_scripts(visit: Visit) -> None:
    world = make_world()
    page = visit(java_script_enabled=False).open("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("1 of 3 subclients protected")
    page.goto(f"{page.url}jobs/{world.running.pk}/")
    expect(page.get_by_text("42 %")).to_be_visible()
    page.get_by_role("button", name="Kill").click()
    expect(page.get_by_text("The job is told to end.")).to_be_visible()
    page.get_by_text("admin", exact=True).click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_the_menu_opens_on_a_small_screen_without_scripts(visit: Visit) -> None:
    page = visit(width=360, java_script_enabled=False).open("/")
    expect(page.get_by_role("link", name="Protect", exact=True)).to_be_hidden()
    page.get_by_role("link", name="Menu").click()
    page.get_by_role("link", name="Protect", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="Protect")).to_be_visible()


def test_everything_is_reached_by_keyboard(visit: Visit) -> None:
    world = make_world()
    page = visit().open("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    _press_until(
        page, lambda: page.locator(f"#running-{world.running.pk}").evaluate("e => e === document.activeElement")
    )
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Backup copy")
    page.wait_for_load_state()  # a key pressed before the script has run says nothing to the page
    page.clock.set_fixed_time(timezone.now())  # the second key of a shortcut may be late
    page.keyboard.press("g")
    page.keyboard.press("j")
    expect(page.get_by_role("heading", level=1, name="Jobs")).to_be_visible()
    page.wait_for_load_state()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.get_by_label("Single-letter shortcuts are on in this browser").press("Space")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("p")
    expect(page.get_by_role("heading", level=1, name="Jobs")).to_be_visible()


def test_the_theme_is_kept(visit: Visit) -> None:
    page = visit().open("/")
    page.get_by_text("admin", exact=True).click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_a_server_that_is_away_does_not_break_the_page(visit: Visit) -> None:
    job = make_world().running
    visitor = visit()
    visitor.expected = ("ERR_FAILED", "htmx:")
    page = visitor.open(f"/jobs/{job.pk}/")

    def fail(route: Route) -> None:
        route.abort()

    page.route("**/live/", fail)
    with page.expect_event("requestfailed"):
        pass
    expect(page.locator(".bar-percent")).to_have_text("42 %")
    page.unroute("**/live/")
    Job.objects.filter(pk=job.pk).update(percent=60)
    expect(page.locator(".bar-percent")).to_have_text("60 %")


def _press_until(page: Page, condition: Callable[[], bool], *, most: int = 80) -> None:
    for _ in range(most):
        if condition():
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"not reached with {most} tabs")
