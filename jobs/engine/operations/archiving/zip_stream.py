"""A ZIP archive written front to back (APPNOTE.TXT 6.3.10): ZIP64 where needed, Unix modes, times and owners.

Names that are not UTF-8 are kept as raw bytes, without the UTF-8 flag. The central directory is kept compressed in
memory until the end, some 20 bytes an entry.
"""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from ...repository.tree import Node, NodeKind
from ..restoring.decision import FORMATS
from .contents import Member

_LOCAL: Final = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL: Final = struct.Struct("<4sHHHHHHIIIHHHHHII")
_DESCRIPTOR64: Final = struct.Struct("<4sIQQ")
_END64: Final = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR64: Final = struct.Struct("<4sIQI")
_END: Final = struct.Struct("<4sHHHHIIH")
_MADE_BY_UNIX: Final = 3 << 8 | 63
_UTF8: Final = 1 << 11
_STREAMED: Final = 1 << 3
_STORED, _DEFLATED = 0, 8
_MAX32: Final = 0xFFFFFFFF
_MAX16: Final = 0xFFFF
_LEVEL: Final = 1
"""Archives are downloads: quick matters more than small."""
_MS_DIRECTORY: Final = 0x10
_SUPPORTED: Final = frozenset({NodeKind.FILE, NodeKind.DIRECTORY, NodeKind.SYMLINK})


def supports(node: Node) -> bool:
    """Whether ZIP programs can make such an entry."""
    return node.kind in _SUPPORTED


class _Written(NamedTuple):
    """What the central directory tells of an entry: sizes in bytes, ``start`` from the archive's begin."""

    flags: int
    method: int
    crc: int
    packed: int
    plain: int
    start: int


class ZipStream:
    """Each method gives the next bytes of the archive; call :meth:`finish` last."""

    def __init__(self) -> None:
        self._offset = 0
        self._count = 0
        self._central = zlib.compressobj(6)
        self._kept: list[bytes] = []

    def member(self, name: bytes, member: Member) -> Iterator[bytes]:
        """One entry under ``name``, relative."""
        node = member.node
        if node.kind is NodeKind.DIRECTORY:
            yield from self._counted(self._whole(name + b"/", node, b"", is_packed=False))
        elif node.kind is NodeKind.SYMLINK:
            yield from self._counted(self._whole(name, node, node.link_target, is_packed=False))
        elif member.pieces is None:
            yield from self._counted(self._whole(name, node, member.whole or b"", is_packed=member.is_packed))
        else:
            yield from self._counted(self._streamed(name, node, member.pieces, is_packed=member.is_packed))

    def finish(self) -> Iterator[bytes]:
        """The central directory and the end records."""
        start, size = self._offset, 0
        unpack = zlib.decompressobj()
        self._kept.append(self._central.flush())
        for piece in self._kept:
            part = unpack.decompress(piece)
            size += len(part)
            if part:
                yield part
        if start + size >= _MAX32 or self._count >= _MAX16:
            count = self._count
            yield _END64.pack(b"PK\6\6", 44, _MADE_BY_UNIX, 45, 0, 0, count, count, size, start)
            yield _LOCATOR64.pack(b"PK\6\7", 0, start + size, 1)
        count = min(self._count, _MAX16)
        yield _END.pack(b"PK\5\6", 0, 0, count, count, min(size, _MAX32), min(start, _MAX32), 0)

    def _counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._offset += len(piece)
            yield piece

    def _whole(self, name: bytes, node: Node, content: bytes, *, is_packed: bool) -> Iterator[bytes]:
        data, method = content, _STORED
        if is_packed and content:
            packer = _deflate()
            deflated = packer.compress(content) + packer.flush()
            if len(deflated) < len(content):
                data, method = deflated, _DEFLATED
        crc = zlib.crc32(content)
        flags, start = _name_flag(name), self._offset
        extra = _unix_extra(node)
        date, clock = _dos_time(node.mtime_ns)
        yield (
            _LOCAL.pack(b"PK\3\4", 20, flags, method, clock, date, crc, len(data), len(content), len(name), len(extra))
            + name
            + extra
        )
        if data:
            yield data
        self._remember(name, node, _Written(flags, method, crc, len(data), len(content), start))

    def _streamed(self, name: bytes, node: Node, pieces: Iterator[bytes], *, is_packed: bool) -> Iterator[bytes]:
        """Sizes and checksum follow the data. What does not compress is passed through as stored deflate blocks."""
        flags, start = _name_flag(name) | _STREAMED, self._offset
        extra = struct.pack("<HHQQ", 1, 16, 0, 0) + _unix_extra(node)
        date, clock = _dos_time(node.mtime_ns)
        yield (
            _LOCAL.pack(b"PK\3\4", 45, flags, _DEFLATED, clock, date, 0, _MAX32, _MAX32, len(name), len(extra))
            + name
            + extra
        )
        packer = _deflate() if is_packed else zlib.compressobj(0, zlib.DEFLATED, -15)
        crc = packed = plain = 0
        for piece in pieces:
            crc = zlib.crc32(piece, crc)
            plain += len(piece)
            data = packer.compress(piece)
            packed += len(data)
            if data:
                yield data
        data = packer.flush()
        packed += len(data)
        yield data + _DESCRIPTOR64.pack(b"PK\7\10", crc, packed, plain)
        self._remember(name, node, _Written(flags, _DEFLATED, crc, packed, plain, start))

    def _remember(self, name: bytes, node: Node, written: _Written) -> None:
        """Keep the entry's record of the central directory."""
        large = [number for number in (written.plain, written.packed, written.start) if number >= _MAX32]
        extra = struct.pack(f"<HH{len(large)}Q", 1, 8 * len(large), *large) if large else b""
        extra += _unix_extra(node)
        date, clock = _dos_time(node.mtime_ns)
        mode = FORMATS[node.kind] | node.permissions
        record = _CENTRAL.pack(
            b"PK\1\2",
            _MADE_BY_UNIX,
            45 if large or written.flags & _STREAMED else 20,
            written.flags,
            written.method,
            clock,
            date,
            written.crc,
            min(written.packed, _MAX32),
            min(written.plain, _MAX32),
            len(name),
            len(extra),
            0,
            0,
            0,
            mode << 16 | (_MS_DIRECTORY if node.kind is NodeKind.DIRECTORY else 0),
            min(written.start, _MAX32),
        )
        kept = self._central.compress(record + name + extra)
        if kept:
            self._kept.append(kept)
        self._count += 1


def _deflate() -> zlib._Compress:
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, -15)


def _name_flag(name: bytes) -> int:
    try:
        name.decode("ascii")
    except UnicodeDecodeError:
        try:
            name.decode()
        except UnicodeDecodeError:
            return 0
        return _UTF8
    return 0


def _unix_extra(node: Node) -> bytes:
    """“UT” (0x5455) with the modification time, and “ux” (0x7875) with the owner's numbers."""
    extra = b""
    second = node.mtime_ns // 1_000_000_000
    if -(1 << 31) <= second < 1 << 31:
        extra += struct.pack("<HHBi", 0x5455, 5, 1, second)
    if max(node.uid, node.gid) <= _MAX32:
        extra += struct.pack("<HHBBIBI", 0x7875, 11, 1, 4, node.uid, 4, node.gid)
    return extra


def _dos_time(mtime_ns: int) -> tuple[int, int]:
    """(date, time) in UTC, to two seconds, 1980 to 2107."""
    second = min(max(mtime_ns // 1_000_000_000, 315_532_800), 4_354_819_198)
    t = time.gmtime(second)
    return (t[0] - 1980) << 9 | t[1] << 5 | t[2], t[3] << 11 | t[4] << 5 | t[5] // 2
