"""File history as NDMP declares it (draft 4.6.2): names, status and the three kinds of entries.

The client reads history by :mod:`.history`, which is made for millions of entries; this is the declaration it is held
against, and what a file server in a test writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Final

from .xdr import OPAQUE, QUAD, WORD, EnumOf, ListOf, UnionOf, struct_of


class NameKind(IntEnum):
    """Whose naming rules a name or status follows."""

    UNIX = 0
    NT = 1
    OTHER = 2


class EntryKind(IntEnum):
    """What an entry of a folder is."""

    DIRECTORY = 0
    FIFO = 1
    CHARACTER_DEVICE = 2
    BLOCK_DEVICE = 3
    FILE = 4
    SYMLINK = 5
    SOCKET = 6
    REGISTRY = 7
    OTHER = 8


ATIME_UNSUPPORTED: Final = 1
CTIME_UNSUPPORTED: Final = 2
GROUP_UNSUPPORTED: Final = 4


@dataclass(frozen=True, slots=True)
class UnixName:
    name: Annotated[bytes, OPAQUE]


@dataclass(frozen=True, slots=True)
class NtName:
    name: Annotated[bytes, OPAQUE]
    dos_name: Annotated[bytes, OPAQUE]


@dataclass(frozen=True, slots=True)
class OtherName:
    name: Annotated[bytes, OPAQUE]


FileName = UnixName | NtName | OtherName
FILE_NAMES: Final[ListOf[FileName]] = ListOf(
    UnionOf[FileName](
        {NameKind.UNIX: struct_of(UnixName), NameKind.NT: struct_of(NtName), NameKind.OTHER: struct_of(OtherName)},
        other=NameKind.OTHER,
    )
)


@dataclass(frozen=True, slots=True)
class FileStatus:
    """Times are seconds since the epoch, UTC; ``attributes`` are UNIX mode bits, or NT attributes."""

    unsupported: Annotated[int, WORD]
    name_kind: Annotated[int, WORD]
    kind: Annotated[EntryKind, EnumOf(EntryKind)]
    mtime: Annotated[int, WORD]
    atime: Annotated[int, WORD]
    ctime: Annotated[int, WORD]
    owner: Annotated[int, WORD]
    group: Annotated[int, WORD]
    attributes: Annotated[int, WORD]
    size_bytes: Annotated[int, QUAD]
    links: Annotated[int, WORD]


STATUSES: Final[ListOf[FileStatus]] = ListOf(struct_of(FileStatus))


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A whole path with its status."""

    names: Annotated[tuple[FileName, ...], FILE_NAMES]
    statuses: Annotated[tuple[FileStatus, ...], STATUSES]
    node: Annotated[int, QUAD]
    fh_info: Annotated[int, QUAD]


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """A name in the directory ``parent``, of the inode ``node``."""

    names: Annotated[tuple[FileName, ...], FILE_NAMES]
    node: Annotated[int, QUAD]
    parent: Annotated[int, QUAD]


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """The status of the inode ``node``."""

    statuses: Annotated[tuple[FileStatus, ...], STATUSES]
    node: Annotated[int, QUAD]
    fh_info: Annotated[int, QUAD]


@dataclass(frozen=True, slots=True)
class FileHistory:
    entries: Annotated[tuple[FileEntry, ...], ListOf(struct_of(FileEntry))]


@dataclass(frozen=True, slots=True)
class DirectoryHistory:
    entries: Annotated[tuple[DirectoryEntry, ...], ListOf(struct_of(DirectoryEntry))]


@dataclass(frozen=True, slots=True)
class NodeHistory:
    entries: Annotated[tuple[NodeEntry, ...], ListOf(struct_of(NodeEntry))]
