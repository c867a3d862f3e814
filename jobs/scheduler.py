"""The scheduler process: every second it sweeps, so that no job is lost, and launches what schedules want.

Several may run; one of them does the work, and should two believe it is them, rows keep each slot from running twice.
"""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType
from typing import Final

from django.db import Error as DatabaseError
from django.db import connections

from jobs import lease, queues
from jobs.services.schedules import tick
from jobs.services.sweep import orders_not_obeyed, sweep

logger = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 1.0
NOT_OBEYED_SECONDS: Final = 15.0
"""A killed job's own guard acts after 10 s; after 15 s its worker is asked, so that it ends within 30 (RULES J3)."""


class Scheduler:
    """``run`` returns when it was told to stop; a database that is away is waited for."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def run(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask_to_stop)
        while not self._stop.is_set():
            try:
                if lease.take_sweep():
                    sweep()
                    tick()
                    for job in orders_not_obeyed(seconds=NOT_OBEYED_SECONDS):
                        queues.stop_hard(job)
            except DatabaseError as error:
                logger.warning("The database does not answer: %s", str(error).strip())
                connections.close_all()
            self._stop.wait(SWEEP_SECONDS)

    def _ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stop.set()
