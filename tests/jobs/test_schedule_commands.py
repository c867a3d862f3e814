"""``snapcopy schedules`` and ``snapcopy schedule run``; and schedules in the Django admin."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.models import How, Initiator, Job
from jobs.services.schedules import tick
from policies.models import AuditEntry, Schedule, Subclient
from tests.factories import make_schedule, make_user
from tests.jobs.farm import configure


@pytest.fixture
def subclient(db: None, redis_url: str, tmp_path: Path) -> Subclient:
    Schedule.objects.all().delete()
    return configure(tmp_path)


def said(*words: str) -> str:
    output = StringIO()
    call_command(*words, stdout=output)
    return output.getvalue()


def test_schedules_are_listed_with_their_next_run_and_last_outcome(subclient: Subclient) -> None:
    make_schedule(subclient, now=timezone.now() - timedelta(hours=2))
    make_schedule(None, name="daily", operation="aging", cron="0 12 * * *", is_active=False)
    tick()
    aging, hourly = said("schedules").splitlines()
    assert aging == "daily: aging of everything, every day at 12:00 UTC; off"
    assert hourly.startswith("hourly: snapshot of subclient server-tree/tree, every hour UTC; next ")
    assert "UTC: Launched" in hourly


def test_schedules_as_json(subclient: Subclient) -> None:
    schedule = make_schedule(subclient)
    (line,) = said("schedules", "--json").splitlines()
    told = json.loads(line)
    assert schedule.next_slot_at is not None
    assert (told["schedule"], told["operation"], told["active"]) == ("hourly", "snapshot", True)
    assert (told["next_at"], told["last"]) == (schedule.next_slot_at.isoformat(), None)


def test_p3_a_schedule_that_a_script_runs_is_a_start_by_the_script(subclient: Subclient) -> None:
    """RULES P3: manual or script, not schedule."""
    make_schedule(subclient)
    (line,) = said("schedule", "run", "hourly", "--json").splitlines()
    job = Job.objects.get()
    assert json.loads(line)["job"] == job.pk
    assert (job.initiator, job.how) == (Initiator.SCRIPT, How.CLI)
    with pytest.raises(CommandError, match="already taking a snapshot") as refused:
        said("schedule", "run", "hourly")
    assert refused.value.returncode == 4


def test_a_schedule_with_nothing_new_says_so_and_that_is_no_failure(subclient: Subclient) -> None:
    make_schedule(subclient, operation="backup_copy")
    assert said("schedule", "run", "hourly") == "Run now by a script: Nothing new.\n"


def test_a_name_of_no_schedule_is_a_wrong_command_line(subclient: Subclient) -> None:
    make_schedule(subclient)
    with pytest.raises(CommandError, match="Known: hourly") as wrong:
        said("schedule", "run", "daily")
    assert wrong.value.returncode == 2


def test_the_django_admin_refuses_nonsense_and_begins_anew_after_a_change(subclient: Subclient) -> None:
    schedule = make_schedule(subclient, now=timezone.now() - timedelta(days=3))
    client = Client()
    client.force_login(make_user(None, username="root", is_staff=True, is_superuser=True))
    page = reverse("admin:policies_schedule_change", args=[schedule.pk])
    typed = {
        "name": "hourly",
        "operation": "snapshot",
        "subclient": subclient.pk,
        "level": "full",
        "verify_how": "percent",
        "verify_percent": 5,
        "verify_days": 30,
        "drill_files": 10,
        "drill_mib": 64,
        "cron": "nonsense",
        "time_zone": "UTC",
        "jitter_seconds": 0,
        "missed": "catch_up",
        "is_active": "on",
    }
    assert "is no cron expression" in client.post(page, typed).content.decode()
    assert client.post(page, typed | {"cron": "30 * * * *"}).status_code == 302
    schedule.refresh_from_db()
    assert schedule.cron == "30 * * * *"
    assert schedule.next_slot_at is not None
    assert schedule.next_slot_at.minute == 30
    before_it = schedule.next_slot_at - timedelta(seconds=1)
    assert tick(now=before_it) == 0, "what lies before the change is not caught up"
    assert AuditEntry.objects.filter(object_kind="schedule", sentence="In the Django admin.").exists()
    for name in ("blackoutwindow", "restartpolicy"):
        assert client.get(reverse(f"admin:policies_{name}_changelist")).status_code == 200
    assert client.get(reverse("admin:jobs_schedulerun_changelist")).status_code == 200
