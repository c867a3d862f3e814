"""Messages over a socket pair between the coordinator and one worker: a length (u32, little-endian) and a pickle.

The worker's end blocks, the coordinator's never does: it queues what a busy worker does not take yet, so neither
side can ever wait for the other to read. Both ends live in processes of ours that were forked from each other.
"""

from __future__ import annotations

import pickle
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator
from typing import Final

from .messages import FromWorker, ToWorker

_LENGTH: Final = struct.Struct("<I")
_READ_BYTES: Final = 1 << 18


def _frame(message: object) -> bytes:
    body = pickle.dumps(message, protocol=5)
    return _LENGTH.pack(len(body)) + body


class _Inbox:
    """Bytes as they come, messages as they complete."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[object]:
        self._buffer += data
        buffer, start = self._buffer, 0
        while len(buffer) - start >= 4:
            (length,) = _LENGTH.unpack_from(buffer, start)
            end = start + 4 + length
            if len(buffer) < end:
                break
            yield pickle.loads(memoryview(buffer)[start + 4 : end])  # noqa: S301 - written by our own fork
            start = end
        del buffer[:start]


class WorkerEnd:
    """Blocking; ``send`` may be called from any thread of the worker, the rest from its main thread only."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._lock = threading.Lock()
        self._inbox = _Inbox()
        self._ready: deque[ToWorker] = deque()

    def send(self, message: FromWorker) -> None:
        frame = _frame(message)
        with self._lock:
            self._socket.sendall(frame)

    def receive(self) -> ToWorker | None:
        """The next message; None when the coordinator is gone."""
        while not self._ready:
            data = self._socket.recv(_READ_BYTES)
            if not data:
                return None
            self._ready.extend(self._inbox.feed(data))  # type: ignore[arg-type]
        return self._ready.popleft()

    def take(self) -> ToWorker | None:
        """A message that is there already, or None."""
        if not self._ready:
            try:
                data = self._socket.recv(_READ_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return None
            self._ready.extend(self._inbox.feed(data))  # type: ignore[arg-type]
        return self._ready.popleft() if self._ready else None


class ParentEnd:
    """Non-blocking; used by the coordinator's thread only."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._inbox = _Inbox()
        self._outbox: deque[memoryview] = deque()

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def has_unsent(self) -> bool:
        return bool(self._outbox)

    def send(self, message: ToWorker) -> None:
        """Queue a message and write what the worker takes now. A worker that is gone is noticed when reading."""
        self._outbox.append(memoryview(_frame(message)))
        self.flush()

    def flush(self) -> None:
        while self._outbox:
            try:
                sent = self._socket.send(self._outbox[0])
            except BlockingIOError:
                return
            except (BrokenPipeError, ConnectionResetError):
                self._outbox.clear()
                return
            if sent == len(self._outbox[0]):
                self._outbox.popleft()
            else:
                self._outbox[0] = self._outbox[0][sent:]

    def read(self) -> tuple[list[FromWorker], bool]:
        """(messages that are there, whether the worker's end is closed)."""
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return [], False
        except ConnectionResetError:
            return [], True
        if not data:
            return [], True
        return list(self._inbox.feed(data)), False  # type: ignore[arg-type]

    def close(self) -> None:
        self._socket.close()


def channel() -> tuple[socket.socket, socket.socket]:
    """(the coordinator's socket, the worker's socket)."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
