"""Schedules with a real scheduler and a real node: a snapshot by itself, and its backup copy by another schedule."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from django.utils import timezone

from jobs.models import BackupCopy, CopyState, Initiator, Job, JobState, Operation, ScheduleRun, SlotState
from policies.models import Schedule, Subclient
from policies.services import update_schedule
from tests import factories
from tests.jobs.farm import Farm, configure, until


def make_schedule(subclient: Subclient, **values: Any) -> Schedule:
    """Once a day at the last full hour, so that no second slot comes in the middle of a test."""
    return factories.make_schedule(subclient, cron=f"0 {timezone.now().hour} * * *", **values)


def test_schedules_snapshot_and_copy_while_nobody_looks(farm: Farm, tmp_path: Path) -> None:
    """Two scheduler processes at once; the one that leads launches, and each slot has one row."""
    farm.start_scheduler("second")
    subclient = configure(tmp_path)
    (tmp_path / "source" / "file").write_text("kept")
    before = timezone.now() - timedelta(minutes=90)
    snapshots = make_schedule(subclient, name="snapshots", now=before)
    until(
        lambda: Job.objects.filter(operation=Operation.SNAPSHOT, state=JobState.COMPLETED).exists(),
        what="the snapshot is taken",
    )
    make_schedule(subclient, name="copies", operation="backup_copy", now=before)
    until(lambda: BackupCopy.objects.filter(state=CopyState.COPIED).exists(), what="the copy is made")
    assert {job.initiator for job in Job.objects.all()} == {Initiator.SCHEDULE}
    for name in ("snapshots", "copies"):
        run = ScheduleRun.objects.get(schedule__name=name)
        assert run.state == SlotState.LAUNCHED
        assert run.jobs.count() == 1
    snapshots.refresh_from_db()
    assert snapshots.next_slot_at is not None
    assert snapshots.next_slot_at > timezone.now()


def test_a_killed_scheduler_is_replaced_by_the_one_beside_it(farm: Farm, tmp_path: Path) -> None:
    subclient = configure(tmp_path)
    schedule = make_schedule(subclient, is_active=False)
    farm.start_scheduler("second")
    farm.kill("scheduler")
    update_schedule(schedule, user=None, is_active=True, now=timezone.now() - timedelta(minutes=90))
    until(lambda: ScheduleRun.objects.filter(state=SlotState.LAUNCHED).exists(), what="the other one launches")
    assert Job.objects.count() == 1
    assert Schedule.objects.get(pk=schedule.pk).last_slot_at is not None
