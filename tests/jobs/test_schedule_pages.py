"""Pages of schedules: the list, one with its slots, the calendar, run now; and their forms."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.models import Initiator, Job, ScheduleRun
from jobs.selectors_pages.schedules import month_of
from jobs.services.schedules import tick
from policies.models import BlackoutWindow, Installation, Schedule, Subclient
from snapcopy_site.lib.roles import Role
from tests.factories import make_blackout_window, make_schedule, make_user
from tests.jobs.farm import configure


@pytest.fixture
def subclient(db: None, redis_url: str, tmp_path: Path) -> Subclient:
    Schedule.objects.all().delete()
    return configure(tmp_path)


@pytest.fixture
def clients(db: None) -> dict[Role, Client]:
    made = {role: Client() for role in Role}
    for role, client in made.items():
        client.force_login(make_user(role))
    return made


def shown(client: Client, name: str, *args: Any, query: str = "") -> str:
    response = client.get(reverse(name, args=args) + query)
    assert response.status_code == 200
    return response.content.decode()


def values(subclient: Subclient, **changed: Any) -> dict[str, Any]:
    given = {
        "name": "nightly",
        "operation": "snapshot",
        "of": f"subclient:{subclient.pk}",
        "level": "incremental",
        "repeat": "daily",
        "at": "20:00",
        "time_zone": "Europe/Berlin",
        "jitter_minutes": "0",
        "missed": "catch_up",
        "is_active": "on",
    }
    return given | changed


def test_without_schedules_the_list_says_the_next_step(clients: dict[Role, Client]) -> None:
    Schedule.objects.all().delete()
    assert reverse("policies:schedule_create") in shown(clients[Role.ADMIN], "schedule-list")
    assert "An admin adds the first one" in shown(clients[Role.VIEWER], "schedule-list")


def test_the_list_says_what_how_often_when_next_and_the_last_outcome(
    subclient: Subclient, clients: dict[Role, Client]
) -> None:
    now = timezone.now()
    make_schedule(subclient, cron="0 20 * * *", time_zone="Europe/Berlin", now=now - timedelta(days=2))
    tick(now=now)
    page = shown(clients[Role.VIEWER], "schedule-list")
    assert "subclient server-tree/tree" in page
    assert "Every day at 20:00" in page
    assert " 20:00 +0" in page, "in its own zone"
    assert " UTC</span>" in page
    assert "Launched" in page
    assert "Run now" not in page


def test_the_list_costs_the_same_number_of_queries_however_long(
    subclient: Subclient, clients: dict[Role, Client], django_assert_num_queries: Any
) -> None:
    for number in range(5):
        make_schedule(subclient, name=f"s{number}")
    for name in ("schedule-list", "schedule-calendar"):
        with django_assert_num_queries(3 + (2 if name == "schedule-list" else 1)):
            shown(clients[Role.ADMIN], name)


def test_a_schedule_shows_its_next_runs_and_its_slots(
    subclient: Subclient, clients: dict[Role, Client], django_assert_num_queries: Any
) -> None:
    now = timezone.now()
    schedule = make_schedule(subclient, now=now - timedelta(hours=5))
    tick(now=now)
    with django_assert_num_queries(3 + 4):
        page = shown(clients[Role.ADMIN], "schedule", schedule.pk)
    run = ScheduleRun.objects.get()
    assert run.sentence in page
    assert f"{reverse('job-list')}?run={run.pk}" in page
    job = Job.objects.get()
    assert f"job-{job.pk}" in shown(clients[Role.VIEWER], "job-list", query=f"?run={run.pk}")
    assert f"job-{job.pk}" not in shown(clients[Role.VIEWER], "job-list", query=f"?run={run.pk + 1}")
    assert "hourly" in shown(clients[Role.VIEWER], "job", job.pk)


def test_an_operator_runs_a_schedule_now_and_a_viewer_does_not(
    subclient: Subclient, clients: dict[Role, Client]
) -> None:
    """RULES P3."""
    schedule = make_schedule(subclient)
    assert clients[Role.VIEWER].post(reverse("schedule-run", args=[schedule.pk])).status_code == 403
    response = clients[Role.OPERATOR].post(reverse("schedule-run", args=[schedule.pk]), follow=True)
    assert "Run now by operator: 1 job." in response.content.decode()
    assert Job.objects.get().initiator == Initiator.PERSON
    again = clients[Role.OPERATOR].post(reverse("schedule-run", args=[schedule.pk]), follow=True)
    assert "is already taking a snapshot" in again.content.decode()


def test_the_overview_names_the_next_runs(subclient: Subclient, clients: dict[Role, Client]) -> None:
    schedule = make_schedule(subclient)
    assert reverse("schedule", args=[schedule.pk]) in shown(clients[Role.VIEWER], "overview")


def test_the_calendar_has_every_day_with_what_starts_then(subclient: Subclient) -> None:
    make_schedule(subclient, name="nightly", cron="0 20 * * *")
    make_schedule(subclient, name="hours", cron="0 */4 * * *")
    now = datetime(2026, 10, 20, 12, 0, tzinfo=UTC)
    with timezone.override("Europe/Berlin"):
        month = month_of(now.date().replace(day=1), now=now)
    days = {day.date.day: day for week in month.weeks for day in week if day.is_of_month}
    assert len(days) == 31
    assert not days[19].entries, "what is over is not shown"
    assert [(entry.schedule.name, entry.times) for entry in days[21].entries] == [("hours", 6), ("nightly", 1)]
    assert {day: f"{days[day].entries[-1].at:%H:%M}" for day in (24, 25)} == {24: "22:00", 25: "21:00"}


def test_a_schedule_that_comes_too_often_is_cut_in_the_calendar_and_it_says_so(
    subclient: Subclient, clients: dict[Role, Client]
) -> None:
    make_schedule(subclient, name="minutely", cron="* * * * *")
    following = (timezone.localdate().replace(day=1) + timedelta(days=32)).strftime("%Y-%m")
    assert "minutely comes too often" in shown(clients[Role.VIEWER], "schedule-calendar", query=f"?month={following}")
    present = f"<h1>{timezone.localdate():%B %Y}</h1>"
    assert present in shown(clients[Role.VIEWER], "schedule-calendar", query="?month=nonsense")


def test_an_admin_adds_a_schedule_from_simple_choices(subclient: Subclient, clients: dict[Role, Client]) -> None:
    response = clients[Role.ADMIN].post(reverse("policies:schedule_create"), values(subclient), follow=True)
    schedule = Schedule.objects.get(name="nightly")
    assert "was added" in response.content.decode()
    assert (schedule.cron, schedule.time_zone, schedule.subclient) == ("0 20 * * *", "Europe/Berlin", subclient)
    assert schedule.next_slot_at is not None


@pytest.mark.parametrize(
    ("choice", "cron"),
    [
        ({"repeat": "hours", "every_hours": "6", "minute": "15"}, "15 */6 * * *"),
        ({"repeat": "weekly", "days": ["0", "6"], "at": "02:30"}, "30 2 * * 1,0"),
        ({"repeat": "monthly", "day_of_month": "-1", "at": "02:30"}, "30 2 L * *"),
        ({"repeat": "cron", "cron": "0 20 * * MON-FRI"}, "0 20 * * MON-FRI"),
    ],
)
def test_each_choice_becomes_its_cron_and_is_the_choice_again_on_the_form(
    subclient: Subclient, clients: dict[Role, Client], choice: dict[str, Any], cron: str
) -> None:
    clients[Role.ADMIN].post(reverse("policies:schedule_create"), values(subclient, **choice))
    schedule = Schedule.objects.get(name="nightly")
    assert schedule.cron == cron
    page = shown(clients[Role.ADMIN], "policies:schedule_edit", schedule.pk)
    assert f'value="{choice["repeat"]}"' in page
    for name in set(choice) - {"repeat"}:
        assert f'name="{name}"' in page


def test_the_form_begins_with_the_zone_of_the_installation_whatever_its_name(clients: dict[Role, Client]) -> None:
    for zone in ("Etc/UTC", "Europe/Berlin"):
        Installation.objects.update(time_zone=zone)
        page = shown(clients[Role.ADMIN], "policies:schedule_create")
        assert f'<option value="{zone}" selected>' in page
        assert "Next runs, every day at 20:00" in page
        assert f'<option value="{zone}" selected>' in shown(clients[Role.ADMIN], "policies:blackout_create")


def test_the_next_runs_are_shown_before_anything_is_saved(subclient: Subclient, clients: dict[Role, Client]) -> None:
    response = clients[Role.ADMIN].post(
        reverse("policies:schedule_create"), values(subclient, name="", switch="preview")
    )
    page = response.content.decode()
    assert page.count(" 20:00 +0") == 5
    assert "every day at 20:00" in page
    assert "Please correct" not in page
    assert not Schedule.objects.filter(name="nightly").exists()


def test_another_operation_asks_for_other_things(subclient: Subclient, clients: dict[Role, Client]) -> None:
    page = (
        clients[Role.ADMIN]
        .post(reverse("policies:schedule_create"), values(subclient, operation="verify", switch="1"))
        .content.decode()
    )
    assert 'name="verify_days"' in page
    assert 'name="verify_percent"' not in page
    assert 'name="level"' not in page
    assert "Every active medium" in page
    assert 'value="nightly"' in page, "what was typed stays"


@pytest.mark.parametrize(
    ("operation", "typed"),
    [
        ("verify", {"verify_how": "days", "verify_days": "14"}),
        ("verify", {"verify_how": "percent", "verify_percent": "7"}),
        ("verify", {"verify_how": "structure"}),
        ("drill", {"drill_files": "9", "drill_mib": "77"}),
    ],
)
def test_how_much_is_verified_or_drilled_is_kept_and_shown(
    subclient: Subclient, clients: dict[Role, Client], operation: str, typed: dict[str, str]
) -> None:
    of = {} if operation == "drill" else {"of": ""}
    posted = values(subclient, operation=operation, **of, **typed)
    assert clients[Role.ADMIN].post(reverse("policies:schedule_create"), posted).status_code == 302
    schedule = Schedule.objects.get(name="nightly")
    assert {name: str(getattr(schedule, name)) for name in typed} == typed
    page = clients[Role.ADMIN].get(reverse("policies:schedule_edit", args=[schedule.pk])).content.decode()
    assert all(f'name="{name}"' in page for name in typed)
    shown = clients[Role.VIEWER].get(reverse("schedule", args=[schedule.pk])).content.decode()
    words = {
        "14": "within 14 days",
        "7": "7 % of",
        "structure": "only the structure",
        "9": "at most 9 files and 77 MiB",
    }
    assert any(words.get(value, "-") in shown for value in typed.values())


def test_days_that_the_recurrence_cannot_keep_are_refused_at_their_field(
    subclient: Subclient, clients: dict[Role, Client]
) -> None:
    posted = values(
        subclient, operation="verify", of="", verify_how="days", verify_days="3", repeat="weekly", days=["0"]
    )
    page = clients[Role.ADMIN].post(reverse("policies:schedule_create"), posted).content.decode()
    assert "days apart, so everything is read within 3 at best by chance" in page
    assert not Schedule.objects.filter(name="nightly").exists()


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"repeat": "cron", "cron": "61 * * * *"}, "The minute “61” of the cron expression is wrong"),
        ({"of": ""}, "This field is required"),
        ({"jitter_minutes": "60", "repeat": "hours", "every_hours": "1", "minute": "0"}, "Shorter, please"),
        ({"time_zone": "Mars/Olympus"}, "not one of the available choices"),
        ({"name": "two words"}, "Use letters, digits"),
    ],
)
def test_a_refused_schedule_says_what_to_do_at_the_field(
    subclient: Subclient, clients: dict[Role, Client], changed: dict[str, Any], sentence: str
) -> None:
    response = clients[Role.ADMIN].post(reverse("policies:schedule_create"), values(subclient, **changed))
    assert response.status_code == 200
    assert sentence in response.content.decode()
    assert not Schedule.objects.filter(operation="snapshot").exists()


def test_a_switch_and_a_deletion_leave_the_history(subclient: Subclient, clients: dict[Role, Client]) -> None:
    schedule = make_schedule(subclient, now=timezone.now() - timedelta(hours=2))
    tick()
    clients[Role.ADMIN].post(reverse("policies:schedule_activate", args=[schedule.pk]), {"on": "0"})
    schedule.refresh_from_db()
    assert (schedule.is_active, schedule.next_slot_at) == (False, None)
    clients[Role.ADMIN].post(reverse("policies:schedule_delete", args=[schedule.pk]))
    run = ScheduleRun.objects.get()
    assert (run.schedule, run.schedule_label) == (None, "hourly")
    assert "hourly" in shown(clients[Role.VIEWER], "job", Job.objects.get().pk)


def test_a_blackout_window_is_added_and_changed(clients: dict[Role, Client]) -> None:
    admin = clients[Role.ADMIN]
    given = {
        "name": "office",
        "days": ["0", "4"],
        "starts_at": "08:00",
        "ends_at": "18:00",
        "time_zone": "UTC",
        "is_active": "on",
    }
    admin.post(reverse("policies:blackout_create"), given)
    window = BlackoutWindow.objects.get()
    assert (window.days, window.operations) == ([0, 4], [])
    admin.post(reverse("policies:blackout_edit", args=[window.pk]), given | {"operations": ["prune"]})
    page = shown(clients[Role.VIEWER], "policies:blackout_list")
    assert "Monday, Friday" in page
    assert "Pruning" in page


def test_the_list_of_windows_says_which_one_holds_back_now(clients: dict[Role, Client]) -> None:
    make_blackout_window(starts_at="00:00", ends_at="00:00")
    assert "Holds back" in shown(clients[Role.VIEWER], "policies:blackout_list")
