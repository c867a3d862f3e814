"""A snapshot on its storage as what an archive is made of. See :class:`~.holding.Holding`.

Entries are those of :mod:`jobs.engine.operations.restoring.from_snapshot`; nothing is followed through a link.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Final

from ...errors import NotInCopy, SourceUnavailable
from ...plan import StoredPath
from ...repository.tree import Node, NodeKind
from ..restoring.from_snapshot import OpenedSnapshot
from ..restoring.selection import display, split_path
from ..restoring.source import UnreadError
from .contents import Member
from .holding import LeaveOut

PIECE_BYTES: Final = 4 << 20
"""A file up to this size is read whole before anything of it is written, so that it may still be left out."""


class InSnapshot:
    def __init__(self, snapshot: OpenedSnapshot) -> None:
        self._snapshot = snapshot

    def node(self, path: bytes) -> Node | None:
        parts = split_path(path)
        if not parts:
            return None
        self._snapshot.check(path)
        try:
            listing = self._snapshot.listing_of(_joined(parts[:-1]))
        except UnreadError as error:
            raise SourceUnavailable(f"“{display(parts[:-1])}” cannot be listed: {error.unread.error}.") from error
        node = next((node for node in listing.nodes if node.name == parts[-1]), None)
        if node is None:
            raise NotInCopy(f"“{display(parts)}” cannot be read in this snapshot.")
        return node

    def walk(self, path: bytes, leave_out: LeaveOut) -> Iterator[tuple[StoredPath, Node]]:
        node = self.node(path)
        stored = _joined(split_path(path))
        if node is not None and node.subtree is None:
            yield StoredPath(stored), node
            return
        stack = [(stored, self._entries(stored, leave_out))]
        while stack:
            above, entries = stack[-1]
            entry = next(entries, None)
            if entry is None:
                stack.pop()
                continue
            below = above + b"/" + entry.name
            yield StoredPath(below), entry
            if entry.subtree is not None:
                stack.append((below, self._entries(below, leave_out)))

    def members(self, nodes: Iterable[tuple[StoredPath, Node]], leave_out: LeaveOut) -> Iterator[Member]:
        for path, node in nodes:
            if node.kind is not NodeKind.FILE:
                yield Member(path, node)
            elif (member := self._file(path, node, leave_out)) is not None:
                yield member

    def _entries(self, path: bytes, leave_out: LeaveOut) -> Iterator[Node]:
        try:
            listing = self._snapshot.listing_of(path)
        except UnreadError as error:
            leave_out(StoredPath(path), error.unread.error)
            return iter(())
        for name, unread in listing.unread:
            leave_out(StoredPath(path + b"/" + name), unread.error)
        return iter(listing.nodes)

    def _file(self, path: StoredPath, node: Node, leave_out: LeaveOut) -> Member | None:
        try:
            fd = self._snapshot.open(path)
        except OSError as error:
            leave_out(path, self._snapshot.unread(error).error)
            return None
        if node.size > PIECE_BYTES:
            return Member(path, node, size=node.size, pieces=_pieces(fd, path, node.size))
        try:
            whole = _read(fd, node.size)
        except OSError as error:
            leave_out(path, self._snapshot.unread(error).error)
            return None
        finally:
            os.close(fd)
        if len(whole) != node.size:
            leave_out(path, "it is shorter than it was when it was found")
            return None
        return Member(path, node, size=len(whole), whole=whole)


def _pieces(fd: int, path: bytes, size: int) -> Iterator[bytes]:
    """Exactly ``size`` bytes. Raises SourceUnavailable: what was begun cannot be left out any more."""
    left = size
    try:
        while left:
            piece = os.read(fd, min(PIECE_BYTES, left))
            if not piece:
                raise SourceUnavailable(f"“{display(split_path(path))}” is shorter than it was when it was found.")
            left -= len(piece)
            yield piece
    except OSError as error:
        raise SourceUnavailable(f"“{display(split_path(path))}” cannot be read: {error.strerror}.") from error
    finally:
        os.close(fd)


def _read(fd: int, size: int) -> bytes:
    parts = []
    while size and (part := os.read(fd, size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _joined(parts: tuple[bytes, ...]) -> bytes:
    return b"".join(b"/" + part for part in parts)
