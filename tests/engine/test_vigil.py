"""A worker that waits for itself is ended, one that waits for anything else is not, and forks wait for threads."""

from __future__ import annotations

import _thread
import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from jobs.engine.operations.copy_pipeline.process import WorkerProcess, fork_worker
from jobs.engine.operations.copy_pipeline.vigil import Vigil


def watch(run: Callable[[], None], *, seconds: float) -> int | None:
    """The exit code of a worker under a quick vigil, None if it still runs after so long."""
    process: WorkerProcess = fork_worker(run, keep_fds=frozenset())
    vigil = Vigil(stuck_seconds=0.2, look_seconds=0.02, most_ticks=0)
    ends_at = time.monotonic() + seconds
    try:
        while process.poll() is None and time.monotonic() < ends_at:
            vigil.look([process.pid])
            threading.Event().wait(0.01)
        return process.poll()
    finally:
        process.kill()
        process.wait()


def wait_for_itself() -> None:
    lock = threading.Lock()
    lock.acquire()
    threading.Thread(target=lock.acquire, daemon=True).start()
    lock.acquire()


def test_a_worker_whose_every_thread_waits_for_a_lock_is_ended_and_says_where(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert watch(wait_for_itself, seconds=60) == -signal.SIGABRT
    assert "wait_for_itself" in capfd.readouterr().err


def wait_for_data() -> None:
    ours, _theirs = os.pipe()
    threading.Thread(target=lambda: threading.Lock().acquire(), daemon=True).start()
    os.read(ours, 1)


def compute() -> None:
    while True:
        sum(range(1000))


def wait_a_moment_for_a_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    while True:
        lock.acquire(timeout=0.05)
        sum(range(2_000_000))


@pytest.mark.parametrize("run", [wait_for_data, compute, wait_a_moment_for_a_lock])
def test_a_worker_that_waits_for_data_or_computes_is_left_alone(run: Callable[[], None]) -> None:
    assert watch(run, seconds=1.0) is None


def test_a_fork_waits_for_threads_that_libraries_are_not_done_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Joined threads run on for a moment, and may hold a lock of OpenSSL that a child would have for ever.

    This one fills memory in the kernel, where it needs nothing of Python: whether it was over shows in the memory.
    """
    monkeypatch.setattr("jobs.engine.operations.copy_pipeline.process._ENDING_SECONDS", 60.0)
    filled = bytearray(30 << 20)

    def run_on() -> None:
        with open("/dev/urandom", "rb", buffering=0) as source:
            source.readinto(filled)

    _thread.start_new_thread(run_on, ())
    while not any(filled[:64]):
        time.sleep(0.001)
    process = fork_worker(lambda: os._exit(0 if any(filled[-64:]) else 3), keep_fds=frozenset())
    assert process.wait() == 0
