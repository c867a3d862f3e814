"""A connection between the two ends of a snapshot's transfer: messages and data as frames, each end told to be alive.

::

    kind (1 byte)   length (4 bytes, big-endian)   that many bytes
    0 message       a JSON object
    1 data          a piece of the stream
    2 end           of the stream; nothing follows but messages
    3 alive         nothing happened, and nothing is wrong

A stream that is cut off has no end frame, so it is never taken for a whole one. A silent peer is given up.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, Final

from .. import errors
from ..errors import EngineError, SourceUnavailable
from ..events import Control

MOST_BYTES: Final = 1 << 20
"""In one frame; a longer one is refused before it is read."""
ALIVE_SECONDS: Final = 5.0
SILENCE_SECONDS: Final = 60.0
DRAIN_SECONDS: Final = 10.0
_PIECE_BYTES: Final = 1 << 18
_LOOK_SECONDS: Final = 0.2
_HEADER: Final = struct.Struct("!BI")
_HINT: Final = "The next attempt sends it again. Look whether the other node, its disk and the network are well."


class _Kind(IntEnum):
    MESSAGE = 0
    DATA = 1
    END = 2
    ALIVE = 3


_KINDS: Final = frozenset(_Kind)
_TELLABLE: Final[dict[str, type[EngineError]]] = {
    kind.code: kind
    for kind in (
        errors.SourceUnavailable,
        errors.StorageBusy,
        errors.SnapshotMissing,
        errors.SnapshotNotOurs,
        errors.EngineUnsupported,
        errors.InvalidOptions,
        errors.NoSpace,
    )
}
"""Errors of one end that the other end raises as its own."""


class Channel:
    """Owns a connected stream socket, plain or TLS. Not thread-safe. Every method raises SourceUnavailable when the
    peer is gone or silent for ``silence_seconds``, and what the control raises, within about 0.2 s.
    """

    def __init__(
        self, connection: socket.socket, control: Control, *, silence_seconds: float = SILENCE_SECONDS
    ) -> None:
        self._connection = connection
        self._control = control
        self.silence_seconds = silence_seconds
        self._told_at = time.monotonic()
        self._come = bytearray()
        connection.settimeout(_LOOK_SECONDS)

    def close(self) -> None:
        self._connection.close()

    def tell(self, **message: Any) -> None:
        """Send a message."""
        self._send(_Kind.MESSAGE, json.dumps(message).encode())

    def hear(self) -> dict[str, Any]:
        """Wait for the peer's next message."""
        kind, content = self._receive()
        if kind is not _Kind.MESSAGE:
            raise _broken("something else than a message came")
        return _object(content)

    def news(self) -> dict[str, Any] | None:
        """A message that came while this end was sending; None = none, without waiting for one."""
        with _hung_up():
            self._connection.settimeout(0)
        try:
            while self._fill():
                pass
        finally:
            with _hung_up():
                self._connection.settimeout(_LOOK_SECONDS)
        while (frame := self._cut()) is not None:
            if frame[0] is _Kind.MESSAGE:
                return _object(frame[1])
        return None

    def drain(self, *, seconds: float = DRAIN_SECONDS) -> None:
        """Take what the peer still sends until it hangs up, so that it reads what it was told last."""
        ends_at = time.monotonic() + seconds
        with contextlib.suppress(SourceUnavailable):
            while time.monotonic() < ends_at:
                self._fill()
                self._come.clear()

    def write(self, piece: memoryview) -> None:
        """Send a piece of the stream, at most MOST_BYTES."""
        self._send(_Kind.DATA, piece)

    def end(self) -> None:
        """The stream is whole."""
        self._send(_Kind.END, b"")

    def read(self) -> bytes:
        """The next piece of the stream; empty = it is whole."""
        kind, content = self._receive()
        if kind is _Kind.MESSAGE:
            raise _broken("a message came inside the stream")
        return content

    def keep_alive(self) -> None:
        """Call it at least every second while nothing else is sent."""
        if time.monotonic() - self._told_at >= ALIVE_SECONDS:
            self._send(_Kind.ALIVE, b"")

    def _send(self, kind: _Kind, content: bytes | memoryview) -> None:
        self._send_all(memoryview(_HEADER.pack(kind, len(content))))
        self._send_all(memoryview(content))
        self._told_at = time.monotonic()

    def _send_all(self, rest: memoryview) -> None:
        give_up_at = time.monotonic() + self.silence_seconds
        while rest:
            self._control.check()
            try:
                count = self._connection.send(rest)
            except TimeoutError:
                if time.monotonic() > give_up_at:
                    raise _broken(f"it took nothing for {self.silence_seconds:g} s") from None
                continue
            except OSError as error:
                raise _broken(_words(error)) from error
            rest = rest[count:]
            give_up_at = time.monotonic() + self.silence_seconds

    def _receive(self) -> tuple[_Kind, bytes]:
        """The next frame that is not just alive."""
        while True:
            give_up_at = time.monotonic() + self.silence_seconds
            while (frame := self._cut()) is None:
                self._control.check()
                if not self._fill() and time.monotonic() > give_up_at:
                    raise _broken(f"it said nothing for {self.silence_seconds:g} s")
            kind, content = frame
            if kind is not _Kind.ALIVE and not (kind is _Kind.DATA and not content):
                return kind, content

    def _cut(self) -> tuple[_Kind, bytes] | None:
        """The first whole frame of what has come; None = there is none yet."""
        if len(self._come) < _HEADER.size:
            return None
        number, length = _HEADER.unpack_from(self._come)
        if length > MOST_BYTES:
            raise _broken(f"a frame of {length} bytes was announced")
        if number not in _KINDS:
            raise _broken(f"a frame of the unknown kind {number} came")
        if len(self._come) < _HEADER.size + length:
            return None
        content = bytes(memoryview(self._come)[_HEADER.size : _HEADER.size + length])
        del self._come[: _HEADER.size + length]
        return _Kind(number), content

    def _fill(self) -> bool:
        """Wait a moment for more; whether anything came."""
        try:
            piece = self._connection.recv(_PIECE_BYTES)
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError as error:
            raise _broken(_words(error)) from error
        if not piece:
            raise _broken("it closed the connection")
        self._come += piece
        return True


@contextlib.contextmanager
def _hung_up() -> Iterator[None]:
    """A connection that is closed already takes no time limit any more."""
    try:
        yield
    except OSError as error:
        raise _broken(_words(error)) from error


def raise_failure(message: dict[str, Any]) -> None:
    """Raise what the peer says went wrong there, if that is what it says (``failed``, ``sentence``, ``hint``)."""
    if "failed" in message:
        kind = _TELLABLE.get(str(message["failed"]), SourceUnavailable)
        raise kind(str(message.get("sentence", "")), hint=str(message.get("hint", "")))


def _object(content: bytes) -> dict[str, Any]:
    try:
        message = json.loads(content)
    except ValueError as error:
        raise _broken("a message that is no JSON came") from error
    if not isinstance(message, dict):
        raise _broken("a message that is no object came")
    return message


def _broken(why: str) -> SourceUnavailable:
    return SourceUnavailable(f"The transfer between the two nodes was cut off: {why}.", hint=_HINT)


def _words(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
