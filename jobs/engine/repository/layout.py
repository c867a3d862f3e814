"""Names and small values of the repository layout, and the one sentence for a damaged file. No input or output here."""

from __future__ import annotations

import re
from enum import IntEnum, StrEnum
from typing import Final

from ..errors import RepositoryDamaged
from ..ids import BlobId, FileId

CONFIG_NAME: Final = "config"
_FILE_ID: Final = re.compile(r"[0-9a-f]{64}\Z")


class FileKind(StrEnum):
    """Folders of the repository; the value is the folder's name."""

    KEY = "keys"
    LOCK = "locks"
    SNAPSHOT = "snapshots"
    INDEX = "index"
    PACK = "data"


class BlobKind(IntEnum):
    """What a blob holds; the value is the type byte of an uncompressed header entry."""

    DATA = 0
    TREE = 1

    @property
    def word(self) -> str:
        """The word used in index files."""
        return "tree" if self is BlobKind.TREE else "data"


def is_file_id(text: str) -> bool:
    """Whether ``text`` is a full file id: 64 lower-case hexadecimal digits."""
    return _FILE_ID.match(text) is not None


def file_name(kind: FileKind, file_id: FileId | str) -> str:
    """Name of a file below the medium: packs are spread over 256 folders."""
    if kind is FileKind.PACK:
        return f"data/{file_id[:2]}/{file_id}"
    return f"{kind.value}/{file_id}"


def pack_name(pack_id: bytes) -> str:
    """Name of a pack from its 32 raw bytes."""
    text = pack_id.hex()
    return f"data/{text[:2]}/{text}"


def blob_id(text: str) -> BlobId:
    """32 raw bytes from 64 hexadecimal digits; raises ValueError."""
    raw = bytes.fromhex(text)
    if len(raw) != 32 or len(text) != 64:
        raise ValueError("a blob id has 64 hexadecimal digits")
    return BlobId(raw)


def damaged(name: str, why: str, *, hint: str = "") -> RepositoryDamaged:
    """The error for a file that fails its checksum, is missing or cannot be parsed; ``why`` completes the sentence."""
    return RepositoryDamaged(f"The repository file “{name}” is damaged: {why}.", name=name, hint=hint)
