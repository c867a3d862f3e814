"""The hosts of great services, played on loopback: an HTTPS proxy that leads their names to servers of the tests.

Programs that know no other address than the service's own are driven so, unchanged, with the two variables of
``environment``. It ends TLS with a certificate of its own. Nothing leaves the machine: other names are refused.
"""

from __future__ import annotations

import atexit
import contextlib
import select
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_CHUNK_BYTES: Final = 1 << 16
_HEAD_END: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostProxy:
    """Where it listens, and the file of the certificate that its hosts show."""

    url: str
    ca_file: Path

    @property
    def environment(self) -> dict[str, str]:
        """For programs of Go and Rust alike."""
        return {"HTTPS_PROXY": self.url, "SSL_CERT_FILE": str(self.ca_file)}


@cache
def play_hosts(*servers: tuple[str, str]) -> HostProxy:
    """``servers``: (name of a host that is played, URL of the server here that plays it, on port 443).

    Started once for a test process, ended with it.
    """
    folder = Path(tempfile.mkdtemp(prefix="sc-hosts-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    tls = _certified([host for host, _url in servers], folder)
    listening = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_listen, args=(listening, tls, dict(servers)), daemon=True).start()
    return HostProxy(url=f"http://127.0.0.1:{listening.getsockname()[1]}", ca_file=folder / "certificate.pem")


def _certified(hosts: Sequence[str], folder: Path) -> ssl.SSLContext:
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=played"]
    command += ["-addext", "subjectAltName=" + ",".join(f"DNS:{host}" for host in hosts)]
    subprocess.run([*command, "-addext", "basicConstraints=critical,CA:FALSE"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def _listen(listening: socket.socket, tls: ssl.SSLContext, servers: Mapping[str, str]) -> None:
    while True:
        connection, _address = listening.accept()
        threading.Thread(target=_attend, args=(connection, tls, servers), daemon=True).start()


def _attend(connection: socket.socket, tls: ssl.SSLContext, servers: Mapping[str, str]) -> None:
    """One ``CONNECT host:443`` (RFC 9110, section 9.3.6), and what flows through it."""
    with contextlib.suppress(OSError), connection:
        head = b""
        while not head.endswith(_HEAD_END):
            part = connection.recv(1)
            if not part:
                return
            head += part
        method, target, *_ = head.decode().split()
        url = servers.get(target.removesuffix(":443"))
        if method != "CONNECT" or url is None:
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        address = urlsplit(url)
        with (
            tls.wrap_socket(connection, server_side=True) as client,
            socket.create_connection((address.hostname, address.port or 0)) as server,
        ):
            _splice(client, server)


def _splice(client: ssl.SSLSocket, server: socket.socket) -> None:
    """Until one of them ends. One thread for both ways: a TLS connection is not for two."""
    for end in (client, server):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        ready = [client] if client.pending() else select.select([client, server], [], [])[0]
        for source in ready:
            data = source.recv(_CHUNK_BYTES)
            if not data:
                return
            (server if source is client else client).sendall(data)
