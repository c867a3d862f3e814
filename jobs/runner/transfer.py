"""A snapshot that goes from one access node to another: the two processes find each other, and trust each other.

The sender, a job on a node of the source, orders the reception on a node of the target with a key of its own. The
receiver makes a certificate for this one transfer, listens, and offers the port with the certificate under the key.
The sender accepts only that certificate, and says the key inside the TLS connection; a stranger who connects is hung
up on. Orders and offers travel by Redis, as all orders to nodes do.
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
from typing import Final

import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.conf import settings
from django.utils import timezone

from jobs import lease, queues
from jobs.engine.errors import EngineError, EngineUnsupported, SourceUnavailable
from jobs.engine.events import Control, FreeRun
from jobs.engine.snapshots.base import Replicated, SnapshotEngine, SnapshotRef, Streamer
from jobs.engine.snapshots.channel import SILENCE_SECONDS, Channel, raise_failure
from jobs.models import SnapshotReplica
from jobs.rules.placement import NoNode
from jobs.runner.task import Task
from jobs.services.placing import receiver_for
from jobs.services.replicas import target_of
from policies.models import AccessNode
from policies.resolve import build_engine

logger = logging.getLogger(__name__)

_CONNECT_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 1.0
_NAME: Final = "snapcopy-transfer"


def send_to_node(
    task: Task, replica: SnapshotReplica, source: SnapshotEngine, ref: SnapshotRef, base: SnapshotRef | None
) -> Replicated:
    """Send a snapshot to a node of the replica's target. Raises SourceUnavailable while there is none, or it is silent;
    otherwise what :class:`~jobs.engine.snapshots.base.Streamer` raises.
    """
    if not isinstance(source, Streamer):
        raise EngineUnsupported(f"The engine “{source.label}” does not send snapshots to another node.")
    node = _receiver(replica)
    key = secrets.token_hex(32)
    if not queues.order_reception(node, replica.pk, key):
        raise SourceUnavailable(f"The node {node.name} could not be told to receive: Redis does not answer.")
    port, certificate = _offer_of(node, key, task.orders)
    task.tell("receiver-chosen", f"Node {node.name} receives the snapshot, at {_address(node)} port {port}.")
    with _connected(node, port, certificate) as connection:
        channel = Channel(connection, task.orders)
        channel.tell(key=key)
        return source.send(ref, base, channel, task.orders)


def receive(replica_id: int, key: str) -> None:
    """The other end, in a process of its own on a node of the target. What fails is told to the sender and logged."""
    replica = SnapshotReplica.objects.select_related("copy__target_server", "snapshot").get(pk=replica_id)
    control = FreeRun()
    try:
        engine = build_engine(target_of(replica.copy))
        if not isinstance(engine, Streamer):
            raise EngineUnsupported(f"The engine “{engine.label}” does not receive snapshots of another node.")
        with _listening() as listener:
            context, certificate = _own_certificate()
            queues.offer(key, {"port": listener.getsockname()[1], "certificate": certificate})
            with _accepted(listener, context, key, control) as channel:
                done = engine.receive(channel, control)
        logger.info("Snapshot %s was received, %s bytes.", replica.snapshot.name, done.sent_bytes)
    except EngineError as error:
        logger.warning("Snapshot %s was not received: %s", replica.snapshot.name, error.sentence)
        with contextlib.suppress(redis.RedisError):
            queues.offer(key, {"failed": error.code, "sentence": error.sentence, "hint": error.hint})


def _receiver(replica: SnapshotReplica) -> AccessNode:
    answer = receiver_for(replica.copy)
    if isinstance(answer, NoNode):
        raise SourceUnavailable(f"No node of {target_of(replica.copy).name} can receive now: {answer.reason}")
    return AccessNode.objects.get(name=answer.name)


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
        raise SourceUnavailable(f"The node {node.name} could not be asked to receive: {error}") from error
    raise SourceUnavailable(
        f"The node {node.name} did not begin to receive within {queues.OFFER_SECONDS} s.",
        hint="Look on the page of the node whether it is online. The next attempt asks again.",
    )


def _address(node: AccessNode) -> str:
    """Two nodes on one host meet on it, whatever it is called."""
    return "127.0.0.1" if node.boot_id == lease.boot_id() and not node.address else node.reached_at


@contextlib.contextmanager
def _connected(node: AccessNode, port: int, certificate: str) -> Iterator[socket.socket]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=certificate)  # the only one that is trusted
    address = _address(node)
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
        "None of the transfer ports of the receiving node is free.", hint="Widen SNAPCOPY_TRANSFER_PORTS there."
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
    raise SourceUnavailable("The sending node did not connect.")


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
