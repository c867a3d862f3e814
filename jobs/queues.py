"""Access node to RQ queue: what wakes a node's workers. Only job numbers travel; the row is the truth (RULES J2)."""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import time
from typing import Any, Final

import django_rq
import redis
from django.db.models import Q
from django.utils import timezone
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError

from jobs.models import Job, JobState, Operation
from policies.models import AccessNode

logger = logging.getLogger(__name__)

TASK: Final = "jobs.tasks.run"
CLEAR_LOCKS: Final = "jobs.tasks.clear_locks"
RECEIVE: Final = "jobs.tasks.receive"
SEND_FILES: Final = "jobs.tasks.send_files"
ANSWER: Final = "jobs.tasks.answer"
OFFER_SECONDS: Final = 30
"""So long a node that is to receive a snapshot has to say where; an order that is older is not taken up any more."""
_LISTEN_SECONDS: Final = 2.0
"""At a time: the Redis client gives up a reply for which it waits longer than 5 s."""
LIGHT: Final = frozenset(
    {
        Operation.TEST,
        Operation.DEMO,
        Operation.AGING,
        Operation.MOUNT,
        Operation.UNMOUNT,
        Operation.RECONCILE,
    }
)
"""Operations that mostly wait: they have workers of their own and take no slot, so a Test never waits behind a copy."""
IS_PREVIEW: Final = Q(operation=Operation.RESTORE, parameters__dry_run=True)
"""The dry run of a restore: somebody looks at a page and waits for it."""


def is_light(job: Job) -> bool:
    """Whether it takes no slot, as :data:`LIGHT` and :data:`IS_PREVIEW` say."""
    return job.operation in LIGHT or (job.operation == Operation.RESTORE and bool(job.parameters.get("dry_run")))


def heavy_queue(node: AccessNode) -> str:
    return node.queue


def light_queue(node: AccessNode) -> str:
    return f"{node.queue}-light"


def meeting_queue(node: AccessNode) -> str:
    """Its workers meet another process over the network, to take what it sends or to send what it asked for.

    They take no slot, which a sending job has already, and keep no Test waiting.
    """
    return f"{node.queue}-meeting"


def order_meeting(node: AccessNode, task: str, values: dict[str, Any], key: str) -> bool:
    """Have the node listen for whoever has the secret ``key``. False when Redis does not answer."""
    try:
        django_rq.get_queue(meeting_queue(node)).enqueue(
            task, args=(values, key), job_timeout=-1, ttl=OFFER_SECONDS, result_ttl=0, failure_ttl=3600
        )
    except redis.RedisError as error:
        logger.warning("Redis did not take the order to meet (%s).", error)
        return False
    return True


def ask(node: AccessNode, question: str, values: dict[str, Any], *, seconds: float) -> dict[str, Any] | None:
    """Have a node answer a short question while somebody waits; None = it did not within ``seconds``.

    A question that nobody took up in that time is dropped. Raises RedisError.
    """
    key = secrets.token_hex(16)
    django_rq.get_queue(light_queue(node)).enqueue(
        ANSWER,
        args=(question, values, key),
        job_timeout=int(seconds) + 2,
        ttl=int(seconds) + 1,
        result_ttl=0,
        failure_ttl=60,
        at_front=True,
    )
    return wait_for_offer(key, seconds=seconds)


def offer(key: str, values: dict[str, Any]) -> None:
    """A node says what it was asked for, or what keeps it: where it listens, an answer. Raises RedisError."""
    connection = django_rq.get_connection("default")
    connection.rpush(_offer_key(key), json.dumps(values))
    connection.expire(_offer_key(key), 2 * OFFER_SECONDS)


def wait_for_offer(key: str, *, seconds: float) -> dict[str, Any] | None:
    """What the node said; None = nothing yet. Raises RedisError."""
    connection, ends_at = django_rq.get_connection("default"), time.monotonic() + seconds
    while (left := ends_at - time.monotonic()) > 0:
        if found := connection.blpop([_offer_key(key)], timeout=min(max(left, 0.01), _LISTEN_SECONDS)):
            values: dict[str, Any] = json.loads(found[1])
            return values
    return None


def _offer_key(key: str) -> str:
    return f"snapcopy:offer:{hashlib.sha256(key.encode()).hexdigest()}"


def stop_hard(job: Job) -> None:
    """Have the job's worker kill its process at once, without asking it. Harmless if it is gone already.

    A node that was told more than once works under any of the ids, also under one that the row does not count yet.
    """
    if job.node is None:
        return
    name = light_queue(job.node) if is_light(job) else heavy_queue(job.node)
    connection = django_rq.get_queue(name).connection
    for number in range(job.enqueues + 1, 0, -1):
        try:
            send_stop_job_command(connection, _rq_id(job, number))
        except (NoSuchJobError, InvalidJobOperation) as error:
            logger.debug("Job %s is not worked on under that id: %s", job.pk, error)
        except redis.RedisError as error:
            logger.info("Job %s was not stopped by its worker: %s", job.pk, error)
            return


def enqueue_lock_clearing(node: AccessNode, media_id: int) -> None:
    """Have the node remove the locks that its dead processes left on a medium. The next copy would do it, too."""
    try:
        django_rq.get_queue(light_queue(node)).enqueue(CLEAR_LOCKS, args=(media_id,), result_ttl=0, failure_ttl=3600)
    except redis.RedisError as error:
        logger.info("Locks on medium %s are cleared by the next copy: %s", media_id, error)


def enqueue(job_id: int) -> bool:
    """Tell the job's node about it, under a new RQ id each time; False when Redis does not answer.

    Call it after the commit. Telling a node twice does no harm: only one process gets the lease. A job that nobody
    was told about is told again by the scheduler.
    """
    job = Job.objects.select_related("node").filter(pk=job_id, state=JobState.QUEUED).first()
    if job is None or job.node is None:
        return True
    number = job.enqueues + 1
    queue = light_queue(job.node) if is_light(job) else heavy_queue(job.node)
    try:
        django_rq.get_queue(queue).enqueue(
            TASK,
            args=(job.pk, job.attempt),
            job_id=_rq_id(job, number),
            job_timeout=-1,
            result_ttl=0,
            failure_ttl=3600,
            at_front=job.priority < Job.DEFAULT_PRIORITY,
        )
    except redis.RedisError as error:
        logger.warning("Redis did not take job %s (%s); the scheduler tells the node later.", job.pk, error)
        Job.objects.filter(pk=job.pk, state=JobState.QUEUED, attempt=job.attempt).update(enqueued_at=None)
        return False
    Job.objects.filter(pk=job.pk, attempt=job.attempt).update(enqueued_at=timezone.now(), enqueues=number)
    return True


def _rq_id(job: Job, number: int) -> str:
    return f"job-{job.pk}-{job.attempt}-{number}"
