"""Looking into a backup copy: directories, single paths and walks, read from the repository's trees.

Sorting and paging are the caller's; restoring is in ``restore``, archives in ``archive``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import NotInCopy
from ..ids import BlobId, FileId
from ..plan import StoredPath
from ..repository.index_load import load_index
from ..repository.reader import BlobReader
from ..repository.repository import Repository
from ..repository.snapshot_file import SnapshotFile, read_snapshot_file
from ..repository.tree import Node, NodeKind
from .restoring.selection import display, split_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of a directory. ``name`` and ``link_target`` are raw bytes; ``display_name`` is for people.

    ``mode`` are the low 12 bits of ``st_mode``; ``size`` is 0 for anything but regular files; ``user`` and ``group``
    are empty where the source had no name for ``uid`` and ``gid``. ``attributes`` counts extended attributes.
    """

    name: bytes
    kind: NodeKind
    size: int
    mtime_ns: int
    mode: int
    uid: int
    gid: int
    user: str
    group: str
    links: int
    link_target: bytes
    attributes: int

    @property
    def display_name(self) -> str:
        """UTF-8 where it is that, ``\\xNN`` for other bytes."""
        return self.name.decode("utf-8", "backslashreplace")

    @property
    def is_directory(self) -> bool:
        return self.kind is NodeKind.DIRECTORY

    @classmethod
    def of_node(cls, node: Node) -> Entry:
        return cls(
            name=node.name,
            kind=node.kind,
            size=node.size if node.kind is NodeKind.FILE else 0,
            mtime_ns=node.mtime_ns,
            mode=node.permissions,
            uid=node.uid,
            gid=node.gid,
            user=node.user,
            group=node.group,
            links=node.links,
            link_target=node.link_target,
            attributes=len(node.attributes),
        )


class Browser:
    """One snapshot file of an opened repository. Thread-safe; reads no file contents."""

    def __init__(self, reader: BlobReader, snapshot: SnapshotFile) -> None:
        self.reader = reader
        self.snapshot = snapshot

    @classmethod
    def open(cls, repository: Repository, snapshot_file_id: FileId, *, cache_directory: Path | None = None) -> Browser:
        """Loads the index; ``cache_directory`` holds a local copy of it, which makes the next time quick.

        Raises NotInCopy, RepositoryDamaged, MediaUnavailable.
        """
        index = load_index(repository, cache_directory=cache_directory)
        return cls(BlobReader(repository, index), read_snapshot_file(repository, snapshot_file_id))

    def entries(self, path: bytes) -> list[Entry]:
        """The entries of a directory, sorted by raw name. Raises NotInCopy if there is none."""
        return [Entry.of_node(node) for node in self.nodes(path)]

    def find(self, path: bytes) -> Entry:
        """One path; the root is an empty directory name. Raises NotInCopy."""
        node = self.node(path)
        return Entry.of_node(node) if node is not None else _ROOT

    def nodes(self, path: bytes) -> list[Node]:
        """As :meth:`entries`, with everything that is stored."""
        return self.reader.read_tree(self.tree(path))

    def tree(self, path: bytes) -> BlobId:
        """The tree of a directory. Raises NotInCopy."""
        node = self.node(path)
        if node is None:
            return self.snapshot.tree
        if node.subtree is None:
            raise NotInCopy(f"“{display(split_path(path))}” is not a directory in this backup copy.")
        return node.subtree

    def node(self, path: bytes) -> Node | None:
        """One path with everything that is stored; None for the root. Raises NotInCopy."""
        parts = split_path(path)
        tree: BlobId | None = self.snapshot.tree
        node: Node | None = None
        for number, name in enumerate(parts, 1):
            found = self.reader.read_tree(tree) if tree is not None else []
            node = next((entry for entry in found if entry.name == name), None)
            if node is None:
                raise NotInCopy(
                    f"“{display(parts[:number])}” is not in this backup copy.",
                    hint="Browse the copy to find the path, or choose another one.",
                )
            tree = node.subtree
        return node

    def walk(self, path: bytes) -> Iterator[tuple[StoredPath, Entry]]:
        """(stored path, entry) of everything below a path, depth first, each directory before what it holds.

        A path that is no directory gives itself. Raises NotInCopy, RepositoryDamaged.
        """
        for stored, node in self.walk_nodes(path):
            yield stored, Entry.of_node(node)

    def walk_nodes(self, path: bytes) -> Iterator[tuple[StoredPath, Node]]:
        """As :meth:`walk`, with everything that is stored. Memory: the entries of the directories on one branch."""
        node = self.node(path)
        stored = b"".join(b"/" + part for part in split_path(path))
        if node is not None and node.subtree is None:
            yield StoredPath(stored), node
            return
        tree = node.subtree if node is not None else None
        stack = [(stored, iter(self.reader.read_tree(tree or self.snapshot.tree)))]
        while stack:
            above, entries = stack[-1]
            entry = next(entries, None)
            if entry is None:
                stack.pop()
                continue
            below = above + b"/" + entry.name
            yield StoredPath(below), entry
            if entry.subtree is not None:
                stack.append((below, iter(self.reader.read_tree(entry.subtree))))


_ROOT = Entry(
    name=b"",
    kind=NodeKind.DIRECTORY,
    size=0,
    mtime_ns=0,
    mode=0o755,
    uid=0,
    gid=0,
    user="",
    group="",
    links=1,
    link_target=b"",
    attributes=0,
)


def list_directory(
    repository: Repository, snapshot_file_id: FileId, path: bytes, *, cache_directory: Path | None = None
) -> list[Entry]:
    """The entries of one directory of a backup copy, sorted by raw name; ``b"/"`` is its root. See :class:`Browser`."""
    return Browser.open(repository, snapshot_file_id, cache_directory=cache_directory).entries(path)
