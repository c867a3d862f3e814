"""What runs in a host: ``python -m jobs.engine.hosted.server LISTENER``, with the driver on standard input.

One thread per connection. At most ``calls_at_once`` calls hold a body at any time; others wait before theirs is read,
so that memory stays bounded and whoever sends is slowed down instead.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Final

from ..errors import EngineError, MediaUnavailable
from . import wire
from .process import Driver

_ROWS: Final = 2000
"""Rows of a listing in one answer."""
_WITH_BODY: Final = frozenset({"get", "put"})
"""Calls that take a turn. A listing never does: whoever listens may make other calls between its rows."""


class Server:
    """Answers calls with what the driver makes, such as a medium, or with the error that making it met."""

    def __init__(self, driver: Driver) -> None:
        self._slots = threading.BoundedSemaphore(driver.calls_at_once)
        self._made: Any = None
        self._problem: EngineError | None = None
        try:
            self._made = _factory(driver.factory)(driver.settings)
        except EngineError as error:
            self._problem = error

    def serve(self, listener: socket.socket) -> None:
        """Take connections for ever."""
        while True:
            connection, _address = listener.accept()
            if wire.peer_is_us(connection):
                threading.Thread(target=self._attend, args=(connection,), daemon=True).start()
            else:
                connection.close()

    def _attend(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(EOFError, OSError):
            while True:
                call, length = wire.receive_head(connection)
                with self._slots if call.method in _WITH_BODY else contextlib.nullcontext():
                    body = wire.receive_body(connection, length)
                    self._answer(connection, call, body)
                    del body

    def _answer(self, connection: socket.socket, call: wire.Call, body: bytes) -> None:
        try:
            if self._made is None:
                raise self._problem or MediaUnavailable("The driver did not start.")
            if call.method == "list":
                for rows in _in_parts(self._made.list(**call.arguments)):
                    wire.send(connection, wire.Answer(value=rows, more=True))
                wire.send(connection, wire.Answer())
            elif call.method == "get":
                wire.send(connection, wire.Answer(), [self._made.get(**call.arguments)])
            elif call.method == "put":
                self._made.put(pieces=[body], **call.arguments)
                wire.send(connection, wire.Answer())
            else:
                wire.send(connection, wire.Answer(value=getattr(self._made, call.method)(**call.arguments)))
        except EngineError as error:
            wire.send(connection, wire.Answer(error=error))


def _in_parts(rows: Iterator[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    part: list[tuple[str, int]] = []
    for row in rows:
        part.append(row)
        if len(part) == _ROWS:
            yield part
            part = []
    if part:
        yield part


def _factory(name: str) -> Callable[[Any], Any]:
    module, _, attribute = name.partition(":")
    found: Callable[[Any], Any] = getattr(import_module(module), attribute)
    return found


def main() -> None:
    """Serve until standard input ends, then be gone at once, whatever still runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    driver: Driver = pickle.load(sys.stdin.buffer)  # noqa: S301 - of the process that started this one
    listener = socket.socket(fileno=int(sys.argv[1]))
    threading.Thread(target=Server(driver).serve, args=(listener,), daemon=True).start()
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
