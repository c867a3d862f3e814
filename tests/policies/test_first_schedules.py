"""A new installation ages and prunes by itself; nobody who deleted those schedules gets them back."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from policies.foundation import lay_foundation
from policies.models import Installation, Schedule

pytestmark = pytest.mark.django_db


def names() -> list[str]:
    return list(Schedule.objects.values_list("name", flat=True))


def test_r4_a_new_installation_ages_daily_and_prunes_weekly() -> None:
    """RULES R4: daily by default."""
    Schedule.objects.all().delete()
    Installation.objects.all().delete()
    lay_foundation(using="default")
    aging, pruning = Schedule.objects.all()
    assert (aging.operation, aging.cron, aging.is_active) == ("aging", "0 12 * * *", True)
    assert (pruning.operation, pruning.cron) == ("prune", "0 13 * * 0")
    assert aging.time_zone == pruning.time_zone == Installation.objects.get().time_zone == settings.TIME_ZONE
    for schedule in (aging, pruning):
        schedule.full_clean()


def test_schedules_that_were_deleted_stay_deleted() -> None:
    Schedule.objects.all().delete()
    lay_foundation(using="default")
    call_command("migrate", verbosity=0)
    assert names() == []


def test_an_installation_from_before_schedules_gets_them() -> None:
    migration = import_module("policies.migrations.0003_first_schedules")
    Installation.objects.update(time_zone="Europe/Berlin")
    Schedule.objects.all().delete()
    with connection.schema_editor() as editor:
        migration.add(apps, editor)
    assert names() == ["aging", "pruning"]
    assert set(Schedule.objects.values_list("time_zone", flat=True)) == {"Europe/Berlin"}
    Schedule.objects.filter(name="pruning").delete()
    with connection.schema_editor() as editor:
        migration.add(apps, editor)
    assert names() == ["aging"]
