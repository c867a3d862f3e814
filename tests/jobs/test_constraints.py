"""Rows that must never be: each constraint refuses the impossible row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from jobs.models import BackupCopy, Job, JobAttempt, JobPhase, JobState, Snapshot
from policies.models import Subclient
from tests.job_factories import make_backup_copy, make_job, make_node, make_snapshot
from tests.jobs.farm import backup_copy_of

pytestmark = pytest.mark.django_db


def refuse(constraint: str, write: Callable[[], Any]) -> None:
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        write()


@pytest.mark.parametrize(
    ("constraint", "values"),
    [
        ("job_(state_known|finished)", {"state": "sleeping"}),
        ("job_operation_known", {"operation": "dance"}),
        ("job_want_known", {"want": "maybe"}),
        ("job_attempt_from_1", {"attempt": 0}),
        ("job_finished_exactly_when_over", {"state": JobState.COMPLETED}),
        ("job_finished_exactly_when_over", {"state": JobState.PENDING, "finished_at": timezone.now()}),
        ("job_running_has_a_lease", {"state": JobState.RUNNING, "started_at": timezone.now()}),
        ("job_running_has_a_lease", {"state": JobState.RUNNING, "lease_pid": 1, "started_at": timezone.now()}),
        ("job_queued_on_a_node", {"state": JobState.QUEUED, "queued_at": timezone.now()}),
    ],
)
def test_impossible_jobs(constraint: str, values: dict[str, Any]) -> None:
    possible = {"operation": "snapshot", "state": JobState.PENDING}
    Job.objects.create(**possible)
    refuse(constraint, lambda: Job.objects.create(**{**possible, **values}))


def test_b11_two_active_backup_copies_of_one_subclient_and_copy(subclient: Subclient) -> None:
    copy = backup_copy_of(subclient)
    both: dict[str, Any] = {"operation": "backup_copy", "subclient": subclient, "copy": copy}
    first = make_job(state=JobState.SUSPENDED, **both)
    refuse("job_one_active_backup_copy", lambda: make_job(state=JobState.PENDING, **both))
    make_job(state=JobState.KILLED, **both)
    Job.objects.filter(pk=first.pk).update(state=JobState.COMPLETED, finished_at=timezone.now())
    make_job(state=JobState.PENDING, **both)


def test_attempts_and_phases_are_counted_once_and_one_attempt_runs() -> None:
    job = make_job(state=JobState.RUNNING, node=make_node())
    now = timezone.now()
    JobAttempt.objects.create(job=job, number=1, started_at=now)
    refuse("job_attempt_one_running", lambda: JobAttempt.objects.create(job=job, number=2, started_at=now))
    refuse(
        "job_attempt_once",
        lambda: JobAttempt.objects.create(job=job, number=1, state="failed", started_at=now, finished_at=now),
    )
    refuse(
        "job_attempt_finished_when_over",
        lambda: JobAttempt.objects.create(job=job, number=3, state="failed", started_at=now),
    )
    JobPhase.objects.create(job=job, attempt=1, order=1, name="copy", started_at=now)
    refuse(
        "job_phase_order_once",
        lambda: JobPhase.objects.create(job=job, attempt=1, order=1, name="commit", started_at=now),
    )


def test_o2_a_snapshot_has_a_name_of_ours_that_is_unique(subclient: Subclient) -> None:
    snapshot = make_snapshot(subclient)
    refuse("snapshot_name_is_ours", lambda: Snapshot.objects.filter(pk=snapshot.pk).update(name="theirs"))
    refuse("snapshot_state_known", lambda: Snapshot.objects.filter(pk=snapshot.pk).update(state="lost"))
    other = make_snapshot(subclient, n=1)
    refuse("name", lambda: Snapshot.objects.filter(pk=other.pk).update(name=snapshot.name))


def test_b4_a_backup_copy_is_once_per_snapshot_and_copy_and_on_media_only_with_a_file(subclient: Subclient) -> None:
    snapshot, copy = make_snapshot(subclient), backup_copy_of(subclient)
    row = make_backup_copy(snapshot, copy)
    refuse("backup_copy_once_per_snapshot_and_copy", lambda: make_backup_copy(snapshot, copy))
    mine = BackupCopy.objects.filter(pk=row.pk)
    refuse("backup_copy_state_known", lambda: mine.update(state="lost"))
    refuse("backup_copy_on_media_has_a_file", lambda: mine.update(snapshot_file_id=None))
    refuse("backup_copy_on_media_has_a_file", lambda: mine.update(state="partial", tree_id=None))
    refuse("backup_copy_copied_has_no_exceptions", lambda: mine.update(exceptions=1))
