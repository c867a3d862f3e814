"""How a running operation is told to stop: the control the engine looks at, set by the guard and by signals."""

from __future__ import annotations

import threading

from jobs.engine import errors
from jobs.models import Want


class MustStop(errors.Stopped):
    """The process must end, the job goes on elsewhere: its lease is lost, or its node stops."""

    code = "must-stop"

    def __init__(self, sentence: str, *, lost: bool) -> None:
        super().__init__(sentence)
        self.lost = lost


class Orders:
    """The :class:`~jobs.engine.events.Control` of one attempt. Thread-safe.

    The first order wins, except that kill beats suspend, and a lost lease beats everything: nothing is written then.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stop: errors.Stopped | None = None

    def check(self) -> None:
        if self._stop is not None:
            raise self._stop

    @property
    def is_stopping(self) -> bool:
        """Whatever the reason: nothing new is to be begun, and nothing waited for."""
        return self._stop is not None

    @property
    def is_fenced(self) -> bool:
        """Another process may have the job: this one must not write a row."""
        return isinstance(self._stop, MustStop) and self._stop.lost

    def obey(self, want: str) -> None:
        """Take what people want of the job."""
        if want == Want.KILL:
            self._set(errors.Killed("The job was killed."))
        elif want == Want.SUSPEND:
            self._set(errors.Suspended("The job was suspended."))

    def stop_for_node(self) -> None:
        """The node is being stopped: end at the next look, the job goes on later. Safe in a signal handler."""
        if self._stop is None:
            self._stop = MustStop("The access node was stopped.", lost=False)

    def fence(self, why: str) -> None:
        """The lease is lost."""
        with self._lock:
            self._stop = MustStop(why, lost=True)

    def _set(self, stop: errors.Stopped) -> None:
        with self._lock:
            if self._stop is None or (isinstance(stop, errors.Killed) and not self.is_fenced):
                self._stop = stop
