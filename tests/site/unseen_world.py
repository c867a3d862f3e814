"""Two halves of an installation that share a policy, a medium and a node; one half is outside a scope.

Everything outside carries the marker in its name, its paths, its sentences and its changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from jobs.models import CopyState, Job, JobEvent, JobState, Operation, ScheduleRun, SlotState, Snapshot
from policies.models import Copy, FileServer, Schedule, StoragePolicy, Subclient
from policies.services import create_copy, update_policy
from tests.factories import (
    backup_copy_of,
    make_file_server,
    make_media,
    make_policy,
    make_schedule,
    make_subclient,
)
from tests.job_factories import make_backup_copy, make_job, make_node, make_snapshot

UNSEEN = "zzunseen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """One of everything."""

    server: FileServer
    subclient: Subclient
    policy: StoragePolicy
    copy: Copy
    snapshot: Snapshot
    job: Job
    test: Job
    schedule: Schedule

    @property
    def args(self) -> dict[str, tuple[Any, ...]]:
        """What addresses take, by kind."""
        return {
            "file_server": (self.server.pk,),
            "subclient": (self.server.name, self.subclient.name),
            "subclient_pk": (self.subclient.pk,),
            "policy": (self.policy.pk,),
            "copy": (self.copy.pk,),
            "snapshot": (self.snapshot.pk,),
            "job": (self.job.pk,),
            "job_order": (self.job.pk, "kill"),
            "test": (self.test.pk,),
            "schedule": (self.schedule.pk,),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoHalves:
    seen: Half
    unseen: Half
    shared: dict[str, tuple[Any, ...]]
    """Arguments of what both halves use."""


def make_two_halves() -> TwoHalves:
    medium = make_media(name="shared-disk")
    node = make_node(name="shared-node")
    unseen = _half(UNSEEN, medium)
    seen = _half("seen", medium)
    elsewhere = make_file_server(name=f"{UNSEEN}-other", area=f"/var/tmp/{UNSEEN}-other")
    guest = make_subclient(
        name=f"{UNSEEN}-guest", file_server=elsewhere, policy=seen.policy, paths=(f"/srv/{UNSEEN}-guest",)
    )
    create_copy(seen.policy, user=None, kind="secondary_snap", name="vault", target_server=unseen.server)
    update_policy(seen.policy, user=None, excluded_subclients=[guest])
    for server in (seen.server, unseen.server):
        server.access_nodes.add(node)
    _work(guest, backup_copy_of(seen.policy))
    shared_schedule = make_schedule(None, name="seen-of-policy", policy=seen.policy)
    for schedule in (seen.schedule, shared_schedule):
        _slot(schedule, "" if schedule == seen.schedule else f"Refused: {UNSEEN}/guest is switched off.")
    of_everything = make_schedule(None, name="nightly-aging", operation="aging")
    told = [{"kind": "snapshot", "subclient": UNSEEN, "name": UNSEEN, "copy": UNSEEN, "reason": UNSEEN}]
    aging = make_job(operation=Operation.AGING, state=JobState.COMPLETED, result={"aged": 1, "aged_items": told})
    pruning = make_job(
        operation=Operation.PRUNE, state=JobState.FAILED, media=medium, error_sentence=f"{UNSEEN} is broken."
    )
    return TwoHalves(
        seen=seen,
        unseen=unseen,
        shared={
            "media": (medium.pk,),
            "sealed": (medium.pk, "lost"),
            "node": (node.pk,),
            "aging_job": (aging.pk,),
            "media_job": (pruning.pk,),
            "policy_schedule": (shared_schedule.pk,),
            "open_schedule": (of_everything.pk,),
        },
    )


def _half(word: str, medium: Any) -> Half:
    server = make_file_server(name=f"{word}-server", area=f"/var/tmp/{word}-area")
    policy = make_policy(name=f"{word}-policy", media=medium)
    subclient = make_subclient(name=f"{word}-data", file_server=server, policy=policy, paths=(f"/srv/{word}",))
    copy = backup_copy_of(policy)
    snapshot, job = _work(subclient, copy)
    test = make_job(
        operation=Operation.TEST,
        state=JobState.COMPLETED,
        file_server_label=server.name,
        parameters={"file_server": server.pk},
    )
    schedule = make_schedule(subclient, name=f"{word}-hourly")
    _slot(schedule, word)
    Subclient.objects.filter(pk=subclient.pk).update(aging_frozen_at=timezone.now(), aging_frozen_reason=word)
    return Half(
        server=server,
        subclient=subclient,
        policy=policy,
        copy=copy,
        snapshot=snapshot,
        job=job,
        test=test,
        schedule=schedule,
    )


def _work(subclient: Subclient, copy: Copy) -> tuple[Snapshot, Job]:
    """A copied snapshot, one that waits and is old, and jobs in the states that pages list. The job runs."""
    copied, waiting = make_snapshot(subclient), make_snapshot(subclient, n=1, taken_at=timezone.now() - timedelta(99))
    row = make_backup_copy(copied, copy)
    make_backup_copy(waiting, copy, state=CopyState.TO_BE_COPIED)
    word = subclient.name
    running = make_job(
        operation=Operation.BACKUP_COPY,
        state=JobState.RUNNING,
        subclient=subclient,
        copy=copy,
        snapshot=copied,
        backup_copy=row,
        in_flight=[f"/srv/{word}/film"],
    )
    JobEvent.objects.create(job=running, at=timezone.now(), level="info", code="started", sentence=f"Copies {word}.")
    for state in (JobState.FAILED, JobState.WAITING):
        make_job(operation=Operation.RESTORE, state=state, subclient=subclient, parameters={"target": f"/srv/{word}"})
    return copied, running


def _slot(schedule: Schedule, sentence: str) -> None:
    ScheduleRun.objects.create(
        schedule=schedule,
        schedule_label=schedule.name,
        slot=timezone.now(),
        state=SlotState.MISSED,
        sentence=sentence,
    )
