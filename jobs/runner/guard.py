"""The thread that owns a job while one process works on it: takes the lock, claims the row, beats, writes, listens.

It uses two database sessions of its own: one holds the advisory lock and writes progress, the other only listens. Any
trouble with either fences the process off the job: whoever sweeps will find the lock free and start the next attempt.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from typing import Final

import psycopg
from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone

from jobs import lease
from jobs.models import Job, JobAttempt, JobState, Want
from jobs.progress import COUNTER_ZERO, FLUSH_SECONDS, Recorder
from jobs.runner.orders import Orders
from jobs.runner.rounds import Rounds

logger = logging.getLogger(__name__)

HARD_STOP_SECONDS: Final = 10.0
"""A process that was told to be killed and has not ended by then is killed by its own guard."""

LEAVING_SECONDS: Final = 10.0
"""So long the process of the attempt before may still have the lock, after it wrote its end."""

_LOOK_SECONDS: Final = 0.05
_FAREWELL: Final = "ended"


class Guard(threading.Thread):
    """Start it, wait for ``claimed()``, work, write the end, then ``release()``."""

    def __init__(self, *, job_id: int, attempt: int, recorder: Recorder, orders: Orders, rounds: Rounds) -> None:
        super().__init__(name=f"guard-of-job-{job_id}", daemon=True)
        self._job_id = job_id
        self._attempt = attempt
        self._recorder = recorder
        self._orders = orders
        self._rounds = rounds
        self._parent = os.getppid()
        self._ready = threading.Event()
        self._over = threading.Event()
        self._is_mine = False
        self._killed_at: float | None = None

    def claimed(self) -> bool:
        """Wait until it is known whether this process has the job. False = somebody else has, or nobody may."""
        self._ready.wait()
        return self._is_mine

    def release(self) -> None:
        """Give the lock back and end the thread. Call it after the row was written."""
        self._over.set()
        if self.is_alive():
            try:
                lease.notify(self._job_id, _FAREWELL)
            except DatabaseError:
                logger.debug("The guard of job %s ends by itself.", self._job_id)
        self.join(timeout=5)

    def run(self) -> None:
        try:
            self._is_mine = self._claim()
            if not self._is_mine:
                return
            with self._listen() as listener:
                self._obey_row()
                self._ready.set()
                self._watch(listener)
        except (DatabaseError, psycopg.Error) as error:
            self._orders.fence(f"The database did not answer: {str(error).strip()}")
        finally:
            self._ready.set()
            connection.close()

    def _claim(self) -> bool:
        """The lock first, then the row, if it is still this attempt's turn."""
        mine = Job.objects.filter(pk=self._job_id, attempt=self._attempt, state=JobState.QUEUED, want=Want.RUN)
        ends_at = time.monotonic() + LEAVING_SECONDS
        while not lease.take(self._job_id):
            if time.monotonic() > ends_at or not mine.exists():
                return False
            time.sleep(_LOOK_SECONDS)
        now = timezone.now()
        with transaction.atomic():
            claimed = mine.update(
                state=JobState.RUNNING,
                state_reason="",
                lease_node=F("node_label"),
                lease_pid=os.getpid(),
                lease_boot_id=lease.boot_id(),
                heartbeat_at=now,
                started_at=Coalesce(F("started_at"), now),
                current_phase="",
                percent=None,
                in_flight=[],
                rate_samples=[],
                retry_at=None,
                **COUNTER_ZERO,
            )
            if claimed:
                JobAttempt.objects.create(
                    job_id=self._job_id,
                    number=self._attempt,
                    node_label=Job.objects.values_list("node_label", flat=True).get(pk=self._job_id),
                    pid=os.getpid(),
                    boot_id=lease.boot_id(),
                    started_at=now,
                )
        return bool(claimed)

    def _listen(self) -> psycopg.Connection:
        values = connection.get_connection_params()
        for name in ("cursor_factory", "context", "pool"):
            values.pop(name, None)
        listener = psycopg.connect(**values, autocommit=True)
        listener.execute(f'LISTEN "{lease.channel(self._job_id)}"')
        return listener

    def _watch(self, listener: psycopg.Connection) -> None:
        while not self._over.is_set():
            for word in listener.notifies(timeout=FLUSH_SECONDS, stop_after=1):
                self._orders.obey(word.payload)
            if self._over.is_set():
                return
            self._obey_row()
            self._rounds.make()
            if os.getppid() != self._parent:
                self._orders.fence("The worker of this process is gone.")
                return
            self._make_it_stop()

    def _obey_row(self) -> None:
        """Write progress; the row also tells what people want, should a notification have been lost."""
        want = self._recorder.flush()
        if want is None:
            if not self._over.is_set():
                self._orders.fence("Another process has the job.")
                self._over.set()
            return
        self._orders.obey(want)
        if want == Want.KILL and self._killed_at is None:
            self._killed_at = time.monotonic()

    def _make_it_stop(self) -> None:
        """A killed job ends within 30 s even if the engine never looks (RULES J3): the whole process group goes."""
        if self._killed_at is None or time.monotonic() - self._killed_at < HARD_STOP_SECONDS:
            return
        if os.getpgrp() == os.getpid():
            logger.error("Job %s does not stop: killing its process group.", self._job_id)
            os.killpg(os.getpgrp(), signal.SIGKILL)
