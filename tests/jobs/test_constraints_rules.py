"""Impossible rows of pins, aged copies, replicas, slots and upkeep jobs: the database refuses each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from jobs.models import BackupCopy, JobState, ScheduleRun, Snapshot, SnapshotReplica
from policies.models import Copy, Schedule, Subclient
from policies.services import create_copy
from tests.factories import make_file_server, make_media
from tests.job_factories import make_backup_copy, make_job, make_snapshot
from tests.jobs.farm import backup_copy_of

pytestmark = pytest.mark.django_db


def refuse(constraint: str, write: Callable[[], Any]) -> None:
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        write()


@pytest.fixture
def vault(subclient: Subclient) -> Copy:
    """A secondary snap copy."""
    target = make_file_server(name="vault")
    return create_copy(subclient.policy, user=None, name="vault", kind="secondary_snap", target_server=target)


def test_r6_only_a_pinned_snapshot_has_an_end_of_its_pin(subclient: Subclient) -> None:
    mine = Snapshot.objects.filter(pk=make_snapshot(subclient).pk)
    refuse("snapshot_pinned_until_is_pinned", lambda: mine.update(pinned_until=timezone.now()))
    assert mine.update(is_pinned=True, pinned_until=timezone.now()) == 1


def test_r4_an_aged_backup_copy_has_a_time_and_no_other_has(subclient: Subclient) -> None:
    row = make_backup_copy(make_snapshot(subclient), backup_copy_of(subclient))
    mine, now = BackupCopy.objects.filter(pk=row.pk), timezone.now()
    refuse("backup_copy_aged_has_a_time", lambda: mine.update(state="aged"))
    refuse("backup_copy_aged_has_a_time", lambda: mine.update(aged_at=now))
    refuse("backup_copy_aged_has_a_time", lambda: mine.update(forgotten_at=now))
    refuse("backup_copy_aged_has_a_time", lambda: mine.update(state="aged", forgotten_at=now))
    assert mine.update(state="aged", aged_at=now, forgotten_at=now) == 1


def test_b4_a_replica_is_once_per_snapshot_and_copy_and_says_when_it_came_and_aged(
    subclient: Subclient, vault: Copy
) -> None:
    snapshot, now = make_snapshot(subclient), timezone.now()
    values: dict[str, Any] = {"snapshot": snapshot, "copy": vault, "file_server": vault.target_server}
    row = SnapshotReplica.objects.create(**values)
    refuse("replica_once_per_snapshot_and_copy", lambda: SnapshotReplica.objects.create(**values))
    mine = SnapshotReplica.objects.filter(pk=row.pk)
    refuse("replica_state_known", lambda: mine.update(state="lost"))
    refuse("replica_copied_has_a_time", lambda: mine.update(state="copied"))
    refuse("replica_aged_has_a_time", lambda: mine.update(state="aged"))
    refuse("replica_aged_has_a_time", lambda: mine.update(aged_at=now))
    refuse("replica_aged_has_a_time", lambda: mine.update(deleted_at=now))
    refuse("replica_aged_has_a_time", lambda: mine.update(state="aged", deleted_at=now))
    assert mine.update(state="copied", copied_at=now) == 1
    assert mine.update(state="aged", aged_at=now, deleted_at=now) == 1


def test_a_slot_of_a_schedule_runs_once_and_ends_in_a_known_state() -> None:
    schedule = Schedule.objects.create(name="noon", operation="aging", cron="0 12 * * *")
    values: dict[str, Any] = {"schedule": schedule, "schedule_label": "noon", "slot": timezone.now()}
    run = ScheduleRun.objects.create(**values)
    refuse("schedule_run_once_per_slot", lambda: ScheduleRun.objects.create(**values))
    refuse("schedule_run_state_known", lambda: ScheduleRun.objects.filter(pk=run.pk).update(state="lost"))


def test_b11_two_active_secondary_copies_of_one_subclient_and_copy(subclient: Subclient, vault: Copy) -> None:
    both: dict[str, Any] = {"operation": "secondary_copy", "subclient": subclient, "copy": vault}
    make_job(state=JobState.PENDING, **both)
    refuse("job_one_active_secondary_copy", lambda: make_job(state=JobState.SUSPENDED, **both))
    assert make_job(state=JobState.COMPLETED, **both).pk


@pytest.mark.parametrize("second", ["prune", "verify"])
def test_r4_one_upkeep_of_a_medium_at_a_time(second: str) -> None:
    medium = make_media(name="tape")
    make_job(operation="prune", state=JobState.PENDING, media=medium)
    refuse("job_one_active_upkeep_per_medium", lambda: make_job(operation=second, state=JobState.PENDING, media=medium))
    assert make_job(operation=second, state=JobState.PENDING, media=make_media(name="other")).pk
    assert make_job(operation=second, state=JobState.KILLED, media=medium).pk


def test_r4_aging_runs_once_at_a_time() -> None:
    make_job(operation="aging", state=JobState.PENDING)
    refuse("job_one_active_aging", lambda: make_job(operation="aging", state=JobState.WAITING))
    assert make_job(operation="aging", state=JobState.COMPLETED).pk
