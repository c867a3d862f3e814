"""Threads that take tasks from a stack until it is empty, and stop within a moment when they are told to.

A stack and not a queue: a walk goes deep before it goes wide, so what is pending stays small.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final

from ..events import Control

Task = Callable[[], None]

LOOK_SECONDS: Final = 0.2
"""How often the caller's control is asked."""


def default_threads() -> int:
    """File handling waits for the kernel more than for Python; more than 8 only fight for the interpreter."""
    return min(8, 2 * (os.cpu_count() or 1))


class _CutError(Exception):
    """Ends a task early after another one failed or the caller stopped."""


class WorkQueue:
    """Runs tasks that may add tasks. ``run`` may be called again after it returned."""

    def __init__(self, control: Control, *, threads: int | None = None) -> None:
        self._control = control
        self._threads = threads or default_threads()
        self._condition = threading.Condition()
        self._stack: list[Task] = []
        self._busy = 0
        self._error: BaseException | None = None
        self._stopping = False

    def put(self, task: Task) -> None:
        with self._condition:
            self._stack.append(task)
            self._condition.notify()

    def keep_going(self) -> None:
        """For tasks, often: raises when the work is to end early."""
        if self._stopping:
            raise _CutError

    def run(self, first: Task) -> None:
        """Run ``first`` and all that follows from it. Raises what a task raised first, or what the control raises."""
        self._stopping, self._error = False, None
        self._stack, self._busy = [first], 0
        workers = [threading.Thread(target=self._work, name=f"snapshot-{n}") for n in range(self._threads)]
        for worker in workers:
            worker.start()
        try:
            for worker in workers:
                while worker.is_alive():
                    worker.join(LOOK_SECONDS)
                    self._control.check()
            self._control.check()
        finally:
            self._stop(None)
            for worker in workers:
                worker.join()
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (task := self._next()) is not None:
            try:
                task()
            except _CutError:
                pass
            except BaseException as error:  # noqa: BLE001 - carried to the caller's thread, which raises it
                self._stop(error)
            self._done()

    def _next(self) -> Task | None:
        with self._condition:
            while not self._stack and self._busy and not self._stopping:
                self._condition.wait()
            if self._stopping or not self._stack:
                self._condition.notify_all()
                return None
            self._busy += 1
            return self._stack.pop()

    def _done(self) -> None:
        with self._condition:
            self._busy -= 1
            if not self._busy and not self._stack:
                self._condition.notify_all()

    def _stop(self, error: BaseException | None) -> None:
        with self._condition:
            self._stopping = True
            self._error = self._error or error
            self._condition.notify_all()
