"""The medium as its users see it: every call goes to the host, over a connection no other thread or process uses."""

from __future__ import annotations

import os
import socket
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import Any, Final

from ...errors import MediaUnavailable
from ..base import Buffer, TestReport, Usage
from . import wire
from .process import Driver, Host

_LIMIT_SECONDS: Final = 30.0
"""Added to twice what the driver itself allows for a call: starting the host, and waiting for a turn."""


class HostedMedia:
    """A medium in a host of its own. Thread-safe; safe after ``fork``, where the parent's host goes on serving.

    The host starts with the first call. If it dies, calls that run raise MediaUnavailable and the next one starts
    another. ``call_seconds`` is the longest that the driver lets one call take; one that takes longer hangs, and its
    host is killed.
    """

    def __init__(self, driver: Driver, *, place: str, call_seconds: float) -> None:
        """``place`` names the medium in errors, such as “s3 bucket/prefix”."""
        self._driver = driver
        self._place = place
        self._call_seconds = 2 * call_seconds + _LIMIT_SECONDS
        self._host: Host | None = None
        self._states: dict[int, _ProcessState] = {}
        self._hosts: list[Host] = []
        weakref.finalize(self, _end, self._hosts, self._states)

    def put(self, name: str, pieces: Sequence[Buffer]) -> None:
        """See :class:`~jobs.engine.media.base.Media`."""
        self._call("put", {"name": name}, pieces)

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See :class:`~jobs.engine.media.base.Media`."""
        return self._call("get", {"name": name, "offset": offset, "length": length})[1]

    def size(self, name: str) -> int:
        """Bytes of a stored file. Raises FileMissing."""
        return int(self._call("size", {"name": name})[0])

    def exists(self, name: str) -> bool:
        return bool(self._call("exists", {"name": name})[0])

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See :class:`~jobs.engine.media.base.Media`. Rows come in parts; other calls may be made between them."""
        state = self._state()
        connection = self._connect(state)
        try:
            wire.send(connection, wire.Call(method="list", arguments={"prefix": prefix}))
            while True:
                answer, _body = wire.receive(connection)
                if answer.error is not None or not answer.more:
                    break
                yield from answer.value
        except (EOFError, OSError) as error:
            connection.close()
            raise self._lost(error) from error
        except BaseException:
            connection.close()
            raise
        state.idle.append(connection)
        if answer.error is not None:
            raise answer.error

    def delete(self, name: str) -> None:
        """See :class:`~jobs.engine.media.base.Media`."""
        self._call("delete", {"name": name})

    def usage(self) -> Usage:
        found: Usage = self._call("usage", {})[0]
        return found

    def test(self) -> TestReport:
        """See :class:`~jobs.engine.media.base.Media`. Runs in the host, which is started if need be."""
        report: TestReport = self._call("test", {})[0]
        return report

    def close(self) -> None:
        """End the host, or in a forked child only its connections."""
        self._host = None
        _end(self._hosts, self._states)

    def __str__(self) -> str:
        return self._place

    def _call(self, method: str, arguments: dict[str, Any], pieces: Sequence[Buffer] = ()) -> tuple[Any, bytes]:
        state = self._state()
        connection = self._connect(state)
        try:
            wire.send(connection, wire.Call(method=method, arguments=arguments), pieces)
            answer, body = wire.receive(connection)
        except (EOFError, OSError) as error:
            connection.close()
            raise self._lost(error) from error
        except BaseException:
            connection.close()
            raise
        state.idle.append(connection)
        if answer.error is not None:
            raise answer.error
        return answer.value, body

    def _connect(self, state: _ProcessState) -> socket.socket:
        """A connection nobody else has; starts a host if there is none that answers."""
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
                raise MediaUnavailable(
                    f"The process that talks to {self._place} cannot be started: {error.strerror or error}.",
                    hint="Look in the system log whether the access node ran out of memory or processes.",
                ) from error

    def _state(self) -> _ProcessState:
        """Of this process: nothing that another one holds, or held when it forked, is ever touched."""
        pid = os.getpid()
        return self._states.get(pid) or self._states.setdefault(pid, _ProcessState())

    def _lost(self, error: BaseException) -> MediaUnavailable:
        """After a failure other connections are not trusted either. A host that hangs is killed."""
        self._state().clear()
        if not isinstance(error, TimeoutError):
            return MediaUnavailable(f"The process that talks to {self._place} ended.")
        host = self._host
        if host is not None:
            host.end()
        return MediaUnavailable(f"{self._place} did not answer within {self._call_seconds:.0f} s.")


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


def _end(hosts: list[Host], states: dict[int, _ProcessState]) -> None:
    """Close what this process opened, and end the hosts that it started."""
    state = states.pop(os.getpid(), None)
    if state is not None:
        state.clear()
    while hosts:
        hosts.pop().end()
