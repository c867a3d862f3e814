"""The values inside NDMP messages: what is declared here is what goes over the wire (draft section 3 and 4).

Names of files are raw bytes, all other text is ``str``. Quads and words that are all ones mean "unknown"
(:data:`UNKNOWN`, :data:`UNKNOWN_WORD`). Byte counts are bytes, times are seconds since the epoch, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Annotated, Final

from .xdr import OPAQUE, QUAD, SHORT, TEXT, WORD, EnumOf, Fixed, ListOf, UnionOf, struct_of

UNKNOWN: Final = (1 << 64) - 1
UNKNOWN_WORD: Final = (1 << 32) - 1
TO_THE_END: Final = UNKNOWN
"""As the length of a NOTIFY_DATA_READ."""


class ErrorCode(IntEnum):
    """What a reply or header may say (draft 3.1.2). Vendors add their own, so a code on the wire is an int."""

    NONE = 0
    NOT_SUPPORTED = 1
    DEVICE_BUSY = 2
    DEVICE_OPENED = 3
    NOT_AUTHORIZED = 4
    PERMISSION = 5
    DEVICE_NOT_OPEN = 6
    IO = 7
    TIMEOUT = 8
    ILLEGAL_ARGUMENTS = 9
    NO_TAPE_LOADED = 10
    WRITE_PROTECTED = 11
    END_OF_FILE = 12
    END_OF_MEDIUM = 13
    FILE_NOT_FOUND = 14
    BAD_FILE = 15
    NO_DEVICE = 16
    NO_BUS = 17
    XDR_DECODE = 18
    ILLEGAL_STATE = 19
    UNDEFINED = 20
    XDR_ENCODE = 21
    NO_MEMORY = 22
    CONNECT = 23
    SEQUENCE_NUMBER = 24
    READ_IN_PROGRESS = 25
    PRECONDITION = 26
    CLASS_NOT_SUPPORTED = 27
    VERSION_NOT_SUPPORTED = 28
    EXTENSION_TWICE = 29
    EXTENSION_REFUSED = 30


def error_words(code: int) -> str:
    """“illegal arguments”, or the number of an error that the protocol does not name."""
    try:
        return ErrorCode(code).name.lower().replace("_", " ")
    except ValueError:
        return f"error {code:#x}"


class AuthType(IntEnum):
    NONE = 0
    TEXT = 1
    MD5 = 2


class AddressType(IntEnum):
    LOCAL = 0
    TCP = 1
    RESERVED = 2
    IPC = 3


class DataOperation(IntEnum):
    NONE = 0
    BACKUP = 1
    RECOVER = 2
    RECOVER_HISTORY = 3


class DataState(IntEnum):
    IDLE = 0
    ACTIVE = 1
    HALTED = 2
    LISTEN = 3
    CONNECTED = 4


class HaltReason(IntEnum):
    NOT_HALTED = 0
    SUCCESSFUL = 1
    ABORTED = 2
    INTERNAL_ERROR = 3
    CONNECT_ERROR = 4


class ConnectionReason(IntEnum):
    CONNECTED = 0
    SHUTDOWN = 1
    REFUSED = 2


class LogKind(IntEnum):
    NORMAL = 0
    DEBUG = 1
    ERROR = 2
    WARNING = 3


class RecoveryStatus(IntEnum):
    """How one file of a recovery ended (draft 4.6.1)."""

    SUCCESSFUL = 0
    PERMISSION = 1
    NOT_FOUND = 2
    NO_DIRECTORY = 3
    OUT_OF_MEMORY = 4
    IO_ERROR = 5
    UNDEFINED = 6


class BackupAbility(IntFlag):
    """Bits of ``BackupType.attributes`` (draft 4.2.5)."""

    BACKUP_FILELIST = 0x0002
    RECOVER_FILELIST = 0x0004
    BACKUP_DIRECT = 0x0008
    RECOVER_DIRECT = 0x0010
    BACKUP_INCREMENTAL = 0x0020
    RECOVER_INCREMENTAL = 0x0040
    BACKUP_UTF8 = 0x0080
    RECOVER_UTF8 = 0x0100
    BACKUP_FH_FILE = 0x0200
    BACKUP_FH_DIR = 0x0400
    RECOVER_FILEHIST = 0x0800
    RECOVER_FH_FILE = 0x1000
    RECOVER_FH_DIR = 0x2000


@dataclass(frozen=True, slots=True)
class Nothing:
    """A message without a body."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A variable of an environment: ``LEVEL`` and ``0``."""

    name: Annotated[str, TEXT]
    value: Annotated[str, TEXT]


NOTHING: Final = struct_of(Nothing)
PAIR: Final = struct_of(Pair)
PAIRS: Final = ListOf(PAIR)


@dataclass(frozen=True, slots=True)
class NoAuth:
    """Nobody in particular."""


@dataclass(frozen=True, slots=True)
class TextAuth:
    """The password as it is: anybody on the way can read it."""

    account: Annotated[str, TEXT]
    password: Annotated[str, TEXT]

    def __repr__(self) -> str:
        return f"TextAuth({self.account!r}, ***)"


@dataclass(frozen=True, slots=True)
class Md5Auth:
    account: Annotated[str, TEXT]
    digest: Annotated[bytes, Fixed(16)]


@dataclass(frozen=True, slots=True)
class NoChallenge:
    """For NONE."""


@dataclass(frozen=True, slots=True)
class TextChallenge:
    """For TEXT: empty too."""


@dataclass(frozen=True, slots=True)
class Md5Challenge:
    challenge: Annotated[bytes, Fixed(64)]


AuthData = NoAuth | TextAuth | Md5Auth
AuthAttribute = NoChallenge | TextChallenge | Md5Challenge
AUTH_DATA: Final[UnionOf[AuthData]] = UnionOf(
    {AuthType.NONE: struct_of(NoAuth), AuthType.TEXT: struct_of(TextAuth), AuthType.MD5: struct_of(Md5Auth)}
)
AUTH_ATTRIBUTE: Final[UnionOf[AuthAttribute]] = UnionOf(
    {
        AuthType.NONE: struct_of(NoChallenge),
        AuthType.TEXT: struct_of(TextChallenge),
        AuthType.MD5: struct_of(Md5Challenge),
    }
)


@dataclass(frozen=True, slots=True)
class TcpEndpoint:
    """``ip`` is an IPv4 address as a number: NDMP 4 knows no other."""

    ip: Annotated[int, WORD]
    port: Annotated[int, SHORT]
    environment: Annotated[tuple[Pair, ...], PAIRS]


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """Inside the file server."""


@dataclass(frozen=True, slots=True)
class TcpAddress:
    endpoints: Annotated[tuple[TcpEndpoint, ...], ListOf(struct_of(TcpEndpoint))]


@dataclass(frozen=True, slots=True)
class IpcAddress:
    data: Annotated[bytes, OPAQUE]


Address = LocalAddress | TcpAddress | IpcAddress
ADDRESS: Final[UnionOf[Address]] = UnionOf(
    {
        AddressType.LOCAL: struct_of(LocalAddress),
        AddressType.TCP: struct_of(TcpAddress),
        AddressType.IPC: struct_of(IpcAddress),
    }
)


@dataclass(frozen=True, slots=True)
class BackupType:
    """A kind of image that the file server makes: ``dump``, with the environment it assumes."""

    name: Annotated[str, TEXT]
    environment: Annotated[tuple[Pair, ...], PAIRS]
    attributes: Annotated[int, WORD]

    @property
    def abilities(self) -> BackupAbility:
        return BackupAbility(self.attributes & sum(BackupAbility))


@dataclass(frozen=True, slots=True)
class FileSystem:
    """What can be backed up. Bits of ``unsupported``, lowest first: the five numbers as they follow."""

    unsupported: Annotated[int, WORD]
    kind: Annotated[str, TEXT]
    logical_device: Annotated[str, TEXT]
    physical_device: Annotated[str, TEXT]
    total_bytes: Annotated[int, QUAD]
    used_bytes: Annotated[int, QUAD]
    available_bytes: Annotated[int, QUAD]
    total_inodes: Annotated[int, QUAD]
    used_inodes: Annotated[int, QUAD]
    environment: Annotated[tuple[Pair, ...], PAIRS]
    status: Annotated[str, TEXT]


@dataclass(frozen=True, slots=True)
class DeviceCapability:
    device: Annotated[str, TEXT]
    attributes: Annotated[int, WORD]
    capabilities: Annotated[tuple[Pair, ...], PAIRS]


@dataclass(frozen=True, slots=True)
class Device:
    """A tape drive or a robot."""

    model: Annotated[str, TEXT]
    devices: Annotated[tuple[DeviceCapability, ...], ListOf(struct_of(DeviceCapability))]


@dataclass(frozen=True, slots=True)
class ExtensionClass:
    """An extension and the versions of it that are offered."""

    number: Annotated[int, SHORT]
    versions: Annotated[tuple[int, ...], ListOf(SHORT)]


@dataclass(frozen=True, slots=True)
class WantedName:
    """One name to recover (draft 4.4.4, ``ndmp4_name``).

    ``original_path`` is relative to the root of the backup, empty = everything; ``destination_path`` is never empty.
    ``node`` and ``fh_info`` come from the file history; UNKNOWN = the file server looks for the name itself.
    """

    original_path: Annotated[bytes, OPAQUE]
    destination_path: Annotated[bytes, OPAQUE]
    name: Annotated[bytes, OPAQUE] = b""
    other_name: Annotated[bytes, OPAQUE] = b""
    node: Annotated[int, QUAD] = UNKNOWN
    fh_info: Annotated[int, QUAD] = UNKNOWN


DATA_OPERATION: Final = EnumOf(DataOperation)
DATA_STATE: Final = EnumOf(DataState)
BACKUP_TYPES: Final[ListOf[BackupType]] = ListOf(struct_of(BackupType))
FILE_SYSTEMS: Final[ListOf[FileSystem]] = ListOf(struct_of(FileSystem))
DEVICES: Final[ListOf[Device]] = ListOf(struct_of(Device))
EXTENSIONS: Final[ListOf[ExtensionClass]] = ListOf(struct_of(ExtensionClass))
WANTED_NAMES: Final[ListOf[WantedName]] = ListOf(struct_of(WantedName))
WORDS: Final[ListOf[int]] = ListOf(WORD)
