"""File history as it comes, by the million: message bodies into plain records, by a walk written out by hand.

Layout (draft 4.6.2), every word big-endian, every text padded to four bytes::

    FH_ADD_FILE  count { names, statuses, node (8), fh_info (8) }
    FH_ADD_DIR   count { names, node (8), parent (8) }
    FH_ADD_NODE  count { statuses, node (8), fh_info (8) }
    names        count { kind 0 UNIX: text | 1 NT: text, DOS text | else: text }
    statuses     count { unsupported, name kind, kind, mtime, atime, ctime, owner, group, attributes, size (8), links }

Each record ends in fixed fields, so a length that runs over the end is found there, and nothing is allocated for it.
Numbers that are all ones mean "unknown". The UNIX name is taken where there is one, then NT's. Names are raw bytes.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple, Protocol

from ..errors import AnswerUnreadable
from .history_values import NameKind
from .messages import FH_ADD_DIR, FH_ADD_FILE, FH_ADD_NODE

_WORD: Final = struct.Struct(">I").unpack_from
_TWO_WORDS: Final = struct.Struct(">II").unpack_from
_THREE_WORDS: Final = struct.Struct(">III").unpack_from
_TWO_QUADS: Final = struct.Struct(">QQ").unpack_from
_STATUS: Final = struct.Struct(">9IQI").unpack_from
_STATUS_BYTES: Final = 48
_MOST_NAMES: Final = 16
"""Of one entry: one for each naming rule."""


class Status(NamedTuple):
    """As on the wire. ``unsupported``: 1 atime, 2 ctime, 4 group. Times are seconds since the epoch, UTC."""

    unsupported: int
    name_kind: int
    kind: int
    mtime: int
    atime: int
    ctime: int
    owner: int
    group: int
    attributes: int
    size_bytes: int
    links: int


class FileRecord(NamedTuple):
    """A whole path, relative to the backup's root."""

    path: bytes
    status: Status | None
    node: int
    fh_info: int


class DirectoryRecord(NamedTuple):
    """``name`` in the directory ``parent`` is the inode ``node``."""

    name: bytes
    node: int
    parent: int


class NodeRecord(NamedTuple):
    """What the inode ``node`` is; ``fh_info`` is its place in the image."""

    status: Status | None
    node: int
    fh_info: int


class HistorySink(Protocol):
    """Takes batches of records on the session's thread; must be quick. What it raises ends the backup."""

    def files(self, records: list[FileRecord]) -> None: ...

    def directories(self, records: list[DirectoryRecord]) -> None: ...

    def nodes(self, records: list[NodeRecord]) -> None: ...


class HistoryDecoder:
    """Between a backup and a sink: :func:`.backup.back_up` takes it as ``history``. Counts what went through."""

    def __init__(self, sink: HistorySink) -> None:
        self.records = 0
        self._sink = sink

    def take(self, code: int, body: bytes) -> None:
        """One message; raises AnswerUnreadable, and what the sink raises."""
        if code == FH_ADD_FILE.code:
            files = read_files(body)
            self.records += len(files)
            self._sink.files(files)
        elif code == FH_ADD_DIR.code:
            directories = read_directories(body)
            self.records += len(directories)
            self._sink.directories(directories)
        elif code == FH_ADD_NODE.code:
            nodes = read_nodes(body)
            self.records += len(nodes)
            self._sink.nodes(nodes)


def read_files(body: bytes) -> list[FileRecord]:
    """The records of an FH_ADD_FILE; raises AnswerUnreadable."""
    records = []
    try:
        at = 4
        for _ in range(_count(body, 24)):
            name, at = _name(body, at)
            status, at = _status(body, at)
            node, fh_info = _TWO_QUADS(body, at)
            at += 16
            records.append(FileRecord(name, status, node, fh_info))
    except struct.error as error:
        raise _cut_off("file") from error
    return records


def read_directories(body: bytes) -> list[DirectoryRecord]:
    """The records of an FH_ADD_DIR; raises AnswerUnreadable."""
    records = []
    try:
        at = 4
        for _ in range(_count(body, 20)):
            name, at = _name(body, at)
            node, parent = _TWO_QUADS(body, at)
            at += 16
            records.append(DirectoryRecord(name, node, parent))
    except struct.error as error:
        raise _cut_off("directory") from error
    return records


def read_nodes(body: bytes) -> list[NodeRecord]:
    """The records of an FH_ADD_NODE; raises AnswerUnreadable."""
    records = []
    try:
        at = 4
        for _ in range(_count(body, 20)):
            status, at = _status(body, at)
            node, fh_info = _TWO_QUADS(body, at)
            at += 16
            records.append(NodeRecord(status, node, fh_info))
    except struct.error as error:
        raise _cut_off("node") from error
    return records


def _count(body: bytes, smallest: int) -> int:
    (count,) = _WORD(body, 0)
    if count * smallest > len(body):
        raise AnswerUnreadable(f"The file server announced {count} history entries in {len(body)} bytes.")
    return int(count)


def _name(body: bytes, at: int) -> tuple[bytes, int]:
    """The best of an entry's names, and where they end."""
    count, kind, length = _THREE_WORDS(body, at)
    if count == 1 and kind == 0:  # nearly every one
        start = at + 12
        return body[start : start + length], start + length + (-length & 3)
    if not 0 < count <= _MOST_NAMES:
        raise AnswerUnreadable(f"The file server sent a history entry with {count} names.")
    best: tuple[int, bytes] | None = None
    at += 4
    for _ in range(count):
        kind, length = _TWO_WORDS(body, at)
        start = at + 8
        found = kind, body[start : start + length]
        at = start + length + (-length & 3)
        if kind == NameKind.NT:
            (length,) = _WORD(body, at)
            at += 4 + length + (-length & 3)
        best = found if best is None or kind < best[0] else best
    return (best[1] if best is not None else b""), at


def _status(body: bytes, at: int) -> tuple[Status | None, int]:
    """UNIX's of an entry's statuses, else the first, and where they end."""
    (count,) = _WORD(body, at)
    at += 4
    if count == 1:
        return Status._make(_STATUS(body, at)), at + _STATUS_BYTES
    if count > _MOST_NAMES:
        raise AnswerUnreadable(f"The file server sent a history entry with {count} statuses.")
    every = [Status._make(_STATUS(body, at + number * _STATUS_BYTES)) for number in range(count)]
    at += count * _STATUS_BYTES
    return min(every, key=lambda status: status.name_kind, default=None), at


def _cut_off(what: str) -> AnswerUnreadable:
    return AnswerUnreadable(f"The file server sent {what} history that is cut off.")
