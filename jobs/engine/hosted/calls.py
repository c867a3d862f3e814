"""Calls to a host: each over a connection that no other thread or process uses, with a limit of time.

What the driver in the host is, is its user's business: a medium, the client of an array.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import weakref
from collections.abc import Sequence
from typing import Any, Final

from ..errors import MediaUnavailable, Retryable
from . import wire
from .process import Driver, Host

_LIMIT_SECONDS: Final = 30.0
"""Added to twice what the driver itself allows for a call: starting the host, and waiting for a turn."""
_GOODBYE_SECONDS: Final = 2.0


class Calls:
    """A host of one's own. Thread-safe; safe after ``fork``, where the parent's host goes on serving.

    The host starts with the first call. If it dies, calls that run raise ``unavailable`` and the next one starts
    another. ``call_seconds`` is the longest that the driver lets one call take; one that takes longer hangs, and its
    host is killed. ``goodbye`` is a method that a living host is asked for before it is ended; empty = none.
    """

    def __init__(
        self,
        driver: Driver,
        *,
        place: str,
        call_seconds: float,
        unavailable: type[Retryable] = MediaUnavailable,
        goodbye: str = "",
    ) -> None:
        """``place`` names what the driver talks to in errors, such as “s3 bucket/prefix”."""
        self.place = place
        self._driver = driver
        self._call_seconds = 2 * call_seconds + _LIMIT_SECONDS
        self._unavailable = unavailable
        self._goodbye = goodbye
        self._host: Host | None = None
        self._states: dict[int, _ProcessState] = {}
        self._hosts: list[Host] = []
        weakref.finalize(self, _end, self._hosts, self._states, goodbye)

    def call(self, method: str, arguments: dict[str, Any], pieces: Sequence[wire.Piece] = ()) -> tuple[Any, bytes]:
        """What the driver's method returned, and the bytes that came with it. Raises what it raised."""
        connection = self.connect()
        try:
            wire.send(connection, wire.Call(method=method, arguments=arguments), pieces)
            answer, body = wire.receive(connection)
        except (EOFError, OSError) as error:
            connection.close()
            raise self.lost(error) from error
        except BaseException:
            connection.close()
            raise
        self.give_back(connection)
        if answer.error is not None:
            raise answer.error
        return answer.value, body

    def connect(self) -> socket.socket:
        """A connection nobody else has; starts a host if there is none that answers."""
        state = self._state()
        try:
            return state.idle.pop()
        except IndexError:
            pass
        with state.lock:
            try:
                if self._host is not None:
                    try:
                        return self._host.connect(self._call_seconds)
                    except OSError:
                        self._host.end()
                self._host = Host(self._driver)
                self._hosts.append(self._host)
                return self._host.connect(self._call_seconds)
            except OSError as error:
                raise self._unavailable(
                    f"The process that talks to {self.place} cannot be started: {error.strerror or error}.",
                    hint="Look in the system log whether the access node ran out of memory or processes.",
                ) from error

    def give_back(self, connection: socket.socket) -> None:
        """After a whole answer: the next call may use it."""
        self._state().idle.append(connection)

    def lost(self, error: BaseException) -> Retryable:
        """After a failure other connections are not trusted either. A host that hangs is killed."""
        self._state().clear()
        if not isinstance(error, TimeoutError):
            return self._unavailable(f"The process that talks to {self.place} ended.")
        host = self._host
        if host is not None:
            host.end()
        return self._unavailable(f"{self.place} did not answer within {self._call_seconds:.0f} s.")

    def close(self) -> None:
        """End the host, or in a forked child only its connections."""
        self._host = None
        _end(self._hosts, self._states, self._goodbye)

    def _state(self) -> _ProcessState:
        """Of this process: nothing that another one holds, or held when it forked, is ever touched."""
        pid = os.getpid()
        return self._states.get(pid) or self._states.setdefault(pid, _ProcessState())


class _ProcessState:
    """What one process holds: its idle connections (a list's pop and append are atomic), and who may start a host."""

    __slots__ = ("idle", "lock")

    def __init__(self) -> None:
        self.idle: list[socket.socket] = []
        self.lock = threading.Lock()

    def clear(self) -> None:
        while True:
            try:
                self.idle.pop().close()
            except IndexError:
                return


def _end(hosts: list[Host], states: dict[int, _ProcessState], goodbye: str) -> None:
    """Close what this process opened, and end the hosts that it started."""
    state = states.pop(os.getpid(), None)
    if state is not None:
        state.clear()
    while hosts:
        host = hosts.pop()
        if goodbye and host.is_ours:
            _say(host, goodbye)
        host.end()


def _say(host: Host, goodbye: str) -> None:
    """One that is gone or hangs is not waited for."""
    with contextlib.suppress(EOFError, OSError):
        connection = host.connect(_GOODBYE_SECONDS)
        with connection:
            wire.send(connection, wire.Call(method=goodbye, arguments={}))
            wire.receive(connection)
