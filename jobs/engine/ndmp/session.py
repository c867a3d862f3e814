"""A session with a file server's NDMP service: calls and their replies, posts as they come, login, and what it can do.

A thread of the session reads everything that comes. It gives replies to the caller that waits and posts to whoever
subscribed; a subscriber runs on that thread, must be quick and must not call the session. What a subscriber raises
ends the session with that error. Calls may come from any thread, one at a time.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, Protocol, Self, TypeVar

from ..errors import AnswerUnreadable, EngineError, InvalidOptions, SourceUnavailable
from ..events import Control, FreeRun
from . import messages, version3
from .messages import Call, Header, MessageKind, Post
from .records import RecordReader, framed
from .refusals import refusal
from .values import LogKind
from .xdr import decode, encode

Q = TypeVar("Q")
A = TypeVar("A")

DEFAULT_PORT: Final = 10_000
LOOK_SECONDS: Final = 0.2
"""How often a wait looks whether it was asked to stop."""
MOST_LOG_LINES: Final = 1_000
_PIECE_BYTES: Final = 1 << 18
_LONGEST_LINE: Final = 500
_NO_CONTROL: Final = FreeRun()


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How long things may take, in seconds, before the file server is given up.

    ``idle`` is for a backup or recovery in which neither bytes nor posts move: file servers are silent while they map
    directories. ``probe`` is how often a silent one is asked for its state, which also keeps firewalls from forgetting
    the session. ``halt`` is from the end of the data to the word that all went well.
    """

    connect: float = 15.0
    answer: float = 120.0
    data_connect: float = 60.0
    idle: float = 1_800.0
    probe: float = 60.0
    halt: float = 300.0
    abort: float = 4.0


def readable(text: str) -> str:
    """What a file server wrote, for people: one line of at most 500 characters, nothing in it that cannot be shown."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text[:2_000]).strip()
    return shown if len(shown) <= _LONGEST_LINE else f"{shown[: _LONGEST_LINE - 1]}…"


@dataclass(frozen=True, slots=True)
class LogLine:
    """What the file server said, :func:`readable`, and how serious it takes it."""

    kind: int
    text: str

    @property
    def is_error(self) -> bool:
        return self.kind == LogKind.ERROR


class Answer(NamedTuple, Generic[A]):
    """The error of a reply and, where that is zero, the reply itself."""

    error: int
    reply: A | None


class Subscriber(Protocol):
    """Takes posts on the session's thread: history undecoded, for speed, everything else as its value."""

    def post(self, value: object) -> None: ...

    def history(self, code: int, body: bytes) -> None: ...


class Session:
    """Owns a connected socket; made by :func:`jobs.engine.ndmp.login.connect`. A context manager that closes itself.

    Every method may raise SourceUnavailable (gone or silent), AnswerUnreadable (nonsense), what a subscriber raised,
    and what the control raises, within about 0.2 s.
    """

    def __init__(self, connection: socket.socket, control: Control, *, waits: Waits | None = None) -> None:
        self.waits = waits or Waits()
        self.control = control
        self.posts_seen = 0
        """Grows with every post: a sign of life."""
        self._connection = connection
        self._changed = threading.Condition()
        self._calls = threading.Lock()
        self._replies: dict[int, tuple[Header, bytes]] = {}
        self._awaited = 0
        self._sequence = 0
        self._failure: EngineError | None = None
        self._is_closing = False
        self._subscriber: Subscriber | None = None
        self._calls_of_version: dict[int, Call[Any, Any]] = {}
        self._posts_of_version: dict[int, Post[Any]] = {}
        self._log: deque[LogLine] = deque(maxlen=MOST_LOG_LINES)
        self._status: messages.ConnectionStatus | None = None
        connection.settimeout(None)
        _keep_alive(connection)
        self._reader = threading.Thread(target=self._read, name="ndmp-session", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def peer_host(self) -> str:
        """The file server's address."""
        return str(self._connection.getpeername()[0])

    @property
    def own_host(self) -> str:
        """The address by which this machine reaches the file server."""
        return str(self._connection.getsockname()[0])

    @property
    def log(self) -> tuple[LogLine, ...]:
        """What the file server said in this session: the newest 1,000 lines."""
        with self._changed:
            return tuple(self._log)

    @property
    def status(self) -> messages.ConnectionStatus | None:
        """How the file server greeted us; None = not yet."""
        return self._status

    @property
    def failure(self) -> EngineError | None:
        """Why the session is over; None = it is not."""
        return self._failure

    def speak_version_3(self) -> None:
        """From now on messages have the shapes of :mod:`.version3`."""
        self._calls_of_version, self._posts_of_version = version3.CALLS, version3.POSTS

    def call(self, call: Call[Q, A], request: Q, *, seconds: float | None = None) -> A:
        """The reply; an error in it is raised in words (:func:`~.refusals.refusal`)."""
        answer = self.ask(call, request, seconds=seconds)
        if answer.reply is None:
            raise refusal(call.name, answer.error, self.log)
        return answer.reply

    def ask(self, call: Call[Q, A], request: Q, *, seconds: float | None = None) -> Answer[A]:
        """The error and, where that is zero, the reply. ``seconds`` replaces the usual wait for an answer."""
        if threading.current_thread() is self._reader:
            raise RuntimeError("a subscriber must not call its session")
        call = self._calls_of_version.get(call.code, call)
        with self._calls:
            self._sequence += 1
            sequence = self._sequence
            with self._changed:
                self._replies.clear()
                self._awaited = sequence
            header = Header(sequence, int(time.time()) & 0xFFFF_FFFF, MessageKind.REQUEST, call.code, 0, 0)
            self._send(_record(header, call, request))
            wait = self.waits.answer if seconds is None else seconds
            self.wait(lambda: sequence in self._replies, seconds=wait, what=f"did not answer {call.name}")
            answer, body = self._replies.pop(sequence)
        if answer.code != call.code:
            raise AnswerUnreadable(f"The file server answered {call.name} with the message {answer.code:#x}.")
        return Answer(answer.error, None) if answer.error else Answer(*call.decode_reply(body))

    @contextlib.contextmanager
    def subscribed(self, subscriber: Subscriber) -> Iterator[None]:
        """Give posts to ``subscriber`` meanwhile."""
        self._subscriber = subscriber
        try:
            yield
        finally:
            self._subscriber = None

    @contextlib.contextmanager
    def changes(self) -> Iterator[threading.Condition]:
        """Hold what is notified whenever something came."""
        with self._changed:
            yield self._changed

    def wait(self, until: Callable[[], bool], *, seconds: float, what: str) -> None:
        """Wait until it is so. ``what`` finishes the sentence “The file server … for 60 s”."""
        give_up_at = time.monotonic() + seconds
        with self._changed:
            while not until():
                self.check()
                left = give_up_at - time.monotonic()
                if left <= 0:
                    raise SourceUnavailable(f"The file server {what} for {seconds:g} s.")
                self._changed.wait(min(left, LOOK_SECONDS))

    def check(self) -> None:
        """Raise if somebody asked to stop, or the session is over."""
        self.control.check()
        if self._failure is not None:
            raise self._failure

    @contextlib.contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """Nobody can ask to stop meanwhile: for the few seconds in which an operation is aborted."""
        before, self.control = self.control, _NO_CONTROL
        try:
            yield
        finally:
            self.control = before

    def close(self) -> None:
        """Say goodbye, if there is somebody to hear it, and hang up. Raises nothing; may be repeated."""
        if not self._is_closing and self._failure is None:
            self._is_closing = True
            with contextlib.suppress(EngineError, OSError), self.uninterrupted():
                header = Header(self._sequence + 1, 0, MessageKind.REQUEST, messages.CONNECT_CLOSE.code, 0, 0)
                self._send(framed(messages.message(header, b"")), seconds=1.0)
        self._is_closing = True
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._reader.join(timeout=5)
        self._connection.close()

    def _send(self, record: bytes, *, seconds: float | None = None) -> None:
        rest = memoryview(record)
        give_up_at = time.monotonic() + (self.waits.answer if seconds is None else seconds)
        while rest:
            self.check()
            try:
                rest = rest[self._connection.send(rest, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL) :]
            except BlockingIOError:
                if time.monotonic() > give_up_at:
                    raise SourceUnavailable("The file server takes no more messages.") from None
                time.sleep(LOOK_SECONDS / 4)
            except OSError as error:
                raise self._failure or _gone(error) from error

    def _read(self) -> None:
        """The session's thread."""
        records = RecordReader()
        try:
            while piece := self._receive():
                for record in records.feed(piece):
                    self._take(record)
                with self._changed:
                    self._changed.notify_all()
            within = "" if records.is_between_records else " within a message"
            self._end(SourceUnavailable(f"The file server closed the NDMP session{within}."))
        except EngineError as error:
            self._end(error)
        finally:
            # Only a defect gets here without a better reason; nobody may wait for a thread that is gone.
            self._end(SourceUnavailable("The NDMP session broke."))

    def _receive(self) -> bytes:
        try:
            return self._connection.recv(_PIECE_BYTES)
        except OSError as error:
            raise _gone(error) from error

    def _end(self, failure: EngineError) -> None:
        with self._changed:
            self._failure = self._failure or failure
            self._changed.notify_all()

    def _take(self, record: bytes) -> None:
        header, body = messages.split(record)
        if header.kind is MessageKind.REPLY:
            with self._changed:
                # An answer to what nobody waits for any more is dropped.
                if header.reply_sequence == self._awaited:
                    self._replies[header.reply_sequence] = header, body
            return
        self.posts_seen += 1
        if header.code in _HISTORY:
            if self._subscriber is not None:
                self._subscriber.history(header.code, body)
        elif (post := messages.POSTS.get(header.code)) is not None:
            shape = self._posts_of_version.get(header.code, post)
            self._take_post(decode(shape.body, body))

    def _take_post(self, value: object) -> None:
        if isinstance(value, messages.ConnectionStatus):
            self._status = value
            if value.reason:
                why = readable(value.text) or value.reason.name.lower()
                raise SourceUnavailable(f"The file server ends the session: {why}.")
        elif isinstance(value, messages.LogMessage):
            with self._changed:
                self._log.append(LogLine(value.kind, readable(value.text)))
        if self._subscriber is not None:
            self._subscriber.post(value)


_HISTORY: Final = frozenset({messages.FH_ADD_FILE.code, messages.FH_ADD_DIR.code, messages.FH_ADD_NODE.code})


def _record(header: Header, call: Call[Q, A], request: Q) -> bytes:
    try:
        return framed(messages.message(header, encode(call.request, request)))
    except ValueError as error:
        raise InvalidOptions(f"{call.name} cannot be sent: {error}.", hint="Ask for fewer names at once.") from error


def _keep_alive(connection: socket.socket) -> None:
    """A peer that lost its power is noticed within two minutes, although nobody sends anything."""
    options: tuple[tuple[int, int, Any], ...] = (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    )
    for level, option, value in options:
        with contextlib.suppress(OSError):
            connection.setsockopt(level, option, value)


def _gone(error: OSError) -> SourceUnavailable:
    return SourceUnavailable(f"The connection to the file server's NDMP service broke: {error.strerror or error}.")
