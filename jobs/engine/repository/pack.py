"""Pack files: ``sealed blobs || sealed header || header length (u32, little-endian)`` (design document, "Pack Format").

A header entry is the type byte (0 data, 1 tree, plus 2 if compressed), the sealed length (u32), for compressed blobs
the plain length (u32), and the 32-byte id. Tree and data blobs never share a pack. Writing packs to the medium lives
in ``pack_writer``.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from ..ids import BlobId
from ..media.base import Buffer
from .crypto import SEAL_BYTES, BrokenSealError, Sealer
from .layout import BlobKind, damaged, pack_name
from .repository import Repository
from .stored import read_part

PACK_BYTES: Final = 16 << 20
MAX_PACK_BLOBS: Final = 16_384
"""Of tiny files a pack is full before its bytes are: what is known of its blobs takes a multiple of them in memory."""
COALESCED_BLOB_BYTES: Final = 64 << 10
"""Sealed blobs below this are joined to pieces of about 1 MiB before they are written."""

_COALESCED_PIECE_BYTES: Final = 1 << 20
_COMPRESSED: Final = 2
_PLAIN_ENTRY: Final = struct.Struct("<BI32s")
_COMPRESSED_ENTRY: Final = struct.Struct("<BII32s")
_LENGTH: Final = struct.Struct("<I")
_MAX_HEADER_BYTES: Final = 16 << 20
_EAGER_TAIL_BYTES: Final = 8 << 10

_Entry = tuple[BlobId, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedBlob:
    """Where a blob lies in its pack. ``length`` is sealed; ``raw_length`` is plain, 0 if it is not compressed."""

    id: BlobId
    kind: BlobKind
    offset: int
    length: int
    raw_length: int

    @property
    def plain_bytes(self) -> int:
        return self.raw_length or self.length - SEAL_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class FullPack:
    """A pack ready to be written, but for its header. ``blob_bytes`` is the sum of the sealed blobs."""

    kind: BlobKind
    pieces: list[Buffer]
    entries: list[_Entry]
    blob_bytes: int

    def header(self) -> bytes:
        kind = int(self.kind)
        return b"".join(
            [
                _COMPRESSED_ENTRY.pack(kind | _COMPRESSED, length, raw, blob)
                if raw
                else _PLAIN_ENTRY.pack(kind, length, blob)
                for blob, length, raw in self.entries
            ]
        )

    def index_entry(self, pack_id: bytes) -> str:
        """This pack's object for an index file, as ``encoding/json`` writes it."""
        word = self.kind.word
        parts = []
        offset = 0
        for blob, length, raw in self.entries:
            parts.append(_blob_entry(blob, word, offset, length, raw))
            offset += length
        return _pack_entry(pack_id, parts)


def index_entry(pack_id: bytes, blobs: Iterable[PackedBlob]) -> str:
    """A pack's object for an index file, of blobs read from its header."""
    parts = [_blob_entry(blob.id, blob.kind.word, blob.offset, blob.length, blob.raw_length) for blob in blobs]
    return _pack_entry(pack_id, parts)


def _blob_entry(blob: BlobId, word: str, offset: int, length: int, raw_length: int) -> str:
    text = f'{{"id":"{blob.hex()}","type":"{word}","offset":{offset},"length":{length}'
    return f'{text},"uncompressed_length":{raw_length}}}' if raw_length else text + "}"


def _pack_entry(pack_id: bytes, parts: list[str]) -> str:
    return f'{{"id":"{pack_id.hex()}","blobs":[{",".join(parts)}]}}'


class Packer:
    """Collects sealed blobs of one kind; hands a pack on when it is full. Thread-safe.

    ``submit`` may block: that is the back-pressure. It is called outside the lock.
    """

    def __init__(self, kind: BlobKind, *, submit: Callable[[FullPack], None], pack_bytes: int = PACK_BYTES) -> None:
        self.kind = kind
        self._submit = submit
        self._pack_bytes = pack_bytes
        self._lock = threading.Lock()
        self._pieces: list[Buffer] = []
        self._entries: list[_Entry] = []
        self._bytes = 0
        self._small: list[bytes] = []
        self._small_bytes = 0

    def add(self, blob: BlobId, pieces: tuple[bytes, ...], length: int, raw_length: int) -> None:
        """One sealed blob in pieces of ``length`` bytes together; ``raw_length`` 0 = it is not compressed."""
        with self._lock:
            if length < COALESCED_BLOB_BYTES:
                self._small += pieces
                self._small_bytes += length
                if self._small_bytes >= _COALESCED_PIECE_BYTES:
                    self._coalesce()
            else:
                self._coalesce()
                self._pieces += pieces
            self._entries.append((blob, length, raw_length))
            self._bytes += length
            if self._bytes < self._pack_bytes and len(self._entries) < MAX_PACK_BLOBS:
                return
            full = self._take()
        self._submit(full)

    def flush(self) -> None:
        """Hand on what was collected, however little."""
        with self._lock:
            if not self._entries:
                return
            full = self._take()
        self._submit(full)

    def _coalesce(self) -> None:
        if self._small:
            self._pieces.append(b"".join(self._small))
            self._small = []
            self._small_bytes = 0

    def _take(self) -> FullPack:
        self._coalesce()
        full = FullPack(kind=self.kind, pieces=self._pieces, entries=self._entries, blob_bytes=self._bytes)
        self._pieces, self._entries, self._bytes = [], [], 0
        return full


def sealed_header(full: FullPack, sealer: Sealer) -> bytes:
    """The end of a pack: the sealed header and its length."""
    header = sealer.seal(full.header())
    return header + _LENGTH.pack(len(header))


def header_bytes(plain_blobs: int, compressed_blobs: int) -> int:
    """Size of the end of a pack with so many blobs: the sealed header and its length."""
    return plain_blobs * _PLAIN_ENTRY.size + compressed_blobs * _COMPRESSED_ENTRY.size + SEAL_BYTES + _LENGTH.size


def read_pack_header(repository: Repository, pack_id: bytes, pack_bytes: int) -> list[PackedBlob]:
    """The blobs of a pack of ``pack_bytes``, from its end. Raises RepositoryDamaged naming the pack."""
    name = pack_name(pack_id)
    tail_bytes = min(pack_bytes, _EAGER_TAIL_BYTES)
    tail = read_part(repository.media, name, offset=pack_bytes - tail_bytes, length=tail_bytes)
    end = _end_bytes(tail, pack_bytes, name)
    if end > tail_bytes:
        tail = read_part(repository.media, name, offset=pack_bytes - end, length=end)
    return _open_header(memoryview(tail)[-end:], repository.sealer(), name=name, blob_bytes=pack_bytes - end)


def read_whole_pack_header(pack: bytes, sealer: Sealer, *, name: str) -> list[PackedBlob]:
    """As :func:`read_pack_header`, of a pack that was read whole."""
    end = _end_bytes(pack, len(pack), name)
    return _open_header(memoryview(pack)[-end:], sealer, name=name, blob_bytes=len(pack) - end)


def _end_bytes(tail: bytes, pack_bytes: int, name: str) -> int:
    """Bytes of the sealed header and its length, which ``tail`` ends with."""
    if pack_bytes < _LENGTH.size + SEAL_BYTES:
        raise damaged(name, "it is too short to be a pack")
    (length,) = _LENGTH.unpack(tail[-_LENGTH.size :])
    if not SEAL_BYTES <= length <= min(_MAX_HEADER_BYTES, pack_bytes - _LENGTH.size):
        raise damaged(name, "the length of its header is impossible")
    return int(length) + _LENGTH.size


def _open_header(end: memoryview, sealer: Sealer, *, name: str, blob_bytes: int) -> list[PackedBlob]:
    try:
        header = sealer.open(end[: -_LENGTH.size])
    except BrokenSealError as error:
        raise damaged(name, f"its header: {error}") from error
    return parse_pack_header(header, name=name, blob_bytes=blob_bytes)


def parse_pack_header(header: bytes, *, name: str, blob_bytes: int) -> list[PackedBlob]:
    """The entries of an opened header, which must fill ``blob_bytes`` exactly. Raises RepositoryDamaged."""
    blobs: list[PackedBlob] = []
    position = offset = 0
    try:
        while position < len(header):
            kind = header[position]
            raw = 0
            if kind & _COMPRESSED:
                _, length, raw, blob = _COMPRESSED_ENTRY.unpack_from(header, position)
                position += _COMPRESSED_ENTRY.size
            else:
                _, length, blob = _PLAIN_ENTRY.unpack_from(header, position)
                position += _PLAIN_ENTRY.size
            if length < SEAL_BYTES or (kind & _COMPRESSED and not raw):
                raise ValueError("impossible length")
            kind = BlobKind(kind & ~_COMPRESSED)
            blobs.append(PackedBlob(id=BlobId(blob), kind=kind, offset=offset, length=length, raw_length=raw))
            offset += length
    except (struct.error, ValueError) as error:
        raise damaged(name, "its header cannot be parsed") from error
    if offset != blob_bytes:
        raise damaged(name, "its blobs do not fill it")
    return blobs
