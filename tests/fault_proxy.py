"""A proxy that stands between a medium and its server and does to a part of all requests what networks and servers do.

HTTP/1.1 on loopback. Which requests suffer and how is drawn from a seed, in the order in which they arrive.
"""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self

_HEAD_END: Final = b"\r\n\r\n"
_SLOW_SECONDS: Final = 0.05
_STALL_SECONDS: Final = 0.4
_UNAVAILABLE: Final = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy"
_BROKEN: Final = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Fault(StrEnum):
    """CUT_BEFORE: the request never arrives. CUT_REQUEST: half of it does. CUT_ANSWER: done, but nobody is told.

    TRUNCATE: half of the answer, then the end. SHORTEN: half of the answer, which says that it is all of it. SWAP: one
    byte of the answer is another; not of a listing, where nobody could tell.
    """

    CUT_BEFORE = "cut before"
    CUT_REQUEST = "cut request"
    CUT_ANSWER = "cut answer"
    UNAVAILABLE = "503"
    BROKEN = "500"
    TRUNCATE = "truncate"
    SHORTEN = "shorten"
    SWAP = "swap"
    STALL = "stall"
    SLOW = "slow"


class _GoneError(Exception):
    """A connection ended."""


@dataclass(slots=True)
class _Message:
    """A request or an answer: its head with the empty line, and its body as it stands on the wire."""

    head: bytes
    body: bytes = b""
    is_chunked: bool = False

    @property
    def first_line(self) -> bytes:
        return self.head.split(b"\r\n", 1)[0]

    def header(self, name: bytes) -> bytes:
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.strip().lower() == name:
                return value.strip()
        return b""


@dataclass(slots=True)
class _Stream:
    """A socket that is read by lines and lengths."""

    socket: socket.socket
    buffer: bytearray = field(default_factory=bytearray)

    def head(self) -> bytes:
        while _HEAD_END not in self.buffer:
            self._more()
        end = self.buffer.index(_HEAD_END) + len(_HEAD_END)
        return self._take(end)

    def exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            self._more()
        return self._take(count)

    def line(self) -> bytes:
        while b"\r\n" not in self.buffer:
            self._more()
        return self._take(self.buffer.index(b"\r\n") + 2)

    def to_end(self) -> bytes:
        with contextlib.suppress(_GoneError):
            while True:
                self._more()
        return self._take(len(self.buffer))

    def body(self, message: _Message, *, may_run_to_end: bool) -> None:
        """Read what belongs to a head."""
        if message.header(b"transfer-encoding").lower() == b"chunked":
            message.is_chunked = True
            message.body = b"".join(self._chunks())
        elif length := message.header(b"content-length"):
            message.body = self.exactly(int(length))
        elif may_run_to_end:
            message.body = self.to_end()

    def _chunks(self) -> Iterator[bytes]:
        while True:
            line = self.line()
            size = int(line.split(b";")[0], 16)
            yield line + self.exactly(size + 2)
            if not size:
                return

    def _take(self, count: int) -> bytes:
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def _more(self) -> None:
        data = self.socket.recv(1 << 18)
        if not data:
            raise _GoneError
        self.buffer += data


class FaultProxy:
    """Listens on ``port`` while it is a context. ``share`` of the requests fail, ``faults`` counts how.

    ``only`` names the faults to draw from. Each server connection belongs to one client connection.
    """

    def __init__(self, target_port: int, *, share: float, seed: int, only: tuple[Fault, ...] = tuple(Fault)) -> None:
        self._target = target_port
        self.share = share
        self._only = only
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self.faults: Counter[Fault] = Counter()
        self.requests = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="fault-proxy", daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            left = list(self._open)
        for one in left:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), name="fault-proxy", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.ExitStack() as stack:
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                return
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                stack.enter_context(one)
                stack.callback(self._open.discard, one)
                self._open.add(one)
            asking, answering = _Stream(client), _Stream(server)
            with contextlib.suppress(_GoneError, OSError, ValueError):
                while self._exchange(asking, answering):
                    pass

    def _exchange(self, asking: _Stream, answering: _Stream) -> bool:
        """One request and its answer; False = the connection ends with it."""
        request = _Message(asking.head())
        fault = self._draw()
        if fault is Fault.CUT_BEFORE:
            return False
        if request.header(b"expect"):
            asking.socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        asking.body(request, may_run_to_end=False)
        if fault in (Fault.UNAVAILABLE, Fault.BROKEN):
            asking.socket.sendall(_UNAVAILABLE if fault is Fault.UNAVAILABLE else _BROKEN)
            return False
        if fault is Fault.CUT_REQUEST:
            answering.socket.sendall(request.head + request.body[: len(request.body) // 2])
            return False
        if fault in (Fault.SLOW, Fault.STALL):
            time.sleep(_SLOW_SECONDS if fault is Fault.SLOW else _STALL_SECONDS)
        answering.socket.sendall(request.head + request.body)
        answer = self._answer(request, answering)
        if fault in (Fault.CUT_ANSWER, Fault.STALL):
            return False
        return self._send(asking.socket, answer, fault)

    def _answer(self, request: _Message, answering: _Stream) -> _Message:
        answer = _Message(answering.head())
        while answer.first_line.split(b" ")[1] == b"100":
            answer = _Message(answering.head())
        status = answer.first_line.split(b" ")[1]
        if not request.head.startswith(b"HEAD ") and status not in (b"204", b"304"):
            answering.body(answer, may_run_to_end=True)
        return answer

    def _send(self, client: socket.socket, answer: _Message, fault: Fault | None) -> bool:
        head, body = answer.head, answer.body
        is_listing = b"json" in answer.header(b"content-type") or b"xml" in answer.header(b"content-type")
        if fault is Fault.SWAP and body and not answer.is_chunked and not is_listing:
            middle = len(body) // 2
            body = body[:middle] + bytes([body[middle] ^ 0x55]) + body[middle + 1 :]
        elif fault in (Fault.TRUNCATE, Fault.SHORTEN) and body:
            body = body[: len(body) // 2]
            length = answer.header(b"content-length")
            if fault is Fault.SHORTEN and length:
                head = head.replace(b": " + length + b"\r\n", b": %d\r\n" % len(body))
            client.sendall(head + body)
            return fault is Fault.SHORTEN and bool(length)
        client.sendall(head + body)
        return answer.header(b"connection").lower() != b"close"

    def _draw(self) -> Fault | None:
        with self._lock:
            self.requests += 1
            if self._random.random() >= self.share:
                return None
            fault = self._random.choice(self._only)
            self.faults[fault] += 1
            return fault
