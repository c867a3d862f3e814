"""What the scheduler does every second so that no job is lost: dead processes, forgotten queues, jobs without a node.

Every step is a conditional change of one row; two sweeps at once do no harm.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Final

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from jobs import lease, queues
from jobs.models import Job, JobState, Want
from jobs.selectors import jobs_to_place
from jobs.services.dispatch import dispatch
from jobs.services.finish import children_at_work, end_attempt, end_parent
from jobs.services.mounts import expire_mounts
from jobs.services.outcomes import Interrupted

logger = logging.getLogger(__name__)

UNCLAIMED_SECONDS: Final = 30
"""A queued job that no worker took for so long is told to its node again: Redis may have lost it."""

UNTOLD_SECONDS: Final = 2
"""A queued job whose node could not be told is told again after so long."""

_PER_SWEEP: Final = 50

_FIRST: Final = 25
"""So many of the waiting jobs are looked at in every sweep, and as many of the others."""

_TURNS: Final = count()


def sweep() -> int:
    """One round; returns how many jobs it moved. Raises DatabaseError."""
    return reap_lost() + end_waiting_parents() + expire_mounts() + tell_again() + place_waiting()


def reap_lost() -> int:
    """A running job whose lock can be taken has no process: its attempt is interrupted and the next one queued."""
    moved = 0
    for job in Job.objects.filter(state=JobState.RUNNING).select_related("node", "backup_copy"):
        with transaction.atomic():
            if not lease.take_for_transaction(job.pk):
                continue
            reason = f"the process on {job.lease_node} (pid {job.lease_pid}) is gone"
            if end_attempt(job.pk, attempt=job.attempt, outcome=Interrupted(reason=reason)):
                logger.warning("Job %s: %s.", job.pk, reason)
                moved += 1
                _clear_locks_of(job)
    return moved


def _clear_locks_of(job: Job) -> None:
    """The dead process may have left a lock on its media; only its own host can tell that it is dead."""
    if job.node is None or not job.node.is_online:
        return
    source = job.copy.source if job.copy is not None else None
    target = job.backup_copy.media_id if job.backup_copy is not None else job.media_id
    for media_id in (target, source.media_id if source is not None else None):
        if media_id is not None:
            transaction.on_commit(partial(queues.enqueue_lock_clearing, job.node, media_id))


def tell_again() -> int:
    """Queued jobs that nobody claimed: told again, or placed again when their node went away."""
    now = timezone.now()
    unclaimed = Q(enqueued_at__lt=now - timedelta(seconds=UNCLAIMED_SECONDS))
    untold = Q(enqueued_at__isnull=True, queued_at__lt=now - timedelta(seconds=UNTOLD_SECONDS))
    moved = 0
    for job in Job.objects.filter(unclaimed | untold, state=JobState.QUEUED).select_related("node")[:_PER_SWEEP]:
        if job.node is None or not job.node.is_online:
            dispatch(job.pk)
            moved += 1
        elif queues.enqueue(job.pk):
            moved += 1
    return moved


def place_waiting() -> int:
    """Jobs that wait for a slot, a node or their time, in order of priority.

    Of very many, the first ones every time and the others in turns: jobs of a node that is away for days must not keep
    those behind them from being looked at.
    """
    moved = 0
    waiting = list(jobs_to_place().values_list("pk", flat=True))
    others = [waiting[start : start + _FIRST] for start in range(_FIRST, len(waiting), _FIRST)]
    turn = others[next(_TURNS) % len(others)] if others else []
    for job_id in (*waiting[:_FIRST], *turn):
        moved += dispatch(job_id).state == JobState.QUEUED
    return moved


def end_waiting_parents() -> int:
    """Jobs whose children are over, should the process that ended the last child have died before it told them."""
    moved = 0
    for parent in Job.objects.filter(awaits_children=True, state=JobState.WAITING):
        if not children_at_work(parent).exists():
            end_parent(parent.pk)
            moved += 1
    return moved


def orders_not_obeyed(*, seconds: float) -> list[Job]:
    """Running jobs that were told to stop longer ago than that: their worker is asked to kill the process."""
    since = timezone.now() - timedelta(seconds=seconds)
    return list(Job.objects.filter(state=JobState.RUNNING, want=Want.KILL, want_at__lt=since))
