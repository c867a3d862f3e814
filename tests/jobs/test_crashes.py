"""Processes die at bad moments: no job is lost, none runs twice, what was written is used, stock restic is content."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.db import connection

from jobs import queues, scheduler
from jobs.models import BackupCopy, CopyState, Job, JobAttempt, JobState
from jobs.runner import attempt, guard
from jobs.services import kill_job, launch_backup_copy, launch_snapshot, resume_job, suspend_job
from policies.models import AccessNode, Subclient
from tests.interop.restic import Restic
from tests.jobs.conftest import HeldCopies
from tests.jobs.farm import PASSWORD, Farm, configure, is_alive, is_copying, parent_of, picture, reach, until, wait

pytestmark = [pytest.mark.slow, pytest.mark.interop, pytest.mark.usefixtures("held_copies")]


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No guard and no scheduler ends a process that does not obey."""
    monkeypatch.setattr(guard, "HARD_STOP_SECONDS", 3600)
    monkeypatch.setattr(scheduler, "NOT_OBEYED_SECONDS", 3600)


@pytest.fixture
def copying(farm: Farm, large_subclient: Subclient) -> Job:
    """A copy of the large tree in the middle of its work."""
    assert wait(launch_snapshot(large_subclient)).state == JobState.COMPLETED, picture()
    return reach(launch_backup_copy(large_subclient), is_copying)


def kill_horse(job: Job, farm: Farm) -> None:
    assert job.lease_pid
    os.kill(job.lease_pid, signal.SIGKILL)


def kill_worker(job: Job, farm: Farm) -> None:
    assert job.lease_pid
    os.kill(parent_of(job.lease_pid), signal.SIGKILL)


def kill_worker_and_horse(job: Job, farm: Farm) -> None:
    assert job.lease_pid
    worker = parent_of(job.lease_pid)
    os.kill(worker, signal.SIGKILL)
    kill_if_there(job.lease_pid)


def kill_node(job: Job, farm: Farm) -> None:
    farm.kill("node-one")
    until(lambda: not is_alive(job.lease_pid or 0), what="the horse ends with its node")
    farm.start_node()


def cut_database_sessions(job: Job, farm: Farm) -> None:
    """What a restart of PostgreSQL does to everybody."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def kill_if_there(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


@pytest.mark.parametrize("disaster", [kill_horse, kill_worker, kill_worker_and_horse, kill_node, cut_database_sessions])
def test_a_copy_survives(
    disaster: Callable[[Job, Farm], None], copying: Job, farm: Farm, tmp_path: Path, held_copies: HeldCopies
) -> None:
    disaster(copying, farm)
    held_copies.go_on()
    ended = wait(copying)
    assert ended.state == JobState.COMPLETED, picture()
    assert ended.attempt == 2, picture()
    attempts = list(ended.attempts.values_list("number", "state"))
    assert attempts == [(1, "interrupted"), (2, "completed")], picture()
    assert_good(tmp_path)
    assert ended.files_done == 2_000


def test_J2_redis_loses_everything_and_the_copy_does_not_notice(
    copying: Job, farm: Farm, tmp_path: Path, held_copies: HeldCopies
) -> None:
    redis.Redis.from_url(settings.SNAPCOPY_REDIS_URL).flushdb()
    held_copies.go_on()
    ended = wait(copying)
    assert (ended.state, ended.attempt) == (JobState.COMPLETED, 1), picture()
    assert_good(tmp_path)


def test_J2_a_job_that_redis_forgot_is_told_again(
    farm: Farm, large_subclient: Subclient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "TASK", "jobs.tasks.nobody_has_this")
    job = launch_snapshot(large_subclient)
    Job.objects.filter(pk=job.pk).update(enqueued_at=None, queued_at="2026-01-01T00:00:00Z")
    assert wait(job).state == JobState.COMPLETED, picture()


def test_six_enqueues_run_once(farm: Farm, large_subclient: Subclient) -> None:
    job = launch_snapshot(large_subclient)
    for _ in range(6):
        queues.enqueue(job.pk)
    assert wait(job).state == JobState.COMPLETED, picture()
    assert list(JobAttempt.objects.values_list("number", "state")) == [(1, "completed")]
    name = AccessNode.objects.get().queue
    connected = redis.Redis.from_url(settings.SNAPCOPY_REDIS_URL)
    until(lambda: connected.llen(f"rq:queue:{name}") == 0, what="the other enqueues are taken")
    assert JobAttempt.objects.count() == 1


@pytest.mark.usefixtures("patience")
def test_a_killed_copy_ends_at_once_and_leaves_no_lock(
    copying: Job, farm: Farm, tmp_path: Path, held_copies: HeldCopies
) -> None:
    """It obeys by itself: nobody else would end it."""
    kill_job(copying)
    ended = wait(copying)
    assert ended.state == JobState.KILLED, picture()
    row = BackupCopy.objects.get()
    assert row.state == CopyState.TO_BE_COPIED
    assert row.snapshot.is_present
    assert_good(tmp_path)
    held_copies.go_on()
    again = wait(launch_backup_copy(row.snapshot.subclient))
    assert again.state == JobState.COMPLETED, picture()


@pytest.mark.parametrize("times", [1, 2])
def test_a_copy_that_does_not_obey_is_killed_and_its_lock_removed(
    copying: Job, farm: Farm, tmp_path: Path, times: int
) -> None:
    """Stopped by SIGSTOP, the process can neither look at its orders nor be its own guard.

    Of a node that was told twice, the worker may have taken the first word.
    """
    Job.objects.filter(pk=copying.pk).update(enqueues=times)
    assert copying.lease_pid
    os.kill(copying.lease_pid, signal.SIGSTOP)
    kill_job(copying)
    Job.objects.filter(pk=copying.pk).update(want_at="2026-01-01T00:00:00Z")
    ended = wait(copying, seconds=30)
    assert ended.state == JobState.KILLED, picture()
    until(lambda: not list((tmp_path / "media" / "locks").iterdir()), what="the dead lock is removed")
    assert BackupCopy.objects.get().state == CopyState.TO_BE_COPIED


def test_a_suspended_copy_goes_on_from_what_was_written(
    copying: Job, farm: Farm, tmp_path: Path, held_copies: HeldCopies
) -> None:
    suspend_job(copying)
    reach(copying, lambda row: row.state == JobState.SUSPENDED)
    assert BackupCopy.objects.get().state == CopyState.TO_BE_COPIED
    held_copies.go_on()
    resume_job(copying)
    ended = wait(copying)
    assert (ended.state, ended.attempt) == (JobState.COMPLETED, 2), picture()
    assert list(ended.attempts.values_list("state", flat=True)) == ["suspended", "completed"]
    assert_good(tmp_path)


def test_a_node_that_is_stopped_gives_its_copy_back(
    copying: Job, farm: Farm, tmp_path: Path, held_copies: HeldCopies
) -> None:
    assert farm.stop("node-one") == 0
    copying.refresh_from_db()
    assert copying.state == JobState.PENDING, picture()
    assert copying.state_reason == "No access node online."
    held_copies.go_on()
    farm.start_node()
    ended = wait(copying)
    assert (ended.state, ended.attempt) == (JobState.COMPLETED, 2), picture()
    assert_good(tmp_path)


def test_the_next_attempt_prefers_another_node(copying: Job, farm: Farm, held_copies: HeldCopies) -> None:
    farm.start_node("two")
    until(lambda: AccessNode.objects.filter(name="two", last_seen_at__isnull=False).exists())
    kill_horse(copying, farm)
    held_copies.go_on()
    ended = wait(copying)
    assert ended.node_label == "two", picture()
    assert [attempt.node_label for attempt in ended.attempts.all()] == ["one", "two"]


def assert_good(folder: Path) -> None:
    """Stock restic finds nothing wrong, and no lock is left."""
    until(lambda: not list((folder / "media" / "locks").iterdir()), what="no lock is left")
    restic = Restic(repository=folder / "media", password=PASSWORD)
    result = restic.attempt("check", "--read-data")
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"


def test_a_job_that_never_looks_is_killed_by_its_own_guard(
    transactional_db: None, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processes are forked from here, so they run what is put in place here."""
    monkeypatch.setattr(guard, "HARD_STOP_SECONDS", 0.5)
    monkeypatch.setattr(scheduler, "NOT_OBEYED_SECONDS", 3600)
    monkeypatch.setitem(attempt._RUNNERS, "snapshot", lambda task: threading.Event().wait())
    subclient = configure(tmp_path)
    farm = Farm()
    try:
        farm.start_node()
        farm.start_scheduler()
        until(lambda: AccessNode.objects.filter(last_seen_at__isnull=False).exists(), what="the node reports")
        job = reach(launch_snapshot(subclient), lambda row: row.state == JobState.RUNNING)
        kill_job(job)
        ended = wait(job)
        assert ended.state == JobState.KILLED, picture()
    finally:
        farm.close()
