"""A tar archive in the pax format (POSIX.1-2001), written front to back.

Times to the nanosecond, owners by number and name, extended attributes and ACLs as ``SCHILY.xattr.*``, devices, fifos,
symbolic and hard links. Names of any bytes (``hdrcharset=BINARY``, as GNU tar and Python write and read it).
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from typing import Final

from ...repository.tree import Node, NodeKind
from ..restoring.hard_links import link_key
from .contents import Member

_BLOCK: Final = tarfile.BLOCKSIZE
_RECORD: Final = tarfile.RECORDSIZE
_TYPES: Final = {
    NodeKind.FILE: tarfile.REGTYPE,
    NodeKind.DIRECTORY: tarfile.DIRTYPE,
    NodeKind.SYMLINK: tarfile.SYMTYPE,
    NodeKind.FIFO: tarfile.FIFOTYPE,
    NodeKind.BLOCK_DEVICE: tarfile.BLKTYPE,
    NodeKind.CHARACTER_DEVICE: tarfile.CHRTYPE,
}


def supports(node: Node) -> bool:
    """tar knows no sockets."""
    return node.kind in _TYPES


class TarStream:
    """Each method gives the next bytes of the archive; call :meth:`finish` last.

    Memory: the name of one link for each file with several.
    """

    def __init__(self) -> None:
        self._offset = 0
        self._links: dict[bytes, bytes] = {}

    def member(self, name: bytes, member: Member) -> Iterator[bytes]:
        """One entry under ``name``, relative."""
        first = self._first_link(name, member.node)
        header = _header(name, member, first)
        self._offset += len(header)
        yield header
        if first is not None or member.node.kind is not NodeKind.FILE:
            return
        yield from member.pieces if member.pieces is not None else (member.whole or b"",)
        padding = -member.size % _BLOCK
        self._offset += member.size + padding
        if padding:
            yield bytes(padding)

    def finish(self) -> Iterator[bytes]:
        """The end of the archive, padded to a record."""
        end = self._offset + 2 * _BLOCK
        yield bytes(2 * _BLOCK + -end % _RECORD)

    def _first_link(self, name: bytes, node: Node) -> bytes | None:
        """The name an earlier link of the same file has in this archive."""
        if node.kind is not NodeKind.FILE or node.links <= 1:
            return None
        first = self._links.setdefault(link_key(node), name)
        return first if first is not name else None


def _header(name: bytes, member: Member, first_link: bytes | None) -> bytes:
    node = member.node
    info = tarfile.TarInfo(_text(name))
    info.type = _TYPES[node.kind] if first_link is None else tarfile.LNKTYPE
    info.mode = node.permissions
    info.uid, info.gid = node.uid, node.gid
    info.uname, info.gname = node.user, node.group
    info.mtime = max(0, node.mtime_ns // 1_000_000_000)
    if node.kind is NodeKind.FILE and first_link is None:
        info.size = member.size
    if first_link is not None:
        info.linkname = _text(first_link)
    elif node.kind is NodeKind.SYMLINK:
        info.linkname = _text(node.link_target)
    if node.kind in {NodeKind.BLOCK_DEVICE, NodeKind.CHARACTER_DEVICE}:
        info.devmajor, info.devminor = os.major(node.device), os.minor(node.device)
    info.pax_headers = _pax_headers(node)
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _pax_headers(node: Node) -> dict[str, str]:
    headers = {"atime": _time(node.atime_ns), "mtime": _time(node.mtime_ns)}
    for name, value in node.attributes:
        headers[f"SCHILY.xattr.{_text(name)}"] = _text(value)
    return headers


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _time(ns: int) -> str:
    """Seconds with their fraction; negative before 1970."""
    second, fraction = divmod(abs(ns), 1_000_000_000)
    text = f"{second}.{fraction:09d}".rstrip("0").rstrip(".")
    return f"-{text}" if ns < 0 else text
