"""Kill, suspend, resume, acknowledge in every state; what the sweep does with rows that no process works on."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs import lease
from jobs.models import BackupCopy, CopyState, Job, JobAttempt, JobState, Operation, Want
from jobs.rules.retry import MOST_COPY_FAILURES, MOST_LOST_ATTEMPTS
from jobs.runner.attempt import Attempt
from jobs.selectors import jobs_needing_attention
from jobs.services import CannotControl, acknowledge_job, kill_job, resume_job, suspend_job
from jobs.services.finish import end_attempt
from jobs.services.outcomes import AwaitsChildren, Done, Failed, Interrupted, Killed, Suspended, ToRetry
from jobs.services.sweep import end_waiting_parents, reap_lost, sweep
from policies.models import AuditEntry, Subclient
from tests.factories import make_user
from tests.job_factories import make_backup_copy, make_job, make_node, make_snapshot
from tests.jobs.farm import backup_copy_of, configure


@pytest.fixture
def subclient(transactional_db: None, redis_url: str, tmp_path: Path) -> Subclient:
    return configure(tmp_path)


def copy_job(subclient: Subclient, *, state: str = JobState.RUNNING, **values: object) -> Job:
    """A backup copy job with its row, as claimed by a process that is gone."""
    snapshot, copy = make_snapshot(subclient, n=BackupCopy.objects.count()), backup_copy_of(subclient)
    copying = CopyState.COPYING if state == JobState.RUNNING else CopyState.TO_BE_COPIED
    row = make_backup_copy(snapshot, copy, state=copying)
    job = make_job(
        operation="backup_copy",
        state=state,
        subclient=subclient,
        copy=copy,
        snapshot=snapshot,
        backup_copy=row,
        node=make_node(),
        **values,
    )
    if state == JobState.RUNNING and job.started_at:
        JobAttempt.objects.create(job=job, number=1, node_label="one", started_at=job.started_at)
    return job


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.WAITING, JobState.PENDING, JobState.SUSPENDED])
def test_a_job_without_a_process_is_killed_at_once(subclient: Subclient, state: str) -> None:
    job = copy_job(subclient, state=state)
    user = make_user()
    kill_job(job, user=user)
    job.refresh_from_db()
    assert job.state == JobState.KILLED
    assert BackupCopy.objects.get().state == CopyState.TO_BE_COPIED
    assert AuditEntry.objects.filter(action="operated", user=user).exists()
    with pytest.raises(CannotControl, match="already over: killed"):
        kill_job(job)


def test_a_running_job_is_told_and_keeps_running_until_it_obeys(subclient: Subclient) -> None:
    job = copy_job(subclient)
    kill_job(job)
    job.refresh_from_db()
    assert (job.state, job.want) == (JobState.RUNNING, Want.KILL)
    assert reap_lost() == 1, "its process is gone, so that is the end"
    job.refresh_from_db()
    assert job.state == JobState.KILLED
    assert BackupCopy.objects.get().state == CopyState.TO_BE_COPIED
    assert job.attempts.get().state == "killed"


def test_a_job_is_taken_once_the_process_of_the_attempt_before_has_left_it(
    subclient: Subclient, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(subclient=subclient)
    take, asked = lease.take, list[int]()

    def held_by_another_at_first(job_id: int) -> bool:
        asked.append(job_id)
        return len(asked) > 1 and take(job_id)

    monkeypatch.setattr(lease, "take", held_by_another_at_first)
    with Attempt(job.pk, 1).held() as is_mine:
        assert is_mine
        with Attempt(job.pk, 1).held() as is_mine_too:
            assert not is_mine_too
    assert asked == [job.pk] * 3, "what runs already is not waited for"


def test_suspend_and_resume(subclient: Subclient) -> None:
    job = copy_job(subclient, state=JobState.QUEUED)
    with pytest.raises(CannotControl, match="is not suspended, it is queued"):
        resume_job(job)
    suspend_job(job)
    job.refresh_from_db()
    assert job.state == JobState.SUSPENDED
    with pytest.raises(CannotControl, match="already suspended"):
        suspend_job(job)
    resume_job(job)
    job.refresh_from_db()
    assert (job.state, job.want, job.attempt) == (JobState.QUEUED, Want.RUN, 1)


def test_a_running_job_that_is_suspended_and_dies_is_suspended(subclient: Subclient) -> None:
    job = copy_job(subclient)
    suspend_job(job)
    with pytest.raises(CannotControl, match="already suspended"):
        suspend_job(job)
    reap_lost()
    job.refresh_from_db()
    assert (job.state, job.want) == (JobState.SUSPENDED, Want.RUN)
    resume_job(job)
    job.refresh_from_db()
    assert (job.state, job.attempt) == (JobState.QUEUED, 2)


def test_j3_a_job_that_cannot_take_an_order_says_so(subclient: Subclient) -> None:
    snapshot = make_job(subclient=subclient, state=JobState.RUNNING, node=make_node())
    with pytest.raises(CannotControl, match="A snapshot job cannot be suspended"):
        suspend_job(snapshot)
    done = make_job(subclient=subclient, state=JobState.COMPLETED)
    for order in (kill_job, suspend_job, resume_job):
        with pytest.raises(CannotControl):
            order(done)
    with pytest.raises(CannotControl, match="nothing to acknowledge"):
        acknowledge_job(done, user=None)


def test_an_acknowledged_job_no_longer_asks_for_attention(subclient: Subclient) -> None:
    job = make_job(subclient=subclient, state=JobState.FAILED)
    assert job.needs_attention
    job = acknowledge_job(job, user=make_user())
    assert not job.needs_attention
    assert job.acknowledged_by is not None


@pytest.mark.django_db
def test_a_failed_test_is_forgiven_when_a_later_one_of_the_same_object_passes() -> None:
    failed = make_job(operation=Operation.TEST, state=JobState.FAILED, media_label="disk-a")
    make_job(operation=Operation.TEST, state=JobState.COMPLETED, media_label="disk-b")
    assert list(jobs_needing_attention()) == [failed]
    make_job(operation=Operation.TEST, state=JobState.COMPLETED, media_label="disk-a")
    assert not jobs_needing_attention().exists()


def test_a_lost_process_is_the_end_of_an_attempt_not_of_the_job(subclient: Subclient) -> None:
    job = copy_job(subclient, checkpoint={"packs": 3})
    make_node(name="two")
    assert sweep() == 1
    job.refresh_from_db()
    assert (job.state, job.attempt, job.node_label) == (JobState.QUEUED, 2, "two")
    assert job.checkpoint == {"packs": 3}
    assert job.attempts.get().state == "interrupted"
    assert BackupCopy.objects.get().state == CopyState.TO_BE_COPIED


def test_a_job_whose_process_is_lost_again_and_again_fails(subclient: Subclient) -> None:
    job = copy_job(subclient, lost_attempts=MOST_LOST_ATTEMPTS - 1)
    reap_lost()
    job.refresh_from_db()
    assert (job.state, job.error_code) == (JobState.FAILED, "process-lost")


def test_an_attempt_that_lost_the_job_cannot_end_it(subclient: Subclient) -> None:
    job = copy_job(subclient)
    reap_lost()
    assert not end_attempt(job.pk, attempt=1, outcome=Done())
    job.refresh_from_db()
    assert job.state == JobState.QUEUED


def test_passing_failures_are_retried_later_until_it_is_enough(subclient: Subclient) -> None:
    job = copy_job(subclient)
    failure = ToRetry(code="media-unavailable", sentence="The medium is away.")
    assert end_attempt(job.pk, attempt=1, outcome=failure)
    job.refresh_from_db()
    assert (job.state, job.attempt, job.retries) == (JobState.PENDING, 2, 1)
    assert job.retry_at
    assert job.error_code == "media-unavailable"
    Job.objects.filter(pk=job.pk).update(
        state=JobState.RUNNING, lease_pid=1, heartbeat_at=job.retry_at, retries=8, retry_at=None
    )
    assert end_attempt(job.pk, attempt=2, outcome=failure)
    job.refresh_from_db()
    assert job.state == JobState.FAILED
    assert BackupCopy.objects.get().state == CopyState.FAILED


def test_b7_a_copy_that_failed_too_often_is_skipped_so_that_newer_ones_go_on(subclient: Subclient) -> None:
    job = copy_job(subclient)
    BackupCopy.objects.update(failures=MOST_COPY_FAILURES - 1)
    end_attempt(job.pk, attempt=1, outcome=Failed(code="x", sentence="It does not work."))
    row = BackupCopy.objects.get()
    assert (row.state, row.failures) == (CopyState.SKIPPED, MOST_COPY_FAILURES)


def test_a_recopy_that_is_stopped_or_fails_keeps_what_is_on_media(subclient: Subclient) -> None:
    for outcome in (Killed(), Failed(code="x", sentence="It does not work."), Suspended()):
        Job.objects.update(backup_copy=None)
        BackupCopy.objects.all().delete()
        job = copy_job(subclient)
        BackupCopy.objects.update(snapshot_file_id="a" * 64, tree_id="b" * 64, copied_at=job.started_at, exceptions=2)
        end_attempt(job.pk, attempt=1, outcome=outcome)
        assert BackupCopy.objects.get().state == CopyState.PARTIAL
        job.refresh_from_db()
        if job.is_active:
            kill_job(job)


def awaiting(subclient: Subclient) -> tuple[Job, Job]:
    """A snapshot job that awaits its inline copy."""
    parent = make_job(subclient=subclient, state=JobState.RUNNING, node=make_node())
    child = copy_job(subclient, state=JobState.QUEUED, parent=parent, initiator="inline")
    end_attempt(parent.pk, attempt=1, outcome=AwaitsChildren(reason="for its backup copy"))
    parent.refresh_from_db()
    return parent, child


def test_B9_the_snapshot_job_ends_with_its_inline_copy(subclient: Subclient) -> None:
    parent, child = awaiting(subclient)
    assert (parent.state, parent.awaits_children) == (JobState.WAITING, True)
    assert sweep() == 0, "it is not placed again, and not ended before its child"
    kill_job(child)
    parent.refresh_from_db()
    assert parent.state == JobState.COMPLETED_WITH_ERRORS
    assert str(child.pk) in parent.state_reason


def test_killing_a_snapshot_job_kills_its_inline_copy_and_keeps_the_snapshot(subclient: Subclient) -> None:
    parent, child = awaiting(subclient)
    kill_job(parent)
    parent.refresh_from_db()
    child.refresh_from_db()
    assert (parent.state, child.state) == (JobState.KILLED, JobState.KILLED)
    assert "snapshot is kept" in parent.state_reason


def test_a_parent_is_ended_by_the_sweep_if_nobody_told_it(subclient: Subclient) -> None:
    parent, child = awaiting(subclient)
    Job.objects.filter(pk=child.pk).update(state=JobState.COMPLETED, finished_at="2026-01-01T00:00:00Z")
    assert end_waiting_parents() == 1
    parent.refresh_from_db()
    assert parent.state == JobState.COMPLETED


def test_an_interrupted_job_on_a_node_that_stops_is_not_counted_as_lost(subclient: Subclient) -> None:
    job = copy_job(subclient)
    end_attempt(job.pk, attempt=1, outcome=Interrupted(reason="The access node was stopped.", lost=False))
    job.refresh_from_db()
    assert (job.attempt, job.lost_attempts) == (2, 0)
