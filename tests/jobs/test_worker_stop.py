"""A worker that is told to stop ends its horse at once, also when the order comes while the horse is being made."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import django_rq
import pytest

from jobs.node import _be_child
from jobs.worker import run_worker
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
    queue = django_rq.get_queue(QUEUE, commit_mode="auto")
    queue.enqueue(time.sleep, 600, job_timeout=-1)
    queue.connection.close()
    parent, real_fork = os.getpid(), os.fork
    worker = real_fork()
    if worker == 0:
        os.fork = lambda: moment(real_fork)
        _be_child(parent, lambda: run_worker(QUEUE, node="stop-test"))
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
