"""A worker that is told to stop ends its horse at once, also when the order comes while the horse is being made."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import django_rq
import pytest
from rq.exceptions import StopRequested
from rq.worker import BaseWorker

from jobs.node import _be_child
from jobs.worker import NodeWorker, run_worker
from tests.system.product import wait_for

QUEUE = "node-stop-test"


def stop_before_the_fork(fork: Callable[[], int]) -> int:
    """The order reaches the worker when there is no horse to tell yet."""
    os.kill(os.getpid(), signal.SIGTERM)
    return fork()


def stop_right_after_the_fork(fork: Callable[[], int]) -> int:
    """The order reaches the horse before it has handlers of its own."""
    pid = fork()
    if pid:
        os.kill(pid, signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
    return pid


@pytest.mark.usefixtures("redis_url")
@pytest.mark.parametrize("moment", [stop_before_the_fork, stop_right_after_the_fork])
def test_an_order_to_stop_is_never_lost(moment: Callable[[Callable[[], int]], int]) -> None:
    enqueue_a_sleep(600)
    parent, real_fork = os.getpid(), os.fork
    worker = real_fork()
    if worker == 0:
        os.fork = lambda: moment(real_fork)
        _be_child(parent, lambda: run_worker(QUEUE, node="stop-test"))
    wait_for_its_end(worker)


@pytest.mark.usefixtures("redis_url")
def test_an_order_to_stop_that_a_library_swallows_is_obeyed_before_the_next_wait() -> None:
    """Otherwise the worker would wait minutes for a job, deaf to the order."""
    parent, real = os.getpid(), NodeWorker.dequeue_job_and_maintain_ttl
    worker = os.fork()
    if worker == 0:

        def dequeue(self: BaseWorker, timeout: int | None, max_idle_time: int | None = None) -> Any:
            with contextlib.suppress(StopRequested):
                os.kill(os.getpid(), signal.SIGTERM)
            return real(self, timeout, max_idle_time)

        NodeWorker.dequeue_job_and_maintain_ttl = dequeue  # type: ignore[method-assign]
        _be_child(parent, lambda: run_worker(QUEUE, node="stop-test"))
    wait_for_its_end(worker)


def enqueue_a_sleep(seconds: float) -> None:
    queue = django_rq.get_queue(QUEUE, commit_mode="auto")
    queue.enqueue(time.sleep, seconds, job_timeout=-1)
    queue.connection.close()


def wait_for_its_end(worker: int) -> None:
    ended = False

    def has_ended() -> bool:
        nonlocal ended
        ended = ended or os.waitpid(worker, os.WNOHANG)[0] == worker
        return ended

    try:
        wait_for(has_ended, seconds=30, what="the worker and its horse end")
    finally:
        if not ended:
            os.kill(worker, signal.SIGKILL)
            os.waitpid(worker, 0)
