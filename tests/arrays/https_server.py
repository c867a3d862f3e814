"""An HTTPS server on loopback for emulators of arrays: TLS of a throwaway authority, a log of what was asked, faults.

It knows no array. An emulator gives it one function, from a :class:`Request` to an :class:`Answer`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from .certificates import Certificate, certificate

HERE = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it came. ``path`` and ``query`` are decoded; ``body`` is the JSON in it, None = there was none.

    Header names are in lower case.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any = None

    @property
    def login(self) -> tuple[str, str] | None:
        """Account and password of HTTP Basic (RFC 7617); None where it came without."""
        kind, _, value = self.headers.get("authorization", "").partition(" ")
        if kind.lower() != "basic":
            return None
        account, _, password = base64.b64decode(value).decode().partition(":")
        return account, password


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """``body`` goes out as JSON; None = an empty one."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


Matches = Callable[[Request], bool]


@dataclass(kw_only=True)
class Fault:
    """Something that goes wrong ``times`` times for requests that match; None = every time.

    ``answer`` is given instead of the emulator's own. ``seconds``: it says nothing for so long before it answers.
    ``is_dropped``: the connection is cut without an answer, after the emulator has acted if ``is_late``.
    """

    matches: Matches
    times: int | None = 1
    answer: Answer | None = None
    seconds: float = 0.0
    is_dropped: bool = False
    is_late: bool = False


def to(method: str, ending: str) -> Matches:
    """Requests of that method whose path ends so."""
    return lambda request: request.method == method and request.path.endswith(ending)


def anything(_request: Request) -> bool:
    """Every request."""
    return True


class HttpsServer:
    """Listens from its making until :meth:`stop`. ``requests`` is the log, in the order they came.

    ``certified`` is what it shows; one of another name or authority is how a client's distrust is tested.
    """

    def __init__(self, answer: Callable[[Request], Answer], *, certified: Certificate | None = None) -> None:
        self.certificate = certified or certificate(HERE, "localhost")
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self._answer = answer
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._server = _Server((HERE, 0), _handler(self))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate.chain)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True
        )
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fail(self, fault: Fault) -> None:
        """From the next request on that it matches."""
        self.faults.append(fault)

    def asked(self) -> list[str]:
        """The log as “GET /api/cluster”."""
        return [f"{request.method} {request.path}" for request in self.requests]

    def handle(self, request: Request) -> Answer | None:
        """One request at a time; None = the connection is to be cut."""
        with self._lock:
            self.requests.append(request)
            fault = self._fault(request)
        if fault is not None:
            self._stopping.wait(fault.seconds)
            if fault.is_dropped and not fault.is_late:
                return None
            if fault.answer is not None:
                return fault.answer
        with self._lock:
            answer = self._answer(request)
        return None if fault is not None and fault.is_dropped else answer

    def _fault(self, request: Request) -> Fault | None:
        for fault in self.faults:
            if fault.times != 0 and fault.matches(request):
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None


@contextlib.contextmanager
def serving(answer: Callable[[Request], Answer], *, certified: Certificate | None = None) -> Iterator[HttpsServer]:
    """A server for the length of the block."""
    server = HttpsServer(answer, certified=certified)
    try:
        yield server
    finally:
        server.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up or distrusts the certificate is no failure of the server."""


def _handler(server: HttpsServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def do_PATCH(self) -> None:
            self._serve()

        def do_DELETE(self) -> None:
            self._serve()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Quiet."""

        def _serve(self) -> None:
            answer = server.handle(self._read())
            if answer is None:
                self.close_connection = True
                with contextlib.suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)
                return
            body = b"" if answer.body is None else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _read(self) -> Request:
            url = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            text = self.rfile.read(length)
            return Request(
                method=self.command,
                path=unquote(url.path),
                query=dict(parse_qsl(url.query, keep_blank_values=True)),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=json.loads(text) if text else None,
            )

    return Handler
