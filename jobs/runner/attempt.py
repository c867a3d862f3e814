"""One attempt of one job in this process: claim, run the operation, map what it raised, write the end."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Final

from django.db import Error as DatabaseError
from django.db import connection

from jobs.engine import errors
from jobs.engine.clock import SystemClock
from jobs.models import Job, Operation
from jobs.progress import Recorder
from jobs.runner import (
    aging,
    attach,
    backup_copy,
    catalog,
    demo,
    drill,
    mounting,
    probe,
    prune,
    reconcile,
    repair,
    restore,
    revert,
    secondary_copy,
    snapshot,
    snapshot_deletion,
    verify,
)
from jobs.runner.guard import Guard
from jobs.runner.orders import MustStop, Orders
from jobs.runner.rounds import Rounds
from jobs.runner.task import Task
from jobs.services.finish import end_attempt
from jobs.services.outcomes import Done, Failed, Interrupted, Killed, Outcome, Suspended, ToRetry

logger = logging.getLogger(__name__)

_RUNNERS: Final[Mapping[str, Callable[[Task], Outcome]]] = {
    Operation.SNAPSHOT: snapshot.run,
    Operation.BACKUP_COPY: backup_copy.run,
    Operation.SECONDARY_COPY: secondary_copy.run,
    Operation.RESTORE: restore.run,
    Operation.DELETE_SNAPSHOT: snapshot_deletion.run,
    Operation.AGING: aging.run,
    Operation.PRUNE: prune.run,
    Operation.VERIFY: verify.run,
    Operation.REPAIR: repair.run,
    Operation.ATTACH: attach.run,
    Operation.DRILL: drill.run,
    Operation.CATALOG: catalog.run,
    Operation.REVERT: revert.run,
    Operation.RECONCILE: reconcile.run,
    Operation.MOUNT: mounting.mount,
    Operation.UNMOUNT: mounting.unmount,
    Operation.TEST: probe.run,
    Operation.DEMO: demo.run,
}


class Attempt:
    """The process's hold on a job. ``work`` may raise anything; :mod:`jobs.tasks` decides what that means."""

    def __init__(self, job_id: int, attempt: int) -> None:
        self.job_id = job_id
        self.number = attempt
        self.orders = Orders()
        self.recorder = Recorder(job_id=job_id, attempt=attempt)
        self.rounds = Rounds()
        self._guard = Guard(
            job_id=job_id, attempt=attempt, recorder=self.recorder, orders=self.orders, rounds=self.rounds
        )

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Hold the job for the block; False = it is not ours, and nothing may be done."""
        self._guard.start()
        try:
            with _sigterm_stops(self.orders):
                yield self._guard.claimed()
        finally:
            self._guard.release()

    def work(self) -> Outcome:
        """Run the operation. EngineErrors become outcomes; everything else is raised."""
        job = Job.objects.select_related(
            "subclient__file_server",
            "subclient__policy",
            "copy__media",
            "backup_copy__snapshot",
            "backup_copy__media",
            "copy__policy__backup_source",
            "copy__source__target_server",
            "copy__target_server",
            "replica__snapshot",
            "replica__file_server",
            "snapshot",
            "media",
            "started_by",
        ).get(pk=self.job_id)
        task = Task(job=job, recorder=self.recorder, orders=self.orders, clock=SystemClock(), rounds=self.rounds)
        try:
            return _RUNNERS[job.operation](task)
        except MustStop as stop:
            return Interrupted(reason=stop.sentence, lost=stop.lost)
        except errors.Killed:
            return Killed()
        except errors.Suspended:
            return Suspended()
        except errors.Retryable as error:
            return ToRetry.by(error)
        except errors.EngineError as error:
            return Failed.by(error)

    def end(self, outcome: Outcome) -> None:
        """Write the last progress and the end. A fenced process writes nothing: the job is somebody else's."""
        if self.orders.is_fenced:
            logger.warning("Job %s: this process lost its lease and leaves the job alone.", self.job_id)
            return
        try:
            self.recorder.flush()
            end_attempt(self.job_id, attempt=self.number, outcome=outcome)
            if isinstance(outcome, Done) and outcome.afterwards is not None:
                outcome.afterwards()
        except DatabaseError as error:
            connection.close()
            logger.warning("Job %s: its end could not be written (%s); it will be found.", self.job_id, error)


@contextmanager
def _sigterm_stops(orders: Orders) -> Iterator[None]:
    """A worker that shuts down sends SIGTERM: the operation ends at its next look and goes on later."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        orders.stop_for_node()

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
