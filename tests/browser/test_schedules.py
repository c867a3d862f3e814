"""A person at the screen adds a schedule, sees when it would run, runs it; and gives an order to many jobs at once."""

from __future__ import annotations

from playwright.sync_api import expect

from policies.models import Schedule
from snapcopy_site.lib.roles import Role
from tests.browser.conftest import Visit
from tests.browser.world import make_world
from tests.factories import make_schedule


def test_a_schedule_is_added_with_its_next_runs_in_sight(visit: Visit) -> None:
    world = make_world()
    page = visit().open("/schedules/add/")
    page.get_by_label("Name", exact=True).fill("weekly")
    page.get_by_label("Weekly").check()
    expect(page.get_by_label("Sunday")).to_be_checked()
    page.get_by_label("Of what").select_option(f"subclient:{world.home.pk}")
    page.get_by_label("At", exact=True).fill("02:30")
    expect(page.locator("#schedule-preview")).to_contain_text("every Sunday at 02:30")
    page.get_by_label("Time zone").select_option("Europe/Berlin")
    expect(page.locator("#schedule-preview th").first).to_have_text("Europe/Berlin")
    page.get_by_role("button", name="Add the schedule").last.click()
    expect(page.get_by_text("The schedule “weekly” was added.")).to_be_visible()
    schedule = Schedule.objects.get(name="weekly")
    assert (schedule.cron, schedule.time_zone, schedule.subclient) == ("30 2 * * 0", "Europe/Berlin", world.home)


def test_the_form_works_without_scripts(visit: Visit) -> None:
    make_world()
    page = visit(java_script_enabled=False).open("/schedules/add/")
    page.get_by_label("Cron expression").check()
    page.get_by_role("button", name="Show what this choice asks for").click()
    page.locator("input[name=cron]").fill("0 6 L * *")
    page.get_by_role("button", name="Show the next runs").click()
    expect(page.locator("#schedule-preview")).to_contain_text("on the last day of every month at 06:00")


def test_an_operator_runs_a_schedule_now(visit: Visit) -> None:
    schedule = make_schedule(make_world().home)
    page = visit(Role.OPERATOR).open(f"/schedules/{schedule.pk}/")
    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_text("Run now by operator: 1 job.").first).to_be_visible()


def test_j3_chosen_jobs_stay_chosen_through_a_poll_and_each_answers(visit: Visit) -> None:
    world = make_world()
    page = visit(Role.OPERATOR).open("/jobs/")
    page.get_by_label(f"Choose job {world.waiting.pk}").check()
    page.get_by_label(f"Choose job {world.failed.pk}").check()
    for _ in range(2):
        with page.expect_response("**/jobs/rows/**"):
            pass
    expect(page.get_by_label(f"Choose job {world.failed.pk}")).to_be_checked()
    expect(page.locator("[data-chosen]")).to_have_text("2 chosen")
    page.locator("#bulk-kill").click()
    expect(page.get_by_text(f"Job {world.waiting.pk} is told to end.")).to_be_visible()
    expect(page.get_by_text(f"Job {world.failed.pk} is already over: failed.")).to_be_visible()
