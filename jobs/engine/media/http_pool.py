"""Connections to one HTTP server: kept for the next request, one for each request in flight, none across a fork.

Python's own ``http.client`` reads a body into the bytes it hands out; with httpx a download costs six times its CPU
time. What requests mean is not known here.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from ..errors import EngineError, MediaRefused, MediaUnavailable
from .base import Buffer
from .per_process import PerProcess

CONNECT_SECONDS: Final = 15
STALL_SECONDS: Final = 60
"""No byte for that long, and a request has failed."""
STORED_SECONDS: Final = 300
"""What a server gets to say that it has stored a file: one in front of a cloud passes it on first."""
_RESTART_SECONDS: Final = 0.2
_KEPT: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpServer:
    """Where a server listens. ``tls`` None = plain. ``unix_socket`` gives a path and then wins over host and port.

    ``label`` names the medium in errors.
    """

    label: str
    host: str
    port: int | None
    tls: ssl.SSLContext | None = None
    unix_socket: Callable[[], str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """``target`` is path and query. ``body`` None = no body; else portions of ``length`` bytes together."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: Callable[[], Iterable[Buffer]] | None = None
    length: int = 0


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket; the path is asked for at each connect."""

    def __init__(self, unix_socket: Callable[[], str]) -> None:
        super().__init__("localhost")
        self._unix_socket = unix_socket

    def connect(self) -> None:
        path = self._unix_socket()
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.settimeout(CONNECT_SECONDS)
            connected.connect(path)
        except BaseException:
            connected.close()
            raise
        self.sock = connected


class HttpPool:
    """Thread-safe; after a fork the child has connections of its own."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._idle: Final[PerProcess[list[http.client.HTTPConnection]]] = PerProcess(list)

    @contextmanager
    def answer(self, request: Request) -> Iterator[http.client.HTTPResponse]:
        """The answer to a request, its body still to be read. Raises MediaUnavailable, MediaRefused for certificates.

        A connection that the server closed while it was idle is replaced, and the request sent once more.
        """
        try:
            connection, response = self._exchange(request)
            try:
                yield response
            except BaseException:
                response.close()
                connection.close()
                raise
            self._keep(connection, response)
        except (OSError, http.client.HTTPException) as error:
            raise self._error(error) from error

    def close(self) -> None:
        for connection in self._idle.take() or ():
            connection.close()

    def _exchange(self, request: Request) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """A server on a unix socket that crashes is started again: it gets a second new connection."""
        idle = self._idle.get()
        more = 0 if self._server.unix_socket is None else 1
        while True:
            try:
                connection, is_used = idle.pop(), True
            except IndexError:
                connection, is_used = self._connection(), False
            try:
                return connection, _send(connection, request)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if isinstance(error, TimeoutError) or not (is_used or more):
                    raise
                if not is_used:
                    more -= 1
                    time.sleep(_RESTART_SECONDS)
            except BaseException:
                connection.close()
                raise

    def _connection(self) -> http.client.HTTPConnection:
        server = self._server
        if server.unix_socket is not None:
            return _UnixConnection(server.unix_socket)
        if server.tls is not None:
            return http.client.HTTPSConnection(server.host, server.port, timeout=CONNECT_SECONDS, context=server.tls)
        return http.client.HTTPConnection(server.host, server.port, timeout=CONNECT_SECONDS)

    def _keep(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        idle = self._idle.get()
        if response.isclosed() and connection.sock is not None and len(idle) < _KEPT:
            idle.append(connection)
        else:
            response.close()
            connection.close()

    def _error(self, error: OSError | http.client.HTTPException) -> EngineError:
        label = self._server.label
        match error:
            case ssl.SSLCertVerificationError():
                return MediaRefused(
                    f"The certificate of {label} is not trusted: {error.verify_message}.",
                    hint="Name the file of the authority that signed it under “CA file”, or correct the address.",
                )
            case ssl.SSLError():
                return MediaUnavailable(f"{label} does not speak TLS as expected: {error.reason or error}.")
            case socket.gaierror():
                return MediaUnavailable(f"There is no address for the host of {label}.", hint="Correct the address.")
            case TimeoutError():
                return MediaUnavailable(f"{label} did not answer in time.")
            case ConnectionRefusedError():
                return MediaUnavailable(f"{label} refuses the connection: nothing listens there.")
            case http.client.RemoteDisconnected() | ConnectionError() | http.client.IncompleteRead():
                return MediaUnavailable(f"{label} closed the connection in the middle.")
            case OSError():
                return MediaUnavailable(f"{label} cannot be reached: {error.strerror or error}.")
            case _:
                return MediaUnavailable(f"{label} answered something that is not HTTP.")


def _send(connection: http.client.HTTPConnection, request: Request) -> http.client.HTTPResponse:
    """A server that refuses early answers and closes while the body is still sent: its answer is read all the same."""
    if connection.sock is None:
        connection.connect()
    connection.sock.settimeout(STALL_SECONDS)
    connection.putrequest(request.method, request.target, skip_accept_encoding=True)
    for name, value in request.headers.items():
        connection.putheader(name, value)
    if request.body is not None:
        connection.putheader("Content-Length", str(request.length))
    connection.endheaders()
    cut: ConnectionError | None = None
    if request.body is not None:
        try:
            for portion in request.body():
                connection.send(portion)
        except (BrokenPipeError, ConnectionResetError) as error:
            cut = error
        connection.sock.settimeout(STORED_SECONDS)
    try:
        response = connection.getresponse()
    except (OSError, http.client.HTTPException):
        if cut is not None:
            raise cut from None
        raise
    if cut is not None:
        connection.close()
        if response.status < http.client.BAD_REQUEST:
            raise cut
    return response
