"""What a backup and a recovery share: the posts they wait for, when one hangs, how it is aborted, when it was good."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from ..errors import AnswerUnreadable, EngineError, SourceUnavailable, StreamIncomplete
from . import messages
from .session import LOOK_SECONDS, LogLine, Session, readable
from .values import DataState, HaltReason, Nothing

_NOTHING: Final = Nothing()
MOST_READS: Final = 100_000
"""Pieces of the image that are asked for and not sent yet."""
MOST_KEPT: Final = 10_000
"""Lines, and files that could not be recovered, that are kept; more are only counted."""


class HistoryTaker(Protocol):
    """Takes file history as it comes: the message's code and its body, on the session's thread. See :mod:`.history`."""

    def take(self, code: int, body: bytes) -> None: ...


class Operation:
    """One backup or recovery of a session. Subscribe it before it is started."""

    def __init__(self, session: Session, history: HistoryTaker | None = None) -> None:
        self.session = session
        self.halted: HaltReason | None = None
        self.reads: deque[messages.DataRead] = deque()
        self.failed: list[messages.LogFile] = []
        self.failed_count = 0
        self.confirmed_count = 0
        self.log: deque[LogLine] = deque(maxlen=MOST_KEPT)
        self.errors: list[str] = []
        self._history = history
        self._moved_at = self._probed_at = time.monotonic()
        self._posts_seen = session.posts_seen
        self._bytes_processed = -1
        self._is_over = False

    def post(self, value: object) -> None:
        """On the session's thread."""
        if isinstance(value, messages.DataHalted):
            self.halted = value.reason
        elif isinstance(value, messages.DataRead):
            self.reads.append(value)
            if len(self.reads) > MOST_READS:
                raise AnswerUnreadable(f"The file server asked for {MOST_READS} pieces at once without taking any.")
        elif isinstance(value, messages.LogFile):
            self._take_file(value)
        elif isinstance(value, messages.LogMessage):
            line = LogLine(value.kind, readable(value.text))
            self.log.append(line)
            if line.is_error and len(self.errors) < MOST_KEPT:
                self.errors.append(line.text)

    def _take_file(self, result: messages.LogFile) -> None:
        if not result.status:
            self.confirmed_count += 1
            return
        self.failed_count += 1
        if len(self.failed) < MOST_KEPT:
            self.failed.append(result)

    def history(self, code: int, body: bytes) -> None:
        """On the session's thread."""
        if self._history is not None:
            self._history.take(code, body)

    def moved(self) -> None:
        """Something went over the data connection."""
        self._moved_at = time.monotonic()

    @property
    def silent_seconds(self) -> float:
        """Since something moved, as far as :meth:`look` has seen."""
        return time.monotonic() - self._moved_at

    def look(self) -> None:
        """Call it whenever nothing moves. Raises what ends the operation: a stop, a dead session, idleness.

        A silent file server is asked for its state: bytes that it has processed since are a movement too.
        """
        self.session.check()
        now = time.monotonic()
        if self.session.posts_seen != self._posts_seen:
            self._posts_seen = self.session.posts_seen
            self._moved_at = now
        silent = self.silent_seconds
        if silent > self.session.waits.idle:
            raise SourceUnavailable(
                f"Nothing moved for {self.session.waits.idle:g} s, neither data nor messages: the file server hangs.",
                hint="Look at the NDMP sessions on the file server itself.",
            )
        if silent > self.session.waits.probe and now - self._probed_at > self.session.waits.probe:
            self._probed_at = now
            self._probe()

    def _probe(self) -> None:
        status = self.session.ask(messages.DATA_GET_STATE, _NOTHING).reply
        if status is None:
            return
        if status.bytes_processed != self._bytes_processed:
            if self._bytes_processed >= 0:
                self.moved()
            self._bytes_processed = status.bytes_processed
        if status.state is DataState.HALTED and self.halted is None:
            self.halted = status.halt_reason

    def pause(self, until: Callable[[], bool]) -> None:
        """Wait a moment for ``until``, then look."""
        with self.session.changes() as changed:
            if not until():
                changed.wait(LOOK_SECONDS)
        if not until():
            self.look()

    def wait_for_halt(self) -> None:
        """The data has ended: now the file server must say how it went."""
        try:
            self.session.wait(
                lambda: self.halted is not None,
                seconds=self.session.waits.halt,
                what="did not say how it went, after the data had ended,",
            )
        except SourceUnavailable as error:
            raise SourceUnavailable(
                f"The data ended, but the file server never said that it is whole. {error}", hint=error.hint
            ) from error

    def require_success(self, what: str) -> None:
        """Raise StreamIncomplete unless the file server halted well and logged no error. ``what``: “the backup”."""
        said = tuple(line.text for line in self.log)
        first = f" It said: {self.errors[0]}" if self.errors else (f" Its last words: {said[-1]}" if said else "")
        if self.halted is not HaltReason.SUCCESSFUL:
            reason = "without a reason" if self.halted is None else self.halted.name.lower().replace("_", " ")
            raise StreamIncomplete(f"The file server ended {what}: {reason}.{first}", log=said)
        if self.errors:
            count = len(self.errors)
            raise StreamIncomplete(
                f"The file server says that {what} went well, but logged {count} error{'s' * (count > 1)}.{first}",
                log=said,
            )

    def stop(self) -> None:
        """Bring the file server back to idle, so that the session can be used again."""
        self.session.ask(messages.DATA_STOP, _NOTHING)
        self._is_over = True

    @contextlib.contextmanager
    def aborted_on_failure(self) -> Iterator[None]:
        """Whatever is raised inside aborts the operation at the file server, within seconds, and goes on."""
        try:
            yield
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Abort, wait a little for the halt, stop. Raises nothing; a dead session is left alone."""
        if self._is_over or self.session.failure is not None:
            return
        self._is_over = True
        seconds = self.session.waits.abort
        with contextlib.suppress(EngineError), self.session.uninterrupted():
            if self.halted is None:
                error, _ = self.session.ask(messages.DATA_ABORT, _NOTHING, seconds=seconds)
                if not error:
                    self.session.wait(lambda: self.halted is not None, seconds=seconds, what="did not abort")
            self.session.ask(messages.DATA_STOP, _NOTHING, seconds=seconds)
