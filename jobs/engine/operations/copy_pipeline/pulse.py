"""The heart beat of a running copy: asks whether to stop, and tells the sink how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from ...clock import Clock
from ...events import Control, Counters, Progress, Sink
from .tally import SharedBoard

_CHECK_SECONDS: Final = 0.1
_PROGRESS_SECONDS: Final = 0.5
_IN_FLIGHT_SHOWN: Final = 16


class Pulse:
    """``beat`` may be called as often as one likes; it acts ten times a second.

    Raises what ``control`` raises, and what ``also``, which is called as often, raises.
    """

    def __init__(
        self, *, board: SharedBoard, sink: Sink, control: Control, clock: Clock, also: Callable[[], None]
    ) -> None:
        self._board = board
        self._sink = sink
        self._control = control
        self._clock = clock
        self._also = also
        self._next_check = 0.0
        self._next_progress = clock.monotonic() + _PROGRESS_SECONDS
        self._in_flight: dict[str, int] = {}
        self._files_shown = self._bytes_shown = 0
        self.files_total: int | None = None
        self.bytes_total: int | None = None

    def beat(self) -> None:
        now = self._clock.monotonic()
        if now < self._next_check:
            return
        self._next_check = now + _CHECK_SECONDS
        self._control.check()
        self._also()
        if now >= self._next_progress:
            self._next_progress = now + _PROGRESS_SECONDS
            self.progress()

    def progress(self) -> None:
        """Tell the sink now."""
        self._sink.emit(Progress(counters=self.counters(), in_flight=tuple(self._in_flight)[:_IN_FLIGHT_SHOWN]))

    def counters(self) -> Counters:
        """Figures so far, which never fall. Where a copy goes by what changed, only what was looked at is done.

        A total that was passed was wrong, and nothing is better than “99 %” for an hour.
        """
        done = self._board.totals()
        self._files_shown = max(self._files_shown, done["files_done"] + done["files_replaced"])
        self._bytes_shown = max(self._bytes_shown, done["bytes_done"] + done["bytes_replaced"])
        return replace(
            self._board.counters(
                files_total=_unless_passed(self.files_total, self._files_shown),
                bytes_total=_unless_passed(self.bytes_total, self._bytes_shown),
            ),
            files_done=self._files_shown,
            bytes_done=self._bytes_shown,
        )

    def final_counters(self) -> Counters:
        """Figures of the finished copy: what is done is the total."""
        done = self._board.totals()
        return self._board.counters(files_total=done["files_done"], bytes_total=done["bytes_done"])

    def in_flight(self, path: str, *, begins: bool) -> None:
        """A large file is being read, or no longer."""
        count = self._in_flight.get(path, 0) + (1 if begins else -1)
        if count > 0:
            self._in_flight[path] = count
        else:
            self._in_flight.pop(path, None)


def _unless_passed(total: int | None, done: int) -> int | None:
    return None if total is None or done > total else total
