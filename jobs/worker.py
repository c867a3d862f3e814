"""The RQ worker of an access node: one queue, one process per job, and nothing that outlives its parent.

What RQ would do by itself and why that is not enough is told in /docs/decisions/ (a job is a row with a lease).
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import time
from collections.abc import Iterator
from typing import Any, Final

import django_rq
import redis
import rq.job
import rq.queue
from django.db import connections
from rq import Worker
from rq.exceptions import StopRequested
from rq.executions import Execution

logger = logging.getLogger(__name__)

WORKER_TTL_SECONDS: Final = 25
"""A worker waits 15 s less for a job before it looks around."""

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_libc: Final = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int, death_signal: signal.Signals) -> None:
    """For a child right after the fork: the kernel sends the signal when the parent is gone, however it went."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Processes whose worker was killed become this one's children, so that somebody collects them (prctl(2))."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class NodeWorker(Worker):
    """Runs one job at a time in a forked process (RQ's work horse)."""

    max_connection_wait_time = 2.0
    """Seconds between looks for a Redis that is away."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.log_job_description = False
        self.log_result_lifespan = False
        self.job_monitoring_interval = 10
        self._own_pid = os.getpid()

    def fork_work_horse(self, job: rq.job.Job, queue: rq.queue.Queue) -> None:
        """A horse inherits no database session, and dies at once if this worker is killed.

        SIGTERM is held back in the horse until its own handlers are in place, and handed on if it came to this worker
        before there was a horse to tell.
        """
        connections.close_all()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            super().fork_work_horse(job, queue)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        if self.was_told_to_stop:
            self.handle_warm_shutdown_request()

    def main_work_horse(self, job: rq.job.Job, queue: rq.queue.Queue) -> None:
        die_with_parent(self._own_pid, signal.SIGKILL)
        super().main_work_horse(job, queue)

    def setup_work_horse_signals(self) -> None:
        """Ctrl-C reaches only the supervisor's orders; SIGTERM is handled by the attempt that runs."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    @property
    def was_told_to_stop(self) -> bool:
        """SIGTERM came, even if Redis was away and the farewell to it failed."""
        return self._shutdown_requested_date is not None

    def handle_warm_shutdown_request(self) -> None:
        """Tell the horse, and only it, not its helpers: it ends them, writes its checkpoint and gives the job back."""
        if self.horse_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.horse_pid, signal.SIGTERM)

    def maintain_heartbeats(self, job: rq.job.Job, execution: Execution) -> None:
        """Redis may vanish while a job runs (RULES J2): the job goes on."""
        with _redis_may_be_away():
            super().maintain_heartbeats(job, execution)

    def heartbeat(self, *arguments: Any, **options: Any) -> None:
        """Also called before each wait for a job: an order to stop that some library swallowed is obeyed here."""
        if self.was_told_to_stop and not self.horse_pid:
            raise StopRequested
        with _redis_may_be_away():
            super().heartbeat(*arguments, **options)

    def handle_job_failure(self, *arguments: Any, **options: Any) -> None:
        """RQ's own book-keeping; the row was written by the horse, or will be found by the sweep."""
        with _redis_may_be_away():
            super().handle_job_failure(*arguments, **options)


@contextlib.contextmanager
def _redis_may_be_away() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        logger.warning("Redis does not answer: %s", error)


def run_worker(queue: str, *, node: str) -> None:
    """Work on one queue until told to stop. A Redis that is away at the start is waited for."""
    name = f"{node}-{os.getpid()}-{int(time.time())}"
    while True:
        try:
            source = django_rq.get_queue(queue)
            worker = NodeWorker([source], name=name, connection=source.connection, worker_ttl=WORKER_TTL_SECONDS)
        except redis.RedisError as error:
            logger.warning("Redis does not answer: %s", error)
            time.sleep(1)
            continue
        try:
            worker.work(logging_level="WARNING")
            return
        except redis.RedisError as error:
            if worker.was_told_to_stop:
                return
            logger.warning("Redis does not answer: %s", error)
            time.sleep(1)
