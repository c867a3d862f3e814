"""Launching: refusals are sentences and change nothing, the row comes first, the queue after the commit."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import django_rq
import pytest
import redis
from django.db import connection, transaction
from django.utils import timezone

from jobs.engine.plan import Secret
from jobs.models import BackupCopy, CopyState, Job, JobState, Operation, SnapshotState
from jobs.selectors import active_backup_copy_job
from jobs.services import (
    CannotLaunch,
    launch_backup_copy,
    launch_demo,
    launch_restore,
    launch_snapshot,
    launch_test,
    resubmit_job,
)
from jobs.services import launch as launching
from jobs.services.sweep import place_waiting, tell_again
from policies.models import AccessNode, Media, Subclient
from policies.secrets import REPOSITORY_PASSWORD
from policies.services import create_copy, create_media
from tests.factories import make_user
from tests.job_factories import make_backup_copy, make_job, make_node, make_snapshot
from tests.jobs.farm import backup_copy_of, configure


@pytest.fixture
def subclient(transactional_db: None, redis_url: str, tmp_path: Path) -> Subclient:
    return configure(tmp_path)


@pytest.fixture
def node(subclient: Subclient) -> AccessNode:
    return make_node(slots=2)


def queued_in_redis(node: AccessNode) -> list[str]:
    return [str(one) for one in django_rq.get_queue(node.queue).job_ids]


def test_the_row_is_there_before_the_queue_hears_of_it(subclient: Subclient, node: AccessNode) -> None:
    with transaction.atomic():
        job = launch_snapshot(subclient, user=make_user())
        assert queued_in_redis(node) == []
    assert queued_in_redis(node) == [f"job-{job.pk}-1-1"]
    job.refresh_from_db()
    assert (job.state, job.node_label, job.started_by_label) == (JobState.QUEUED, "one", "viewer")
    assert job.enqueued_at


def test_a_launch_that_is_rolled_back_leaves_nothing(subclient: Subclient, node: AccessNode) -> None:
    with transaction.atomic():
        launch_snapshot(subclient)
        transaction.set_rollback(True)
    assert not Job.objects.exists()
    assert queued_in_redis(node) == []


def test_only_numbers_travel_through_redis(subclient: Subclient, node: AccessNode) -> None:
    launch_snapshot(subclient)
    (sent,) = django_rq.get_queue(node.queue).jobs
    assert sent.func_name == "jobs.tasks.run"
    assert all(isinstance(argument, int) for argument in sent.args)
    assert not sent.kwargs


def test_redis_away_is_no_reason_to_refuse(
    subclient: Subclient, node: AccessNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(django_rq, "get_queue", _no_redis)
        job = launch_snapshot(subclient)
    job.refresh_from_db()
    assert (job.state, job.enqueued_at) == (JobState.QUEUED, None)
    Job.objects.update(queued_at="2026-01-01T00:00:00Z")
    assert tell_again() == 1
    assert len(queued_in_redis(node)) == 1


def _no_redis(_name: str) -> None:
    raise redis.ConnectionError("away")


def test_what_is_switched_off_is_refused(subclient: Subclient, node: AccessNode) -> None:
    for owner in (subclient, subclient.file_server, subclient.policy):
        type(owner).objects.filter(pk=owner.pk).update(is_active=False)
        subclient = Subclient.objects.get(pk=subclient.pk)
        with pytest.raises(CannotLaunch, match="switched off"):
            launch_snapshot(subclient)
        with pytest.raises(CannotLaunch, match="switched off"):
            launch_backup_copy(subclient)
        type(owner).objects.filter(pk=owner.pk).update(is_active=True)
        subclient = Subclient.objects.get(pk=subclient.pk)
    assert not Job.objects.exists()


def test_one_snapshot_at_a_time(subclient: Subclient, node: AccessNode) -> None:
    first = launch_snapshot(subclient)
    with pytest.raises(CannotLaunch, match=f"Job {first.pk} is already") as refused:
        launch_snapshot(subclient)
    assert refused.value.job == first


def test_S6_no_snapshot_is_launched_beside_a_revert_that_comes_first(subclient: Subclient, node: AccessNode) -> None:
    refused: list[str] = []

    def ask() -> None:
        try:
            launch_snapshot(subclient)
        except CannotLaunch as refusal:
            refused.append(refusal.sentence)
        finally:
            connection.close()

    asking = threading.Thread(target=ask)
    with transaction.atomic():
        Subclient.objects.select_for_update().get(pk=subclient.pk)
        asking.start()
        wait_until_somebody_waits_for_a_lock()
        revert = make_job(operation=Operation.REVERT, state=JobState.PENDING, subclient=subclient)
    asking.join()
    assert refused == [f"Job {revert.pk} reverts {subclient.path}: wait until it is over."]


def wait_until_somebody_waits_for_a_lock() -> None:
    """In this test's database."""
    ends_at = time.monotonic() + 60
    while time.monotonic() < ends_at:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone() != (0,):
                return
        time.sleep(0.02)
    raise AssertionError("nobody waits")


def test_nothing_to_copy_is_said_plainly(subclient: Subclient, node: AccessNode) -> None:
    with pytest.raises(CannotLaunch, match="has no snapshot yet"):
        launch_backup_copy(subclient)
    snapshot = make_snapshot(subclient)
    make_backup_copy(snapshot, backup_copy_of(subclient))
    with pytest.raises(CannotLaunch, match="already copied"):
        launch_backup_copy(subclient)
    with pytest.raises(CannotLaunch, match="already copied to backup"):
        launch_backup_copy(subclient, snapshot=snapshot)


def test_a_policy_without_a_backup_copy_says_what_to_add(subclient: Subclient, node: AccessNode) -> None:
    subclient.policy.copies.filter(kind="primary_backup").update(is_active=False)
    with pytest.raises(CannotLaunch, match="no active backup copy"):
        launch_backup_copy(subclient)


def test_b11_a_second_request_attaches_to_the_running_one(subclient: Subclient, node: AccessNode) -> None:
    first, second = make_snapshot(subclient), make_snapshot(subclient, n=1)
    job = launch_backup_copy(subclient, snapshot=first)
    assert not job.parameters["goes_on"]
    assert launch_backup_copy(subclient, snapshot=second) == job
    job.refresh_from_db()
    assert job.parameters["then"] == [BackupCopy.objects.get(snapshot=second).pk]
    assert not job.parameters["goes_on"]
    assert launch_backup_copy(subclient) == job
    job.refresh_from_db()
    assert job.parameters["goes_on"]
    assert Job.objects.filter(operation="backup_copy").count() == 1


@pytest.mark.parametrize("by_name", [True, False])
def test_b11_a_request_beside_a_job_that_ends_at_that_moment_is_not_lost(
    subclient: Subclient, node: AccessNode, monkeypatch: pytest.MonkeyPatch, *, by_name: bool
) -> None:
    first, second = make_snapshot(subclient), make_snapshot(subclient, n=1)
    job = launch_backup_copy(subclient, snapshot=first)

    def found_and_then_over(*given: Any) -> Job | None:
        running = active_backup_copy_job(*given)
        BackupCopy.objects.filter(snapshot=first).update(state=CopyState.SKIPPED)
        Job.objects.filter(pk=job.pk).update(state=JobState.COMPLETED, finished_at=timezone.now())
        return running

    monkeypatch.setattr(launching, "active_backup_copy_job", found_and_then_over)
    following = launch_backup_copy(subclient, snapshot=second if by_name else None)
    assert (following.state, following.snapshot) == (JobState.QUEUED, second)
    job.refresh_from_db()
    assert "then" not in job.parameters


def test_b11_twenty_requests_at_once_make_one_job(subclient: Subclient, node: AccessNode) -> None:
    make_snapshot(subclient)
    got: list[int] = []

    def ask() -> None:
        try:
            got.append(launch_backup_copy(subclient).pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 20
    assert len(set(got)) == 1
    assert Job.objects.filter(operation=Operation.BACKUP_COPY).count() == 1


def test_b5_the_oldest_waiting_snapshot_is_taken_and_older_ones_than_a_copied_one_never(
    subclient: Subclient, node: AccessNode, tmp_path: Path
) -> None:
    old, copied, newer, newest = (make_snapshot(subclient, n=number) for number in range(4))
    make_backup_copy(copied, backup_copy_of(subclient))
    assert launch_backup_copy(subclient).snapshot == newer
    left = BackupCopy.objects.get(snapshot=old)
    assert (left.state, "newer snapshot" in left.state_reason) == (CopyState.NOT_SELECTED, True)
    assert BackupCopy.objects.get(snapshot=newest).state == CopyState.TO_BE_COPIED


def test_n5_without_a_node_it_is_pending_and_goes_on_when_one_appears(subclient: Subclient) -> None:
    job = launch_snapshot(subclient)
    assert (job.state, job.state_reason) == (JobState.PENDING, "No access node online.")
    assert place_waiting() == 0
    node = make_node()
    assert place_waiting() == 1
    job.refresh_from_db()
    assert (job.state, job.node) == (JobState.QUEUED, node)


def test_n5_all_slots_taken_is_waiting_and_a_slot_is_never_given_twice(subclient: Subclient, tmp_path: Path) -> None:
    node = make_node(slots=1)
    others = [configure(tmp_path / str(number), name=f"other{number}") for number in range(3)]
    jobs = [launch_snapshot(one) for one in (subclient, *others)]
    assert [job.state for job in jobs] == [JobState.QUEUED, JobState.WAITING, JobState.WAITING, JobState.WAITING]
    assert jobs[1].state_reason == "No free slot on one."
    make_done(jobs[0])
    assert place_waiting() == 1
    assert Job.objects.filter(state=JobState.QUEUED, node=node).count() == 1
    assert launch_test(media=Media.objects.first()).state == JobState.QUEUED, "a test takes no slot"


def make_done(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(state=JobState.KILLED, finished_at="2026-01-01T00:00:00Z")


def test_b11_at_most_n_sessions_per_file_server(subclient: Subclient) -> None:
    make_node(slots=8)
    type(subclient.file_server).objects.update(max_sessions=1)
    make_job(
        operation="backup_copy",
        subclient=subclient,
        copy=create_copy(subclient.policy, name="second", media=_second_medium(), user=None),
        node=make_node(slots=8),
    )
    make_snapshot(subclient)
    job = launch_backup_copy(Subclient.objects.get())
    assert (job.state, job.state_reason) == (
        JobState.WAITING,
        "server-tree already has 1 of 1 backup copy sessions.",
    )


def _second_medium() -> Media:
    return create_media(
        name="second",
        kind="disk",
        options={"path": "/srv/second"},
        secrets={REPOSITORY_PASSWORD: Secret("x")},
        user=None,
    )


def test_a_restore_needs_something_to_read_and_an_absolute_target(subclient: Subclient, node: AccessNode) -> None:
    gone = make_snapshot(subclient, state=SnapshotState.DELETED)
    make_backup_copy(gone, backup_copy_of(subclient), state=CopyState.TO_BE_COPIED)
    with pytest.raises(CannotLaunch, match="the snapshot was deleted"):
        launch_restore(gone, target="/tmp/x")
    there = make_snapshot(subclient, n=1, state=SnapshotState.DELETED)
    make_backup_copy(there, backup_copy_of(subclient))
    with pytest.raises(CannotLaunch, match="absolute"):
        launch_restore(there, target="x")
    job = launch_restore(there, target="/tmp/x", paths=[b"/a\xff"], node=node)
    assert (job.parameters["source"], job.backup_copy) == ("media", there.backup_copies.get())
    assert job.parameters["paths"] == ["2f61ff"]
    assert job.node_reason.startswith("Chosen by whoever started it.")


def test_a_resubmitted_job_is_the_same_request_again(subclient: Subclient, node: AccessNode) -> None:
    there = make_backup_copy(make_snapshot(subclient), backup_copy_of(subclient))
    job = launch_restore(there.snapshot, there.copy, target="/tmp/x", paths=[b"/a"])
    with pytest.raises(CannotLaunch, match="not over"):
        resubmit_job(job)
    make_done(job)
    job.refresh_from_db()
    again = resubmit_job(job)
    assert again.pk != job.pk
    assert again.parameters == job.parameters
    assert again.events.filter(code="resubmitted").exists()


def test_a_partial_copy_can_be_copied_again(subclient: Subclient, node: AccessNode) -> None:
    snapshot, copy = make_snapshot(subclient), backup_copy_of(subclient)
    row = make_backup_copy(snapshot, copy, state=CopyState.PARTIAL)
    job = make_job(
        operation="backup_copy",
        state=JobState.COMPLETED_WITH_ERRORS,
        subclient=subclient,
        copy=copy,
        snapshot=snapshot,
        backup_copy=row,
    )
    again = resubmit_job(job)
    assert (again.backup_copy, again.state) == (row, JobState.QUEUED)


def test_the_sample_data_is_made_once(subclient: Subclient, node: AccessNode) -> None:
    job = launch_demo()
    with pytest.raises(CannotLaunch, match="already preparing"):
        launch_demo()
    Job.objects.filter(pk=job.pk).update(state=JobState.COMPLETED, finished_at="2026-01-01T00:00:00Z")
    with pytest.raises(CannotLaunch, match="there already"):
        launch_demo()
