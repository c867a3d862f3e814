"""Messages over a local stream socket: lengths, a pickled head, and bytes that are never pickled nor joined.

Layout: head length (u32, little-endian), body length (u64, little-endian), head, body. Both ends are our own processes
of the same user; :func:`peer_is_us` holds that before the first byte is read.
"""

from __future__ import annotations

import os
import pickle
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

Piece = bytes | bytearray | memoryview

_LENGTHS: Final = struct.Struct("<IQ")
_PEER: Final = struct.Struct("3i")
_PIECES: Final = 512
"""Pieces per ``sendmsg``; Linux takes at most 1024 (IOV_MAX)."""
_RECEIVE_BYTES: Final = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A method of the driver and its arguments; the pieces of a ``put`` are the body."""

    method: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the method returned; the bytes of a ``get`` are the body. ``error`` is raised by whoever called.

    ``more``: further answers to the same call follow.
    """

    value: Any = None
    error: BaseException | None = None
    more: bool = False


def send(connection: socket.socket, head: Call | Answer, pieces: Sequence[Piece] = ()) -> None:
    """Send one message. Raises OSError; TimeoutError after the socket's time."""
    text = pickle.dumps(head, protocol=5)
    views = [memoryview(piece).cast("B") for piece in pieces if memoryview(piece).nbytes]
    length = sum(view.nbytes for view in views)
    rest: list[memoryview] = [memoryview(_LENGTHS.pack(len(text), length)), memoryview(text), *views]
    while rest:
        sent = connection.sendmsg(rest[:_PIECES])
        done = 0
        while done < len(rest) and sent >= rest[done].nbytes:
            sent -= rest[done].nbytes
            done += 1
        del rest[:done]
        if sent:
            rest[0] = rest[0][sent:]


def receive(connection: socket.socket) -> tuple[Any, bytes]:
    """(head, body) of the next message. Raises EOFError when the other end is gone, TimeoutError, OSError."""
    head, length = receive_head(connection)
    return head, receive_body(connection, length)


def receive_head(connection: socket.socket) -> tuple[Any, int]:
    """The head of the next message and the length of the body that :func:`receive_body` must take next."""
    head_length, body_length = _LENGTHS.unpack(receive_body(connection, _LENGTHS.size))
    head = pickle.loads(receive_body(connection, head_length))  # noqa: S301 - of our own process, see peer_is_us
    return head, body_length


def receive_body(connection: socket.socket, length: int) -> bytes:
    """Exactly ``length`` bytes; one ``recv`` nearly always."""
    parts: list[bytes] = []
    missing = length
    while missing:
        try:
            part = connection.recv(min(missing, _RECEIVE_BYTES), socket.MSG_WAITALL)
        except BlockingIOError as error:
            raise TimeoutError from error
        if not part:
            raise EOFError
        parts.append(part)
        missing -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def peer_is_us(connection: socket.socket) -> bool:
    """Whether the process at the other end runs as the same user."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    _pid, user, _group = _PEER.unpack(credentials)
    return bool(user == os.geteuid())


def set_timeout(connection: socket.socket, seconds: float) -> None:
    """Bound every send and receive by the kernel, so that the socket stays blocking: one call takes a whole body."""
    value = struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)
