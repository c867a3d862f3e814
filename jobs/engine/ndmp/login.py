"""From an address and an account to a session that is open, and what the file server can do."""

from __future__ import annotations

import hashlib
import socket
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ..errors import EngineError, EngineUnsupported, LoginRefused, SourceUnavailable, StorageBusy
from ..events import Control
from ..plan import Secret
from . import messages, version3
from .messages import ConnectionStatus, HostInfo, ServerInfo
from .refusals import refusal
from .session import DEFAULT_PORT, Session, Waits, readable
from .values import (
    AuthData,
    AuthType,
    BackupType,
    ConnectionReason,
    ErrorCode,
    FileSystem,
    Md5Auth,
    Md5Challenge,
    NoAuth,
    Nothing,
    TextAuth,
)

VERSIONS: Final = (4, version3.VERSION)
"""Of the protocol, the better one first."""
_SHORT_SECONDS: Final = 3.0
_BUSY_WORDS: Final = ("session", "limit", "maximum", "too many", "busy")


class AuthWay(StrEnum):
    """How the password is shown. SAFEST takes MD5 where it is offered and never falls back to clear text."""

    SAFEST = "safest"
    MD5 = "md5"
    TEXT = "text"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where the NDMP service is, and as whom to come. MD5 uses the first 32 bytes of the password."""

    host: str
    port: int = DEFAULT_PORT
    account: str = "ndmp"
    password: Secret
    auth: AuthWay = AuthWay.SAFEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the file server says of itself; None or empty where it does not say it."""

    info: ServerInfo | None
    host: HostInfo | None
    backup_types: tuple[BackupType, ...]
    file_systems: tuple[FileSystem, ...]
    address_types: tuple[int, ...]
    extensions: tuple[int, ...]


def connect(server: Server, control: Control, *, waits: Waits | None = None) -> Session:
    """An open, authenticated session. Close it, best by ``with``.

    Raises SourceUnavailable (nobody there, silence), StorageBusy (too many sessions), LoginRefused,
    EngineUnsupported (another version), AnswerUnreadable (no NDMP service).
    """
    waits = waits or Waits()
    try:
        connection = socket.create_connection((server.host, server.port), timeout=waits.connect)
    except OSError as error:
        raise SourceUnavailable(
            f"The NDMP service {server.host}:{server.port} cannot be reached: {error.strerror or error}."
        ) from error
    session = Session(connection, control, waits=waits)
    try:
        _greet(session)
        _log_in(session, server)
    except BaseException:
        session.close()
        raise
    return session


def md5_digest(password: str, challenge: bytes) -> bytes:
    """MD5 over 128 bytes: the password, zeros, the challenge, zeros, the password again (draft 4.1.2)."""
    secret = password.encode("utf-8", "surrogateescape")[:32]
    first = secret + bytes(64 - 2 * len(secret)) + challenge
    return hashlib.md5(first + bytes(128 - len(first) - len(secret)) + secret, usedforsecurity=False).digest()


def capabilities(session: Session) -> Capabilities:
    """Ask for everything that is worth knowing. What is refused or not answered stays empty."""
    backup_types = _told(session, messages.GET_BUTYPE_INFO)
    file_systems = _told(session, messages.GET_FS_INFO)
    connection_types = _told(session, messages.GET_CONNECTION_TYPE)
    info = _told(session, messages.GET_SERVER_INFO)
    return Capabilities(
        info=info,
        host=_told(session, messages.GET_HOST_INFO),
        backup_types=() if backup_types is None else backup_types.types,
        file_systems=() if file_systems is None else file_systems.file_systems,
        address_types=() if connection_types is None else connection_types.types,
        extensions=_extensions(session, info),
    )


def _greet(session: Session) -> None:
    """The file server speaks first; then the version is agreed on."""
    try:
        session.wait(lambda: session.status is not None, seconds=session.waits.connect, what="said nothing")
    except SourceUnavailable:
        if session.status is None:
            raise
    status = session.status
    if status is not None and status.reason is not ConnectionReason.CONNECTED:
        raise _turned_away(status)
    speaks = status.version if status is not None else 0
    for version in VERSIONS:
        if not 0 < speaks < version and _is_agreed(session, version):
            return
    raise _other_version(speaks)


def _is_agreed(session: Session, version: int) -> bool:
    error, _ = session.ask(messages.CONNECT_OPEN, messages.OpenRequest(version))
    if error in {ErrorCode.ILLEGAL_ARGUMENTS, ErrorCode.VERSION_NOT_SUPPORTED, ErrorCode.NOT_SUPPORTED}:
        return False
    if error:
        raise refusal("CONNECT_OPEN", error, session.log)
    if version == version3.VERSION:
        session.speak_version_3()
    return True


def _turned_away(status: ConnectionStatus) -> EngineError:
    text = readable(status.text)
    said = f": {text}" if text else ""
    if status.reason is ConnectionReason.REFUSED or any(word in text.lower() for word in _BUSY_WORDS):
        return StorageBusy(
            f"The file server takes no further NDMP session{said}.",
            hint="Lower how many sessions the file server may have at once, or wait until other products end theirs.",
        )
    return SourceUnavailable(f"The file server's NDMP service shuts down{said}.")


def _other_version(version: int) -> EngineUnsupported:
    speaks = f"version {version}" if version else "another version"
    return EngineUnsupported(
        f"The file server speaks {speaks} of NDMP; 4 or 3 is needed.",
        hint="Allow NDMP version 4 on the file server.",
    )


def _log_in(session: Session, server: Server) -> None:
    data = _auth_data(session, server)
    error, _ = session.ask(messages.CONNECT_CLIENT_AUTH, messages.ClientAuthRequest(data))
    if error in {ErrorCode.NOT_AUTHORIZED, ErrorCode.ILLEGAL_ARGUMENTS, ErrorCode.PERMISSION}:
        raise LoginRefused(f"The file server refuses the account “{server.account}” or its password.")
    if error == ErrorCode.NOT_SUPPORTED:
        raise LoginRefused(f"The file server does not take the authentication “{server.auth}”.")
    if error:
        raise refusal("CONNECT_CLIENT_AUTH", error, session.log)


def _auth_data(session: Session, server: Server) -> AuthData:
    if server.auth is AuthWay.NONE:
        return NoAuth()
    if server.auth is AuthWay.TEXT:
        return TextAuth(server.account, server.password.reveal())
    answer = session.ask(messages.GET_AUTH_ATTR, messages.AuthTypeRequest(AuthType.MD5))
    attribute = None if answer.reply is None else answer.reply.attribute
    if not isinstance(attribute, Md5Challenge):
        if answer.error == ErrorCode.NOT_AUTHORIZED:
            raise refusal("CONFIG_GET_AUTH_ATTR", answer.error, session.log)
        raise LoginRefused(
            "The file server does not offer MD5 authentication.",
            hint="Choose “text” for its authentication; the password then goes over the network in clear.",
        )
    return Md5Auth(server.account, md5_digest(server.password.reveal(), attribute.challenge))


def _told(session: Session, call: messages.Call[Nothing, messages.A]) -> messages.A | None:
    return session.ask(call, Nothing()).reply


def _extensions(session: Session, info: ServerInfo | None) -> tuple[int, ...]:
    """Numbers of the extensions offered. Some file servers never answer this one, so it is not waited for long."""
    if info is not None and info.product.startswith("NDMJOB"):
        return ()
    try:
        reply = session.ask(messages.GET_EXT_LIST, Nothing(), seconds=_SHORT_SECONDS).reply
    except SourceUnavailable:
        if session.failure is not None:
            raise
        return ()
    return () if reply is None else tuple(item.number for item in reply.classes)
