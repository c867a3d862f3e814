"""The web server's listening socket, opened by the supervisor: a busy port is known before anything is started, and
a web server that is started again loses no connection."""

from __future__ import annotations

import errno
import http.client
import ipaddress
import socket
from dataclasses import dataclass
from typing import Final

BACKLOG: Final = 512


class ListenRefused(RuntimeError):
    """The address cannot be used; ``str(error)`` names the remedy."""


@dataclass(frozen=True, slots=True)
class Listener:
    """``names`` are the hosts to allow in addresses; empty = only this machine, Django's settings know it."""

    socket: socket.socket
    names: tuple[str, ...]

    @property
    def descriptor(self) -> int:
        return self.socket.fileno()

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    @property
    def url(self) -> str:
        """What to type into a browser, with a slash at the end."""
        host = self.names[0] if self.names else str(self.socket.getsockname()[0])
        return f"http://{_bracketed(host)}:{self.port}/"

    def answers(self) -> bool:
        """Whether the web server behind it answers /healthz with 200."""
        address = ipaddress.ip_address(self.socket.getsockname()[0])
        if address.is_unspecified:
            address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
        connection = http.client.HTTPConnection(str(address), self.port, timeout=2)
        try:
            connection.request("GET", "/healthz", headers={"Host": "localhost"})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def listen(bind: str, port: int) -> Listener:
    """Open the socket; port 0 takes a free one. Raises ListenRefused."""
    if not 0 <= port <= 65535:
        raise ListenRefused(f"there is no port {port}; choose one from 1 to 65535.")
    try:
        family, _, _, _, address = socket.getaddrinfo(bind, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise ListenRefused(_reason(bind, port, error)) from error
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        raise ListenRefused(_reason(bind, port, error)) from error
    return Listener(opened, _names(str(address[0])))


def _reason(bind: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < 65535 else 8000
        return f"port {port} on {bind} is used by another program. Choose another: --port {other}"
    if error.errno == errno.EACCES:
        return f"this account may not listen on port {port}. Choose one above 1023, for example --port 8000"
    return f"cannot listen on {bind}, port {port}: {error.strerror or error}. Choose another address: --bind"


def _names(address: str) -> tuple[str, ...]:
    """Under which names others may reach this machine, the one to print first; nothing for a loopback address."""
    bound = ipaddress.ip_address(address)
    if bound.is_loopback:
        return ()
    local = ("localhost", "127.0.0.1", "[::1]")
    machine = (socket.gethostname(), socket.getfqdn())
    if not bound.is_unspecified:
        return tuple(dict.fromkeys((_bracketed(address), *machine, *local)))
    return tuple(dict.fromkeys((*_outgoing_addresses(), *machine, *local)))


def _outgoing_addresses() -> list[str]:
    """Addresses this machine uses towards others. Nothing is sent: connecting a datagram socket only picks a route."""
    found = []
    for family, somewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((somewhere, 9))
                found.append(_bracketed(str(probe.getsockname()[0])))
            except OSError as error:
                if error.errno not in {errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EHOSTUNREACH, errno.EACCES}:
                    raise
    return found


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
