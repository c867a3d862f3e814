"""The file list of a dump as it lies beside its image in a repository, ``L.history``: UTF-8, one JSON value a line.

::

    {"v":1,"form":"nodes"|"paths","root":node|null}
    ["d", parent, node, name]                                             form nodes: a name in a folder, also . and ..
    ["n", node, kind, mode, uid, gid, size, mtime, fh_info]               form nodes: its data is in this dump
    ["f", path, node, kind, mode, uid, gid, size, mtime, fh_info]         form paths: the same, of a whole path

Records stand in the order in which they came. ``null`` is unknown; numbers have up to 64 bits. ``kind`` is one of
``f d l b c p o`` as in a catalog, or ``s`` for a socket. Bytes of names that are no UTF-8 are written as lone
surrogates (``\\udcff``), as Python's ``os.fsdecode`` has them. ``mtime`` are seconds since the epoch, UTC.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

from ..errors import HistoryUnusable
from .history import DirectoryRecord, FileRecord, NodeRecord, Status
from .history_values import GROUP_UNSUPPORTED, EntryKind, NameKind
from .values import UNKNOWN, UNKNOWN_WORD

VERSION: Final = 1
LONGEST_LINE: Final = 1 << 20
"""Bytes; a path has at most some thousand."""
_BATCH_BYTES: Final = 1 << 20
_PERMISSIONS: Final = 0o7777
_NULL: Final = "null"
_KINDS: Final = {
    EntryKind.DIRECTORY: "d",
    EntryKind.FIFO: "p",
    EntryKind.CHARACTER_DEVICE: "c",
    EntryKind.BLOCK_DEVICE: "b",
    EntryKind.FILE: "f",
    EntryKind.SYMLINK: "l",
    EntryKind.SOCKET: "s",
}

Record = list[Any]


class Form(StrEnum):
    """How a file server tells what is in a dump."""

    NODES = "nodes"
    """Names in folders, and inodes: deletions and renamed folders show."""
    PATHS = "paths"
    """Whole paths of what is in the dump, and of nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """``root`` None = the file server did not say which folder it is."""

    form: Form
    root: int | None = None


def header_line(header: Header) -> bytes:
    return orjson.dumps({"v": VERSION, "form": header.form, "root": header.root}) + b"\n"


def directory_line(record: DirectoryRecord) -> bytes:
    name, node, parent = record
    return b'["d",%d,%d,%b]\n' % (parent, node, _text(name))


def node_line(record: NodeRecord) -> bytes:
    status, node, fh_info = record
    return f'["n",{node},{_described(status)},{_null(fh_info)}]\n'.encode()


def file_line(record: FileRecord) -> bytes:
    path, status, node, fh_info = record
    return b'["f",%b,%b]\n' % (_text(path), f"{_null(node)},{_described(status)},{_null(fh_info)}".encode())


def read_history(pieces: Iterable[bytes]) -> tuple[Header, Iterator[list[Record]]]:
    """The header, then the records in batches, from the bytes of the file, cut anywhere. Raises HistoryUnusable."""
    batches = _batches(iter(pieces))
    first = next(batches, b"")
    line, _, rest = first.partition(b"\n")
    try:
        given = orjson.loads(line)
        if given["v"] != VERSION:
            raise HistoryUnusable(
                f"The file list is of version {given['v']}, which is newer than this program.",
                hint="Update this program on the access node.",
            )
        header = Header(form=Form(given["form"]), root=given["root"])
    except (ValueError, TypeError, KeyError) as error:
        raise _unreadable() from error
    return header, _records(rest, batches)


def _records(first: bytes, batches: Iterator[bytes]) -> Iterator[list[Record]]:
    if first:
        yield _parsed(first)
    for batch in batches:
        yield _parsed(batch)


def _batches(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Whole lines, about a mebibyte of them at once."""
    waiting: list[bytes] = []
    held = 0
    for piece in pieces:
        waiting.append(piece)
        held += len(piece)
        if held < _BATCH_BYTES:
            continue
        whole, end, rest = b"".join(waiting).rpartition(b"\n")
        if len(rest) > LONGEST_LINE:
            raise _unreadable()
        if end:
            yield whole + end
        waiting, held = [rest], len(rest)
    if last := b"".join(waiting):
        if not last.endswith(b"\n"):
            raise HistoryUnusable("The file list of the dump ends in the middle of a line.")
        yield last


def _parsed(lines: bytes) -> list[Record]:
    text = b"[" + lines[:-1].replace(b"\n", b",") + b"]"
    try:
        records: list[Record] = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            records = json.loads(text)  # knows lone surrogates
        except ValueError as error:
            raise _unreadable() from error
    return records


def _unreadable() -> HistoryUnusable:
    return HistoryUnusable("The file list of the dump is not written as it should be.")


def _text(name: bytes) -> bytes:
    try:
        return orjson.dumps(name.decode())
    except UnicodeDecodeError:
        return json.dumps(name.decode("utf-8", "surrogateescape")).encode()


def _described(status: Status | None) -> str:
    """``kind, mode, uid, gid, size, mtime``."""
    if status is None:
        return '"o",null,null,null,null,null'
    unsupported, name_kind, kind, mtime, _, _, owner, group, attributes, size, _ = status
    mode = _NULL if attributes == UNKNOWN_WORD or name_kind == NameKind.NT else attributes & _PERMISSIONS
    gid = _NULL if group == UNKNOWN_WORD or unsupported & GROUP_UNSUPPORTED else group
    uid = _NULL if owner == UNKNOWN_WORD else owner
    modified = _NULL if mtime == UNKNOWN_WORD else mtime
    letter = _KINDS.get(kind, "o")  # type: ignore[call-overload]
    return f'"{letter}",{mode},{uid},{gid},{_null(size)},{modified}'


def _null(number: int) -> int | str:
    return _NULL if number == UNKNOWN else number
