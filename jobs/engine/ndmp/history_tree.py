"""File history into paths: a tree of inodes walked from its root, or whole paths as they came.

This one keeps everything in memory, about 300 bytes for an entry: for tests, for small backups and as the description
of what a database does for large ones with the same records.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ..errors import AnswerUnreadable
from .history import DirectoryRecord, FileRecord, NodeRecord, Status
from .history_values import ATIME_UNSUPPORTED, CTIME_UNSUPPORTED, GROUP_UNSUPPORTED, EntryKind
from .values import UNKNOWN, UNKNOWN_WORD

DEEPEST: Final = 4_096
"""Folders inside each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A path of the backup, relative to its root, without leading or trailing slash; empty = the root itself.

    ``is_in_copy`` is False for what an incremental names without copying it: it existed at that time, and its content
    is in an older copy. None = unknown. Times are seconds since the epoch, UTC; ``attributes`` are the mode bits.
    """

    path: bytes
    kind: EntryKind | None
    is_in_copy: bool
    node: int | None
    fh_info: int | None
    size_bytes: int | None = None
    mtime: int | None = None
    atime: int | None = None
    ctime: int | None = None
    owner: int | None = None
    group: int | None = None
    attributes: int | None = None


class HistoryTree:
    """A :class:`~.history.HistorySink` that keeps everything. Read it by ``entries`` when the backup is over."""

    def __init__(self) -> None:
        self._paths: list[FileRecord] = []
        self._children: dict[int, list[tuple[bytes, int]]] = {}
        self._nodes: dict[int, NodeRecord] = {}
        self._root: int | None = None

    def files(self, records: list[FileRecord]) -> None:
        self._paths += records

    def directories(self, records: list[DirectoryRecord]) -> None:
        for name, node, parent in records:
            if name == b"." and node == parent and self._root is None:
                self._root = node
            if name not in {b".", b".."}:
                self._children.setdefault(parent, []).append((name, node))

    def nodes(self, records: list[NodeRecord]) -> None:
        for record in records:
            self._nodes[record.node] = record

    def entries(self) -> Iterator[Entry]:
        """Every path, a folder before what is in it; each name once, the newest word counts.

        Raises AnswerUnreadable for a folder that is met twice (a loop, or two parents), for names that lead out of
        the backup, and for entries that nothing leads to.
        """
        for record in {_relative(record.path): record for record in self._paths}.values():
            yield _entry(_relative(record.path), record.node, record.fh_info, record.status, is_in_copy=True)
        if self._children or self._nodes:
            yield from self._walk(self._find_root())

    def _find_root(self) -> int:
        """The directory whose first entry names itself; without such an entry, the one that no other contains."""
        if self._root is not None:
            return self._root
        contained = {node for children in self._children.values() for _, node in children}
        roots = (self._children.keys() or self._nodes.keys()) - contained
        if len(roots) != 1:
            raise AnswerUnreadable(f"The file server's history has {len(roots)} roots instead of one.")
        return roots.pop()

    def _walk(self, root: int) -> Iterator[Entry]:
        yield self._at(b"", root)
        seen = {root}
        open_folders: list[tuple[bytes, int, int]] = [(b"", root, 0)]
        while open_folders:
            prefix, folder, depth = open_folders.pop()
            for name, node in dict(self._children.get(folder, ())).items():
                if not name or b"/" in name or b"\0" in name:
                    raise AnswerUnreadable(f"The file server's history has the impossible name {_shown(name)}.")
                path = prefix + name
                yield self._at(path, node)
                if node in self._children:
                    if node in seen or depth >= DEEPEST:
                        raise AnswerUnreadable(
                            f"The file server's history loops: the folder {_shown(path)} was met before."
                        )
                    seen.add(node)
                    open_folders.append((path + b"/", node, depth + 1))
        lost = self._children.keys() - seen
        if lost:
            raise AnswerUnreadable(f"The file server's history has {len(lost)} folders that nothing leads to.")

    def _at(self, path: bytes, node: int) -> Entry:
        record = self._nodes.get(node)
        if record is not None:
            return _entry(path, node, record.fh_info, record.status, is_in_copy=True)
        kind = EntryKind.DIRECTORY if node in self._children else None
        return Entry(path=path, kind=kind, is_in_copy=False, node=_known(node), fh_info=None)


def _relative(path: bytes) -> bytes:
    """``./a//b/`` is ``a/b``; a path may not lead out of the backup."""
    parts = [part for part in path.split(b"/") if part not in {b"", b"."}]
    if b".." in parts or b"\0" in path:
        raise AnswerUnreadable(f"The file server's history has the impossible path {_shown(path)}.")
    return b"/".join(parts)


def _entry(path: bytes, node: int, fh_info: int, status: Status | None, *, is_in_copy: bool) -> Entry:
    if status is None:
        return Entry(path=path, kind=None, is_in_copy=is_in_copy, node=_known(node), fh_info=_known(fh_info))
    lacks = status.unsupported
    return Entry(
        path=path,
        kind=EntryKind(status.kind) if status.kind <= EntryKind.OTHER else EntryKind.OTHER,
        is_in_copy=is_in_copy,
        node=_known(node),
        fh_info=_known(fh_info),
        size_bytes=_known(status.size_bytes),
        mtime=_word(status.mtime),
        atime=None if lacks & ATIME_UNSUPPORTED else _word(status.atime),
        ctime=None if lacks & CTIME_UNSUPPORTED else _word(status.ctime),
        owner=_word(status.owner),
        group=None if lacks & GROUP_UNSUPPORTED else _word(status.group),
        attributes=_word(status.attributes),
    )


def _known(quad: int) -> int | None:
    return None if quad == UNKNOWN else quad


def _word(word: int) -> int | None:
    return None if word == UNKNOWN_WORD else word


def _shown(name: bytes) -> str:
    return f"“{name[:200].decode('utf-8', 'backslashreplace')}”"
