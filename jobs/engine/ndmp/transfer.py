"""The connection that carries the image: opened by the file server to us, or by us to the file server.

NDMP has no secret on it, so addresses decide: a connection is taken only from an address that is allowed, and made only
to one. Whoever else comes is hung up on, and the wait goes on.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ..errors import InvalidOptions, SourceUnavailable
from . import messages
from .refusals import refusal
from .session import LOOK_SECONDS, Session
from .values import AddressType, TcpAddress, TcpEndpoint

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Direction(StrEnum):
    """Who waits for the data connection."""

    WE_LISTEN = "we-listen"
    FILER_LISTENS = "filer-listens"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPath:
    """How the image travels.

    ``listen_host`` is this machine's IPv4 address for data, None = the one that the session uses. ``ports`` are tried
    in order, empty = any free one; a firewall may need a fixed range. ``allowed`` are the networks data may come from
    or go to; empty = only the address of the session. File servers with separate interfaces for data need theirs here.
    """

    direction: Direction = Direction.WE_LISTEN
    listen_host: str | None = None
    ports: Sequence[int] = ()
    allowed: tuple[Network, ...] = field(default=())

    def allows(self, host: str, session: Session) -> bool:
        """Whether ``host`` may be the other end of the data connection."""
        address = ipaddress.ip_address(host)
        if not self.allowed:
            return address == ipaddress.ip_address(session.peer_host)
        return any(address in network for network in self.allowed)


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Addresses and networks that a person typed: ``10.0.0.7``, ``10.0.1.0/24``. Raises InvalidOptions."""
    try:
        return tuple(ipaddress.ip_network(text.strip(), strict=False) for text in texts)
    except ValueError as error:
        raise InvalidOptions(
            f"{error}.", field="data_addresses", hint="Write addresses like 10.0.0.7 or networks like 10.0.1.0/24."
        ) from error


@contextlib.contextmanager
def data_connection(session: Session, path: DataPath) -> Iterator[socket.socket]:
    """The open data connection; its reads and writes give up after 0.2 s with TimeoutError, so that one can look.

    Raises SourceUnavailable when nobody comes or it cannot be reached, InvalidOptions for an address that is not
    this machine's, EngineUnsupported if the file server cannot do it this way round.
    """
    opened = _accepted(session, path) if path.direction is Direction.WE_LISTEN else _connected(session, path)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        opened.settimeout(LOOK_SECONDS)
        yield opened
    finally:
        opened.close()


def _accepted(session: Session, path: DataPath) -> socket.socket:
    with _listener(session, path) as listener:
        host, port = listener.getsockname()[:2]
        endpoint = TcpEndpoint(int(ipaddress.IPv4Address(host)), port, ())
        session.call(messages.DATA_CONNECT, messages.DataAddress(TcpAddress((endpoint,))))
        return _take_allowed(session, path, listener)


def _take_allowed(session: Session, path: DataPath, listener: socket.socket) -> socket.socket:
    listener.settimeout(LOOK_SECONDS)
    give_up_at = time.monotonic() + session.waits.data_connect
    strangers: list[str] = []
    while time.monotonic() < give_up_at:
        session.check()
        try:
            came, (host, *_) = listener.accept()
        except TimeoutError:
            continue
        if path.allows(host, session):
            return came
        came.close()
        strangers.append(host)
    if strangers:
        raise SourceUnavailable(
            f"Data was offered from {', '.join(sorted(set(strangers)))}, which is not allowed; nobody else came.",
            hint="If that is the file server's own address for data, add it to its data addresses.",
        )
    raise SourceUnavailable(
        f"The file server did not open the data connection within {session.waits.data_connect:g} s.",
        hint="It must reach this node's address for data; look at firewalls and routes.",
    )


def _listener(session: Session, path: DataPath) -> socket.socket:
    host = path.listen_host or session.own_host
    if ":" in host:
        raise InvalidOptions(
            f"NDMP 4 carries data over IPv4 only, not over {host}.",
            field="listen_host",
            hint="Name an IPv4 address of this node for data.",
        )
    failure: OSError | None = None
    for port in path.ports or (0,):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(8)
        except OSError as error:
            listener.close()
            failure = error
        else:
            return listener
    said = failure.strerror if failure is not None else ""
    raise InvalidOptions(
        f"This node cannot wait for data at {host}: {said}.",
        field="listen_host" if not path.ports else "ports",
        hint="Name an address of this node, and ports that nothing else uses.",
    )


def _connected(session: Session, path: DataPath) -> socket.socket:
    reply = session.call(messages.DATA_LISTEN, messages.ListenRequest(AddressType.TCP))
    if not isinstance(reply.address, TcpAddress) or not reply.address.endpoints:
        raise refusal("DATA_LISTEN over TCP", 1, session.log)
    offered = [(str(ipaddress.IPv4Address(end.ip)), end.port) for end in reply.address.endpoints]
    allowed = [(host, port) for host, port in offered if path.allows(host, session)]
    if not allowed:
        raise SourceUnavailable(
            f"The file server wants to give data at {', '.join(host for host, _ in offered)}, which is not allowed.",
            hint="If that is the file server's own address for data, add it to its data addresses.",
        )
    said = ""
    for host, port in allowed:
        try:
            return socket.create_connection((host, port), timeout=session.waits.connect)
        except OSError as error:
            said = f"{host}:{port}: {error.strerror or error}"
    raise SourceUnavailable(f"The data connection to the file server failed, {said}.")
