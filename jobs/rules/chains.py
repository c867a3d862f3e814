"""RULES L6: a chain of dumps merged in order, so that one restore gives the files as they were at the last. Pure.

Which dumps make the chain is :func:`jobs.rules.levels.restore_chain`. Files and directories are known by their nodes
(inode numbers), as dumps know them: a directory that was renamed keeps what it holds, though nothing of that is dumped
again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Node = int


class ChainBroken(ValueError):
    """A dump of the chain names something that none of them holds: one is missing, or they are not of one chain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """What one dump holds. ``root`` is the directory that was dumped.

    ``directories``: of each directory in it *all* names of that moment, also those of files that are not in it because
    they did not change. ``files``: everything else whose data and metadata are in it.
    """

    id: int
    root: Node
    directories: Mapping[Node, Mapping[bytes, Node]]
    files: frozenset[Node]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The tree of the moment of the last dump. ``held_by``: of each node the id of the dump it comes from."""

    root: Node
    directories: Mapping[Node, Mapping[bytes, Node]]
    held_by: Mapping[Node, int]

    def node_of(self, path: bytes) -> Node | None:
        """The node of a path, ``b"/"`` being the root; None = it was not there then."""
        node = self.root
        for name in filter(None, path.split(b"/")):
            names = self.directories.get(node, {})
            if name not in names:
                return None
            node = names[name]
        return node

    def source_of(self, path: bytes) -> int | None:
        """The id of the dump that a path comes from; None = it was not there then. Raises ChainBroken."""
        node = self.node_of(path)
        return None if node is None else self._holder(node, path)

    def sources(self) -> dict[bytes, int]:
        """Every path with the dump it comes from, each directory before what it holds. Raises ChainBroken."""
        found: dict[bytes, int] = {}
        waiting = [(b"", self.root)]
        while waiting:
            path, node = waiting.pop()
            found[path or b"/"] = self._holder(node, path)
            below = [(path + b"/" + name, child) for name, child in self.directories.get(node, {}).items()]
            waiting += sorted(below, reverse=True)
        return found

    def _holder(self, node: Node, path: bytes) -> int:
        if node not in self.held_by:
            shown = path.decode("utf-8", "backslashreplace")
            raise ChainBroken(f"{shown} is in none of the dumps of its chain.")
        return self.held_by[node]


def merge(chain: Sequence[Dump]) -> Merged:
    """The dumps of a chain put over each other, the full first. Raises ChainBroken.

    The newer always wins, file by file and directory by directory. A node number that was given to something else
    meanwhile is in the newer dump, for it changed.
    """
    if not chain:
        raise ChainBroken("There is no dump to restore from.")
    directories: dict[Node, Mapping[bytes, Node]] = {}
    held_by: dict[Node, int] = {}
    for dump in chain:
        for node in dump.files:
            directories.pop(node, None)
            held_by[node] = dump.id
        for node, names in dump.directories.items():
            directories[node] = names
            held_by[node] = dump.id
    return Merged(root=chain[-1].root, directories=directories, held_by=held_by)
