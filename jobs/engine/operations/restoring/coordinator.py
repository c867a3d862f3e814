"""The parent of a restore's workers: who gets what, what they report, and how all of it ends."""

from __future__ import annotations

import selectors
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

from ...clock import Clock
from ...errors import EngineError, ReaderLost
from ...events import Control, Counters, FileFailed, Progress, Sink
from ..copy_pipeline.channel import ParentEnd, WorkerEnd, channel
from ..copy_pipeline.process import WorkerProcess, fork_worker
from ..copy_pipeline.vigil import Vigil
from .board import Board
from .items import (
    Aborted,
    Crashed,
    Done,
    End,
    Failed,
    FromWorker,
    Given,
    Home,
    Idle,
    InFlight,
    Item,
    Parts,
    Report,
    Returned,
    Task,
    ToWorker,
)

_CHECK_SECONDS: Final = 0.2
_PROGRESS_SECONDS: Final = 0.5
_GRACE_SECONDS: Final = 3.0
_NOBODY: Final = -1
_IN_FLIGHT_SHOWN: Final = 16

WorkerMain = Callable[[int, WorkerEnd], None]


class Coordinator:
    """Forks workers, hands them items, and turns their messages into events. Used once, then closed."""

    def __init__(self, board: Board, *, sink: Sink, control: Control, clock: Clock) -> None:
        self._board = board
        self._sink, self._control, self._clock = sink, control, clock
        self._ends: dict[int, ParentEnd] = {}
        self._processes: dict[int, WorkerProcess] = {}
        self._sent: dict[int, int] = {}
        self._selector = selectors.DefaultSelector()
        self._vigil = Vigil()
        self._items: deque[Task] = deque()
        self._idle: list[int] = []
        self._is_done = False
        self._in_flight: dict[bytes, None] = {}
        self._next_progress = clock.monotonic() + _PROGRESS_SECONDS
        self.warnings: dict[str, tuple[int, str]] = {}
        self.homes: set[Parts] = set()
        self.files_total: int | None = None
        self.bytes_total: int | None = None

    def start(self, workers: int, main: WorkerMain) -> None:
        """Fork the workers; the caller must not have opened anything they may not share."""
        for number in range(workers):
            ours, theirs = channel()
            end = WorkerEnd(theirs)
            self._processes[number] = fork_worker(
                lambda number=number, end=end: main(number, end),  # type: ignore[misc]
                keep_fds=frozenset({theirs.fileno()}),
            )
            theirs.close()
            self._ends[number] = ParentEnd(ours)
            self._sent[number] = 0
            self._selector.register(ours, selectors.EVENT_READ, number)

    def run(self, first: Item) -> None:
        """Until everything is restored. Raises Stopped, ReaderLost, and what a worker cannot go on after."""
        self._items.append(Task(_NOBODY, 0, first))
        while self._ends:
            self._control.check()
            self._progress_if_due()
            for number, message in self._receive():
                self._handle(number, message)
            self._hand_out()

    def close(self) -> None:
        """End all workers: those that still run clean up after themselves, and are killed if they take too long."""
        self._board.stop()
        for number in list(self._ends):
            self._send(number, End())
        deadline = time.monotonic() + _GRACE_SECONDS
        while self._ends and time.monotonic() < deadline:
            for number, message in self._receive():
                if isinstance(message, Home):
                    self.homes.add(message.parts)
                elif isinstance(message, Crashed | Report) and number in self._ends:
                    self._forget(number)
        for process in self._processes.values():
            process.kill()
            process.wait()
        for end in self._ends.values():
            end.close()
        self._ends.clear()
        self._selector.close()

    def counters(self) -> Counters:
        """Figures now; totals never below what is done."""
        done = self._board.totals()
        files, size = self.files_total, self.bytes_total
        return self._board.counters(
            files_total=None if files is None else max(files, done["files_done"]),
            bytes_total=None if size is None else max(size, done["bytes_done"]),
        )

    def _receive(self) -> list[tuple[int, FromWorker]]:
        self._vigil.look([self._processes[number].pid for number in self._ends])
        received: list[tuple[int, FromWorker]] = []
        for key, events in self._selector.select(_CHECK_SECONDS):
            number: int = key.data
            end = self._ends[number]
            if events & selectors.EVENT_WRITE:
                end.flush()
                self._watch(number)
            if events & selectors.EVENT_READ:
                messages, is_closed = end.read()
                received += [(number, cast("FromWorker", message)) for message in messages]
                if is_closed:
                    received.append((number, Crashed("")))
        return received

    def _handle(self, number: int, message: FromWorker) -> None:
        match message:
            case Idle(heard):
                if heard == self._sent[number]:
                    self._idle.append(number)
            case Given(token, item):
                self._items.append(Task(number, token, item))
            case Done(owner, token, error, code):
                if owner == _NOBODY:
                    self._is_done = True
                else:
                    self._send(owner, Returned(token, error, code))
            case Failed(path, error, code):
                self._sink.emit(FileFailed(path=path, error=error, code=code))
            case InFlight(path, begins):
                self._in_flight.pop(path, None)
                if begins:
                    self._in_flight[path] = None
            case Home(parts):
                self.homes.add(parts)
            case Report(warnings):
                self._take_report(number, warnings)
            case Aborted(error):
                raise error
            case Crashed(text):
                self._lost(number, text)

    def _take_report(self, number: int, warnings: dict[str, tuple[int, str]]) -> None:
        for what, (times, first) in warnings.items():
            before, where = self.warnings.get(what, (0, first))
            self.warnings[what] = (before + times, where)
        self._forget(number)

    def _lost(self, number: int, text: str) -> None:
        """A worker is gone; after its report that is as it should be."""
        if number not in self._ends:
            return
        self._forget(number)
        if text:
            raise EngineError("A restore process failed: a defect in SnapCopy.") from RuntimeError(text)
        code = self._processes[number].wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        raise ReaderLost(f"A restore process {how} before its work was done.")

    def _forget(self, number: int) -> None:
        end = self._ends.pop(number)
        self._selector.unregister(end)
        end.close()

    def _hand_out(self) -> None:
        while self._items and self._idle:
            self._send(self._idle.pop(), self._items.popleft())
        if self._is_done:
            while self._idle:
                self._send(self._idle.pop(), End())
        self._board.hungry = 0 if self._is_done else len(self._idle)

    def _send(self, number: int, message: ToWorker) -> None:
        if number in self._idle:
            self._idle.remove(number)
        self._sent[number] += 1
        end = self._ends[number]
        outgoing: Any = message
        end.send(outgoing)
        self._watch(number)

    def _watch(self, number: int) -> None:
        end = self._ends[number]
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if end.has_unsent else 0)
        if self._selector.get_key(end).events != wanted:
            self._selector.modify(end, wanted, number)

    def _progress_if_due(self) -> None:
        now = self._clock.monotonic()
        if now >= self._next_progress:
            self._next_progress = now + _PROGRESS_SECONDS
            shown = [path.decode("utf-8", "backslashreplace") for path in list(self._in_flight)[:_IN_FLIGHT_SHOWN]]
            self._sink.emit(Progress(counters=self.counters(), in_flight=tuple(shown)))
