"""The one table of NDMP 4 messages: code, name, request and reply. It drives the client and the file server in tests.

A message is a header of six words and a body (draft 3.1). A reply's body begins with the error, and in two messages
with a word before it; where the error is not zero, the rest means nothing. See :data:`CALLS` and :data:`POSTS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, Final, Generic, TypeVar

from . import values
from .history_values import DirectoryHistory, FileHistory, NodeHistory
from .values import NOTHING
from .xdr import QUAD, SHORT, TEXT, WORD, Codec, Cursor, EnumOf, ListOf, encode, struct_of

Q = TypeVar("Q")
A = TypeVar("A")
P = TypeVar("P")


class MessageKind(IntEnum):
    REQUEST = 0
    """Also what the file server sends by itself and nobody answers: a post."""
    REPLY = 1


@dataclass(frozen=True, slots=True)
class Header:
    """``reply_sequence`` is the request's ``sequence``; with an ``error`` that is not zero there is no body."""

    sequence: Annotated[int, WORD]
    time_stamp: Annotated[int, WORD]
    kind: Annotated[MessageKind, EnumOf(MessageKind)]
    code: Annotated[int, WORD]
    reply_sequence: Annotated[int, WORD]
    error: Annotated[int, WORD]


HEADER: Final = struct_of(Header)


@dataclass(frozen=True, slots=True, eq=False)
class Call(Generic[Q, A]):
    """A request and its reply. ``word_before_error``: the reply's first field stands before the error."""

    code: int
    name: str
    request: Codec[Q]
    reply: Codec[A]
    word_before_error: bool = False

    def encode_reply(self, error: int, reply: A | None) -> bytes:
        """The reply's body; None = only the error."""
        body = b"" if reply is None else encode(self.reply, reply)
        at = 4 if self.word_before_error else 0
        return (body[:at] or bytes(at)) + encode(WORD, error) + body[at:]

    def decode_reply(self, body: bytes) -> tuple[int, A | None]:
        """The error, and the reply where that is zero; raises AnswerUnreadable."""
        cursor = Cursor(body)
        before = cursor.take(4) if self.word_before_error else b""
        error = cursor.word()
        if error:
            return error, None
        return 0, self.reply.take(Cursor(before + cursor.take(cursor.left)))


@dataclass(frozen=True, slots=True, eq=False)
class Post(Generic[P]):
    """What the file server sends by itself."""

    code: int
    name: str
    body: Codec[P]


@dataclass(frozen=True, slots=True)
class OpenRequest:
    version: Annotated[int, SHORT]


@dataclass(frozen=True, slots=True)
class ClientAuthRequest:
    data: Annotated[values.AuthData, values.AUTH_DATA]


@dataclass(frozen=True, slots=True)
class ServerAuthRequest:
    attribute: Annotated[values.AuthAttribute, values.AUTH_ATTRIBUTE]


@dataclass(frozen=True, slots=True)
class ServerAuth:
    data: Annotated[values.AuthData, values.AUTH_DATA]


@dataclass(frozen=True, slots=True)
class HostInfo:
    host_name: Annotated[str, TEXT]
    os_type: Annotated[str, TEXT]
    os_version: Annotated[str, TEXT]
    host_id: Annotated[str, TEXT]


@dataclass(frozen=True, slots=True)
class ConnectionTypes:
    """:class:`~.values.AddressType` numbers; a file server may know more."""

    types: Annotated[tuple[int, ...], values.WORDS]


@dataclass(frozen=True, slots=True)
class AuthTypeRequest:
    type: Annotated[int, WORD]


@dataclass(frozen=True, slots=True)
class AuthAttributes:
    attribute: Annotated[values.AuthAttribute, values.AUTH_ATTRIBUTE]


@dataclass(frozen=True, slots=True)
class BackupTypes:
    types: Annotated[tuple[values.BackupType, ...], values.BACKUP_TYPES]


@dataclass(frozen=True, slots=True)
class FileSystems:
    file_systems: Annotated[tuple[values.FileSystem, ...], values.FILE_SYSTEMS]


@dataclass(frozen=True, slots=True)
class Devices:
    devices: Annotated[tuple[values.Device, ...], values.DEVICES]


@dataclass(frozen=True, slots=True)
class ServerInfo:
    vendor: Annotated[str, TEXT]
    product: Annotated[str, TEXT]
    revision: Annotated[str, TEXT]
    auth_types: Annotated[tuple[int, ...], values.WORDS]


@dataclass(frozen=True, slots=True)
class ClassVersion:
    number: Annotated[int, SHORT]
    version: Annotated[int, SHORT]


@dataclass(frozen=True, slots=True)
class AcceptedExtensions:
    classes: Annotated[tuple[ClassVersion, ...], ListOf(struct_of(ClassVersion))]


@dataclass(frozen=True, slots=True)
class Extensions:
    classes: Annotated[tuple[values.ExtensionClass, ...], values.EXTENSIONS]


@dataclass(frozen=True, slots=True)
class DataStatus:
    """``unsupported``: bit 0 the bytes that remain, bit 1 the seconds that remain, are unknown."""

    unsupported: Annotated[int, WORD]
    operation: Annotated[values.DataOperation, EnumOf(values.DataOperation)]
    state: Annotated[values.DataState, EnumOf(values.DataState)]
    halt_reason: Annotated[values.HaltReason, EnumOf(values.HaltReason)]
    bytes_processed: Annotated[int, QUAD]
    bytes_remaining: Annotated[int, QUAD]
    seconds_remaining: Annotated[int, WORD]
    address: Annotated[values.Address, values.ADDRESS]
    read_offset: Annotated[int, QUAD]
    read_length: Annotated[int, QUAD]


@dataclass(frozen=True, slots=True)
class StartBackup:
    type: Annotated[str, TEXT]
    environment: Annotated[tuple[values.Pair, ...], values.PAIRS]


@dataclass(frozen=True, slots=True)
class StartRecover:
    environment: Annotated[tuple[values.Pair, ...], values.PAIRS]
    names: Annotated[tuple[values.WantedName, ...], values.WANTED_NAMES]
    type: Annotated[str, TEXT]


@dataclass(frozen=True, slots=True)
class Environment:
    pairs: Annotated[tuple[values.Pair, ...], values.PAIRS]


@dataclass(frozen=True, slots=True)
class ListenRequest:
    type: Annotated[values.AddressType, EnumOf(values.AddressType)]


@dataclass(frozen=True, slots=True)
class DataAddress:
    address: Annotated[values.Address, values.ADDRESS]


@dataclass(frozen=True, slots=True)
class DataHalted:
    reason: Annotated[values.HaltReason, EnumOf(values.HaltReason)]


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    reason: Annotated[values.ConnectionReason, EnumOf(values.ConnectionReason)]
    version: Annotated[int, SHORT]
    text: Annotated[str, TEXT]


@dataclass(frozen=True, slots=True)
class DataRead:
    """The recovering file server wants ``length`` bytes of the image from ``offset``; TO_THE_END = all that follow."""

    offset: Annotated[int, QUAD]
    length: Annotated[int, QUAD]


@dataclass(frozen=True, slots=True)
class LogFile:
    """How the recovery of one file ended."""

    name: Annotated[str, TEXT]
    status: Annotated[int, WORD]


@dataclass(frozen=True, slots=True)
class LogMessage:
    """A line of the file server's log; ``kind`` is a :class:`~.values.LogKind`."""

    kind: Annotated[int, WORD]
    number: Annotated[int, WORD]
    text: Annotated[str, TEXT]
    has_request: Annotated[int, WORD] = 0
    request_sequence: Annotated[int, WORD] = 0


CONNECT_OPEN: Final = Call(0x900, "CONNECT_OPEN", struct_of(OpenRequest), NOTHING)
CONNECT_CLIENT_AUTH: Final = Call(0x901, "CONNECT_CLIENT_AUTH", struct_of(ClientAuthRequest), NOTHING)
CONNECT_CLOSE: Final = Call(0x902, "CONNECT_CLOSE", NOTHING, NOTHING)
CONNECT_SERVER_AUTH: Final = Call(0x903, "CONNECT_SERVER_AUTH", struct_of(ServerAuthRequest), struct_of(ServerAuth))
GET_HOST_INFO: Final = Call(0x100, "CONFIG_GET_HOST_INFO", NOTHING, struct_of(HostInfo))
GET_CONNECTION_TYPE: Final = Call(0x102, "CONFIG_GET_CONNECTION_TYPE", NOTHING, struct_of(ConnectionTypes))
GET_AUTH_ATTR: Final = Call(0x103, "CONFIG_GET_AUTH_ATTR", struct_of(AuthTypeRequest), struct_of(AuthAttributes))
GET_BUTYPE_INFO: Final = Call(0x104, "CONFIG_GET_BUTYPE_INFO", NOTHING, struct_of(BackupTypes))
GET_FS_INFO: Final = Call(0x105, "CONFIG_GET_FS_INFO", NOTHING, struct_of(FileSystems))
GET_TAPE_INFO: Final = Call(0x106, "CONFIG_GET_TAPE_INFO", NOTHING, struct_of(Devices))
GET_SCSI_INFO: Final = Call(0x107, "CONFIG_GET_SCSI_INFO", NOTHING, struct_of(Devices))
GET_SERVER_INFO: Final = Call(0x108, "CONFIG_GET_SERVER_INFO", NOTHING, struct_of(ServerInfo))
SET_EXT_LIST: Final = Call(0x109, "CONFIG_SET_EXT_LIST", struct_of(AcceptedExtensions), NOTHING)
GET_EXT_LIST: Final = Call(0x10A, "CONFIG_GET_EXT_LIST", NOTHING, struct_of(Extensions))
DATA_GET_STATE: Final = Call(0x400, "DATA_GET_STATE", NOTHING, struct_of(DataStatus), word_before_error=True)
DATA_START_BACKUP: Final = Call(0x401, "DATA_START_BACKUP", struct_of(StartBackup), NOTHING)
DATA_START_RECOVER: Final = Call(0x402, "DATA_START_RECOVER", struct_of(StartRecover), NOTHING)
DATA_ABORT: Final = Call(0x403, "DATA_ABORT", NOTHING, NOTHING)
DATA_GET_ENV: Final = Call(0x404, "DATA_GET_ENV", NOTHING, struct_of(Environment))
DATA_STOP: Final = Call(0x407, "DATA_STOP", NOTHING, NOTHING)
DATA_LISTEN: Final = Call(0x409, "DATA_LISTEN", struct_of(ListenRequest), struct_of(DataAddress))
DATA_CONNECT: Final = Call(0x40A, "DATA_CONNECT", struct_of(DataAddress), NOTHING)
DATA_RECOVER_HISTORY: Final = Call(0x40B, "DATA_START_RECOVER_FILEHIST", struct_of(StartRecover), NOTHING)

NOTIFY_DATA_HALTED: Final = Post(0x501, "NOTIFY_DATA_HALTED", struct_of(DataHalted))
NOTIFY_CONNECTION_STATUS: Final = Post(0x502, "NOTIFY_CONNECTION_STATUS", struct_of(ConnectionStatus))
NOTIFY_DATA_READ: Final = Post(0x505, "NOTIFY_DATA_READ", struct_of(DataRead))
LOG_FILE: Final = Post(0x602, "LOG_FILE", struct_of(LogFile))
LOG_MESSAGE: Final = Post(0x603, "LOG_MESSAGE", struct_of(LogMessage))
FH_ADD_FILE: Final = Post(0x703, "FH_ADD_FILE", struct_of(FileHistory))
FH_ADD_DIR: Final = Post(0x704, "FH_ADD_DIR", struct_of(DirectoryHistory))
FH_ADD_NODE: Final = Post(0x705, "FH_ADD_NODE", struct_of(NodeHistory))

CALLS: Final[dict[int, Call[Any, Any]]] = {item.code: item for item in vars().copy().values() if isinstance(item, Call)}
"""Every request that this client knows, by code. The mover's and the tape's are not among them: we are the mover."""

POSTS: Final[dict[int, Post[Any]]] = {item.code: item for item in vars().copy().values() if isinstance(item, Post)}
"""Every post that is read, by code; others are skipped."""


def message(header: Header, body: bytes) -> bytes:
    """Header and body as one record's content."""
    return encode(HEADER, header) + body


def split(record: bytes) -> tuple[Header, bytes]:
    """Header and body of a record; raises AnswerUnreadable."""
    cursor = Cursor(record)
    return HEADER.take(cursor), cursor.take(cursor.left)
