"""A prune needs its medium for itself: who waits for whom, and what the waiting job says."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import BackupCopy, CopyState, Job, JobState, Operation
from jobs.selectors import agents_of_media
from jobs.services import CannotLaunch, launch_aging, launch_backup_copy, launch_prune, launch_restore, launch_verify
from jobs.services.dispatch import dispatch
from policies.models import Copy, Media, Subclient
from tests.factories import backup_copy_of, make_media, make_policy, make_subclient
from tests.job_factories import make_backup_copy, make_job, make_node, make_snapshot

pytestmark = pytest.mark.django_db


@pytest.fixture
def media() -> Media:
    made = make_media()
    Media.objects.filter(pk=made.pk).update(repository_id="a" * 64)
    made.refresh_from_db()
    return made


@pytest.fixture
def subclient(media: Media) -> Subclient:
    make_node(slots=9)
    return make_subclient(policy=make_policy(media=media))


@pytest.fixture
def copied(subclient: Subclient) -> BackupCopy:
    return make_backup_copy(make_snapshot(subclient), backup_copy_of(subclient.policy))


def running(operation: str, **values: object) -> Job:
    return make_job(operation=operation, state=JobState.RUNNING, **values)


def end(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(state=JobState.COMPLETED, finished_at=timezone.now())


@pytest.mark.parametrize("operation", [Operation.BACKUP_COPY, Operation.RESTORE])
def test_a_prune_waits_for_who_uses_the_medium_and_says_so(
    subclient: Subclient, copied: BackupCopy, media: Media, operation: str
) -> None:
    busy = running(operation, subclient=subclient, copy=copied.copy, backup_copy=copied)
    prune = launch_prune(media=media)
    assert prune.state == JobState.WAITING
    what = busy.get_operation_display().lower()
    assert prune.state_reason == f"disk-a is in use by job {busy.pk} ({what}); pruning needs it for itself."
    end(busy)
    assert dispatch(prune.pk).state == JobState.QUEUED


def test_a_prune_waits_for_a_copy_that_reads_from_its_medium(subclient: Subclient, media: Media) -> None:
    source = backup_copy_of(subclient.policy)
    far = Copy.objects.create(
        policy=subclient.policy,
        name="far",
        kind="secondary_backup",
        precedence=9,
        media=make_media(name="far"),
        source=source,
    )
    running(Operation.BACKUP_COPY, subclient=subclient, copy=far)
    assert launch_prune(media=media).state == JobState.WAITING


def test_a_prune_and_a_catalog_job_that_may_read_trees_wait_for_each_other(
    subclient: Subclient, copied: BackupCopy, media: Media
) -> None:
    busy = running(Operation.CATALOG, subclient=subclient)
    prune = launch_prune(media=media)
    assert prune.state_reason == f"disk-a is in use by job {busy.pk} (catalog); pruning needs it for itself."
    end(busy)
    assert dispatch(prune.pk).state == JobState.QUEUED
    waiting = make_job(operation=Operation.CATALOG, state=JobState.PENDING, subclient=subclient)
    assert dispatch(waiting.pk).state_reason == f"disk-a is being pruned by job {prune.pk}."
    other = make_subclient(name="other", file_server=subclient.file_server, policy=subclient.policy)
    beside = make_job(operation=Operation.CATALOG, state=JobState.PENDING, subclient=other)
    assert dispatch(beside.pk).state == JobState.QUEUED, "nothing of it is on the medium"


def test_a_prune_does_not_wait_for_another_medium(subclient: Subclient, copied: BackupCopy, media: Media) -> None:
    other = make_media(name="other")
    Media.objects.filter(pk=other.pk).update(repository_id="b" * 64)
    other.refresh_from_db()
    running(Operation.BACKUP_COPY, subclient=subclient, copy=copied.copy)
    assert launch_prune(media=other).state == JobState.QUEUED


def test_copies_and_restores_queue_while_a_prune_runs_and_do_not_fail(
    subclient: Subclient, copied: BackupCopy, media: Media
) -> None:
    prune = running(Operation.PRUNE, media=media, media_label=media.name)
    make_backup_copy(make_snapshot(subclient, n=2), copied.copy, state=CopyState.TO_BE_COPIED)
    jobs = [launch_backup_copy(subclient), launch_restore(copied.snapshot, copied.copy, target="/tmp/back")]
    for job in jobs:
        assert (job.state, job.state_reason) == (JobState.WAITING, f"disk-a is being pruned by job {prune.pk}.")
    end(prune)
    assert [dispatch(job.pk).state for job in jobs] == [JobState.QUEUED, JobState.QUEUED]


def test_a_prune_that_waited_long_enough_goes_before_copies_without_a_place(
    subclient: Subclient, copied: BackupCopy, media: Media
) -> None:
    busy = running(Operation.RESTORE, subclient=subclient, copy=copied.copy, backup_copy=copied)
    prune = launch_prune(media=media)
    make_backup_copy(make_snapshot(subclient, n=2), copied.copy, state=CopyState.TO_BE_COPIED)
    copy = launch_backup_copy(subclient)
    assert copy.state == JobState.QUEUED, "a copy overtakes a prune that has just come"
    Job.objects.filter(pk=copy.pk).update(state=JobState.PENDING, node=None, queued_at=None)
    Job.objects.filter(pk=prune.pk).update(created_at=timezone.now() - timedelta(hours=2))
    assert dispatch(copy.pk).state == JobState.WAITING
    end(busy)
    assert dispatch(prune.pk).state == JobState.QUEUED
    assert "is being pruned" in dispatch(copy.pk).state_reason


def test_one_prune_or_verification_per_medium_and_one_aging(subclient: Subclient, media: Media) -> None:
    first = launch_verify(media=media, percent=1)
    with pytest.raises(CannotLaunch, match=f"Job {first.pk} verifies disk-a") as refusal:
        launch_prune(media=media)
    assert refusal.value.job == first
    aging = launch_aging()
    assert aging.state == JobState.QUEUED
    with pytest.raises(CannotLaunch, match=f"Job {aging.pk} ages already"):
        launch_aging()


def test_aging_takes_no_slot_of_its_node(subclient: Subclient) -> None:
    make_node(slots=1)
    running(Operation.BACKUP_COPY, subclient=subclient, copy=backup_copy_of(subclient.policy), node=make_node(slots=1))
    assert launch_aging().state == JobState.QUEUED


def test_N2_a_medium_is_pruned_by_a_media_agent_of_its_copies(subclient: Subclient, media: Media) -> None:
    agent = make_node(name="agent")
    backup_copy_of(subclient.policy).media_agents.add(agent)
    assert agents_of_media(media).backup_agents == {"agent"}
    assert launch_prune(media=media).node == agent


def test_a_switched_off_medium_is_not_pruned(subclient: Subclient, media: Media) -> None:
    Media.objects.filter(pk=media.pk).update(is_active=False)
    media.refresh_from_db()
    with pytest.raises(CannotLaunch, match="switched off"):
        launch_prune(media=media)


@pytest.mark.parametrize("percent", [-1, 100.5, float("nan")])
def test_a_verification_reads_between_nothing_and_everything(
    subclient: Subclient, media: Media, percent: float
) -> None:
    with pytest.raises(CannotLaunch, match="between 0 and 100"):
        launch_verify(media=media, percent=percent)
