"""The forked workers of one copy: starting them, hearing them, noticing their death, ending them within a second."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Generator, Iterator
from typing import Final

from ...errors import ReaderLost
from .channel import ParentEnd, WorkerEnd, channel
from .messages import Finish, FromWorker, Goodbye, ToWorker
from .process import WorkerProcess, fork_worker
from .tally import SharedBoard
from .vigil import Vigil

_GRACE_SECONDS: Final = 0.7
"""What workers get to write out their packs when the copy is stopped; then they are killed."""
_REAP_SECONDS: Final = 0.2

WorkerMain = Callable[[int, WorkerEnd], None]


class Crew:
    """Workers 1..n. Messages to a worker that is busy are queued; nothing here ever blocks on one."""

    def __init__(
        self, workers: int, board: SharedBoard, main: WorkerMain, *, keep_fds: frozenset[int] = frozenset()
    ) -> None:
        """``keep_fds`` are descriptors that the workers use."""
        self._board = board
        self._keep_fds = keep_fds
        self._selector = selectors.DefaultSelector()
        self._ends: dict[int, ParentEnd] = {}
        self._processes: dict[int, WorkerProcess] = {}
        self._said_goodbye: set[int] = set()
        self._vigil = Vigil()
        self.idle: set[int] = set()
        try:
            for number in range(1, workers + 1):
                self._start(number, main)
        except BaseException:
            self.close()
            raise

    def _start(self, number: int, main: WorkerMain) -> None:
        ours, theirs = channel()
        self._ends[number] = ParentEnd(ours)
        self._selector.register(ours.fileno(), selectors.EVENT_READ, number)
        with theirs:
            self._processes[number] = fork_worker(
                lambda: main(number, WorkerEnd(theirs)), keep_fds=self._keep_fds | {theirs.fileno()}
            )

    @property
    def is_gone(self) -> bool:
        """Whether all workers have ended."""
        return not self._ends

    def send(self, number: int, message: ToWorker) -> None:
        """A worker that is told something is not idle until it says so again."""
        self.idle.discard(number)
        end = self._ends.get(number)
        if end is not None:
            end.send(message)
            self._watch(number, end)

    def finish(self) -> None:
        """Ask all workers to write out what they hold and end."""
        for number in list(self._ends):
            self.send(number, Finish())

    def poll(self, timeout_seconds: float) -> Iterator[tuple[int, FromWorker]]:
        """(worker, message) of everything that came. Raises ReaderLost when a worker died."""
        self._vigil.look([self._processes[number].pid for number in self._ends])
        for key, events in self._selector.select(timeout_seconds):
            number = key.data
            end = self._ends[number]
            if events & selectors.EVENT_WRITE:
                end.flush()
                self._watch(number, end)
            if not events & selectors.EVENT_READ:
                continue
            messages, is_closed = end.read()
            for message in messages:
                if isinstance(message, Goodbye):
                    self._said_goodbye.add(number)
                yield number, message
            if is_closed:
                self._ended(number, end)

    def stop(self) -> Generator[tuple[int, FromWorker], None, None]:
        """End all workers within about a second; yields what they still had to say, such as packs written.

        None is left in any case, also when whoever listens raises.
        """
        try:
            self._board.stop()
            self.finish()
            deadline = time.monotonic() + _GRACE_SECONDS
            while self._ends and (left := deadline - time.monotonic()) > 0:
                yield from self._poll_quietly(left)
            for process in self._processes.values():
                process.kill()
            deadline = time.monotonic() + _REAP_SECONDS
            while self._ends and (left := deadline - time.monotonic()) > 0:
                yield from self._poll_quietly(left)
        finally:
            self.close()

    def close(self) -> None:
        """Reap all workers, killing those that still run."""
        for process in self._processes.values():
            process.kill()
            process.wait()
        self._processes.clear()
        for end in self._ends.values():
            end.close()
        self._ends.clear()
        self._selector.close()

    def _poll_quietly(self, timeout_seconds: float) -> Iterator[tuple[int, FromWorker]]:
        try:
            yield from self.poll(timeout_seconds)
        except ReaderLost:
            return

    def _watch(self, number: int, end: ParentEnd) -> None:
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if end.has_unsent else 0)
        if self._selector.get_key(end.fileno()).events != wanted:
            self._selector.modify(end.fileno(), wanted, number)

    def _ended(self, number: int, end: ParentEnd) -> None:
        self._selector.unregister(end.fileno())
        end.close()
        del self._ends[number]
        self.idle.discard(number)
        code = self._processes[number].wait()
        if number in self._said_goodbye:
            return
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        raise ReaderLost(f"A reader process {how} before its work was done.")
