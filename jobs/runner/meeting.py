"""Two processes that find each other over the network and trust each other: one to send, one to receive.

Whoever needs the other orders it by the queue, with a key made for this one meeting. The ordered process, on a node,
makes a certificate for it, listens, and offers the port with the certificate under the key. The other accepts only
that certificate, and says the key inside the TLS connection; a stranger who connects is hung up on. Orders and offers
travel by Redis, as all orders to nodes do.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hmac
import logging
import secrets
import socket
import ssl
import tempfile
import time
from collections.abc import Iterator
from typing import Any, Final

import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.conf import settings
from django.utils import timezone

from jobs import lease, queues
from jobs.engine.errors import EngineError, SourceUnavailable
from jobs.engine.events import Control
from jobs.engine.snapshots.channel import SILENCE_SECONDS, Channel, raise_failure
from policies.models import AccessNode

logger = logging.getLogger(__name__)

_CONNECT_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 1.0
_NAME: Final = "snapcopy-transfer"


@contextlib.contextmanager
def ordered(node: AccessNode, task: str, values: dict[str, Any], control: Control) -> Iterator[Channel]:
    """Have ``node`` run ``task(values, key)``, and the channel to it. ``task`` calls :func:`awaited`.

    Raises SourceUnavailable if it is not there in time, what it says keeps it, and what ``control`` raises.
    """
    key = secrets.token_hex(32)
    if not queues.order_meeting(node, task, values, key):
        raise SourceUnavailable(f"The node {node.name} could not be asked: Redis does not answer.")
    port, certificate = _offer_of(node, key, control)
    with _connected(node, port, certificate) as connection:
        channel = Channel(connection, control)
        channel.tell(key=key)
        yield channel


@contextlib.contextmanager
def awaited(key: str, control: Control) -> Iterator[Channel]:
    """The channel to whoever ordered this process. What the block raises before it had one is told there, too.

    Raises SourceUnavailable if nobody comes.
    """
    try:
        with _listening() as listener:
            context, certificate = _own_certificate()
            queues.offer(key, {"port": listener.getsockname()[1], "certificate": certificate})
            with _accepted(listener, context, key, control) as channel:
                yield channel
    except redis.RedisError as error:
        raise SourceUnavailable(f"Redis does not answer: {error}.") from error


def tell_failure(key: str, error: EngineError) -> None:
    """Say instead of an offer what keeps this process."""
    with contextlib.suppress(redis.RedisError):
        queues.offer(key, {"failed": error.code, "sentence": error.sentence, "hint": error.hint})


def _offer_of(node: AccessNode, key: str, control: Control) -> tuple[int, str]:
    """Port and certificate."""
    ends_at = time.monotonic() + queues.OFFER_SECONDS
    try:
        while time.monotonic() < ends_at:
            control.check()
            if (offer := queues.wait_for_offer(key, seconds=_LOOK_SECONDS)) is not None:
                raise_failure(offer)
                return int(offer["port"]), str(offer["certificate"])
    except redis.RedisError as error:
        raise SourceUnavailable(f"The node {node.name} could not be asked: {error}") from error
    raise SourceUnavailable(
        f"The node {node.name} did not answer within {queues.OFFER_SECONDS} s.",
        hint="Look on the page of the node whether it is online. The next attempt asks again.",
    )


def address_of(node: AccessNode) -> str:
    """Two nodes on one host meet on it, whatever it is called."""
    return "127.0.0.1" if node.boot_id == lease.boot_id() and not node.address else node.reached_at


@contextlib.contextmanager
def _connected(node: AccessNode, port: int, certificate: str) -> Iterator[socket.socket]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=certificate)  # the only one that is trusted
    address = address_of(node)
    try:
        plain = socket.create_connection((address, port), timeout=_CONNECT_SECONDS)
        with plain, context.wrap_socket(plain, server_hostname=_NAME) as connection:
            yield connection
    except OSError as error:
        raise SourceUnavailable(
            f"The node {node.name} cannot be reached at {address} port {port}: {error.strerror or error}.",
            hint="Set the address of the node on its page, and let its transfer ports through the firewall.",
        ) from error


@contextlib.contextmanager
def _listening() -> Iterator[socket.socket]:
    """On all addresses, on the first port of ``SNAPCOPY_TRANSFER_PORTS`` that is free."""
    for port in settings.SNAPCOPY_TRANSFER_PORTS:
        try:
            listener = socket.create_server(("", port))
        except OSError:
            continue
        with listener:
            yield listener
        return
    raise SourceUnavailable(
        "None of the transfer ports of the node is free.", hint="Widen SNAPCOPY_TRANSFER_PORTS there."
    )


@contextlib.contextmanager
def _accepted(listener: socket.socket, context: ssl.SSLContext, key: str, control: Control) -> Iterator[Channel]:
    """The connection of whoever knows the key. Raises SourceUnavailable if he does not come in time."""
    ends_at = time.monotonic() + queues.OFFER_SECONDS
    while (left := ends_at - time.monotonic()) > 0:
        listener.settimeout(left)
        try:
            plain, _ = listener.accept()
        except TimeoutError:
            break
        with plain:
            plain.settimeout(_CONNECT_SECONDS)
            try:
                connection = context.wrap_socket(plain, server_side=True)
            except OSError as error:
                logger.warning("A connection to the transfer port was refused: %s", error)
                continue
            with connection:
                channel = Channel(connection, control, silence_seconds=_CONNECT_SECONDS)
                if not _knows(channel, key):
                    continue
                channel.silence_seconds = SILENCE_SECONDS
                yield channel
                return
    raise SourceUnavailable("Nobody connected.")


def _knows(channel: Channel, key: str) -> bool:
    try:
        return hmac.compare_digest(str(channel.hear().get("key", "")), key)
    except EngineError as error:
        logger.warning("A connection to the transfer port was hung up on: %s", error.sentence)
        return False


def _own_certificate() -> tuple[ssl.SSLContext, str]:
    """A server context with a key that lives only here, and its certificate as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _NAME)])
    now = timezone.now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))  # the clocks of the two hosts may differ
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(_NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with tempfile.NamedTemporaryFile() as file:  # ssl reads keys from files only; mode 0600
        file.write(private + public)
        file.flush()
        context.load_cert_chain(file.name)
    return context, public.decode()
