"""Which paths a damage touches, in every snapshot file: files with a lost blob, and folders whose tree is lost.

Each tree is looked at once, in the order of the packs, to learn below which of them anything is lost; then only those
are walked, each once for every path it lies at, however many snapshot files share it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from ..errors import RepositoryDamaged
from ..events import Control
from ..ids import BlobId, FileId
from ..repository.index import Index, id_words
from ..repository.layout import BlobKind
from ..repository.reader import BlobReader
from ..repository.tree import tree_references
from .marking import Marks

_TREES_AT_ONCE: Final = 256
_UNKNOWN: Final = -1

Numbers = npt.NDArray[np.int64]
Holders = tuple[int, ...]
"""Positions in the list of roots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A snapshot file and its tree."""

    file: FileId
    tree: BlobId


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Blobs that cannot be had, each with the damaged pack it was in; empty where no index names one."""

    data: Mapping[BlobId, str] = field(default_factory=dict)
    trees: Mapping[BlobId, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.data) + len(self.trees)


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """A path that cannot be restored whole from ``files``, as ids of snapshot files.

    ``is_folder``: its tree is lost, and so is everything below it. ``packs`` are the damaged packs that touch it; none
    where no index names what is missing.
    """

    path: bytes
    is_folder: bool
    files: tuple[FileId, ...]
    packs: tuple[str, ...]


def touched_paths(
    reader: BlobReader, roots: Sequence[Root], marks: Marks, lost: Lost, *, control: Control
) -> Iterator[Touched]:
    """Every path, folder by folder. ``marks`` are those of all that is below the roots."""
    if not lost:
        return
    leads = _Trees(reader, marks).leading_to(lost, control)
    at_root: dict[BlobId, Holders] = {}
    for number, root in enumerate(roots):
        at_root[root.tree] = (*at_root.get(root.tree, ()), number)
    stack: list[tuple[bytes, dict[BlobId, Holders]]] = [(b"", at_root)]
    while stack:
        control.check()
        path, trees = stack.pop()
        folder = _Folder(path, lost, leads)
        for tree, holders in trees.items():
            folder.look(reader, tree, holders)
        yield from folder.touched([root.file for root in roots])
        stack += sorted(folder.below.items(), reverse=True)


class _Folder:
    """One path, and all the trees that lie at it in one snapshot file or another."""

    def __init__(self, path: bytes, lost: Lost, leads: set[BlobId]) -> None:
        self._path, self._lost, self._leads = path, lost, leads
        self._found: dict[tuple[bytes, bool], tuple[set[int], dict[str, None]]] = {}
        self.below: dict[bytes, dict[BlobId, Holders]] = {}

    def look(self, reader: BlobReader, tree: BlobId, holders: Holders) -> None:
        try:
            if tree in self._lost.trees:
                self._touch(self._path or b"/", self._lost.trees[tree], holders, is_folder=True)
                return
            if tree not in self._leads:
                return
            nodes = reader.read_tree(tree)
        except RepositoryDamaged as error:
            self._touch(self._path or b"/", error.name.rpartition("/")[2], holders, is_folder=True)
            return
        for node in nodes:
            path = self._path + b"/" + node.name
            for blob in node.content:
                if (pack := self._lost.data.get(blob)) is not None:
                    self._touch(path, pack, holders, is_folder=False)
            if node.subtree is not None and (node.subtree in self._leads or node.subtree in self._lost.trees):
                below = self.below.setdefault(path, {})
                below[node.subtree] = (*below.get(node.subtree, ()), *holders)

    def touched(self, files: Sequence[FileId]) -> Iterator[Touched]:
        for (path, is_folder), (holders, packs) in sorted(self._found.items()):
            names = tuple(files[number] for number in sorted(holders))
            yield Touched(path=path, is_folder=is_folder, files=names, packs=tuple(packs))

    def _touch(self, path: bytes, pack: str, holders: Holders, *, is_folder: bool) -> None:
        files, packs = self._found.setdefault((path, is_folder), (set(), {}))
        files.update(holders)
        if pack:
            packs[pack] = None


class _Trees:
    """All marked trees by number, and which lie in which. 16 bytes for each subtree of each tree, for a moment."""

    def __init__(self, reader: BlobReader, marks: Marks) -> None:
        self._reader = reader
        self._index: Index = reader.index
        self._flags = marks.flags(BlobKind.TREE)
        self._first = np.cumsum([0, *(len(flags) for flags in self._flags)])

    def leading_to(self, lost: Lost, control: Control) -> set[BlobId]:
        """Trees that hold, at whatever depth, something lost."""
        hit = np.zeros(int(self._first[-1]), dtype=np.bool_)
        edges: list[tuple[Numbers, Numbers]] = []
        for batch in self._in_pack_order():
            control.check()
            for tree, raw in self._reader.read_many(BlobKind.TREE, batch):
                if not isinstance(raw, bytes):
                    continue
                try:
                    content, subtrees = tree_references(raw)
                except RepositoryDamaged:
                    continue
                number = self._numbers([tree])
                if any(blob in lost.data for blob in content) or any(below in lost.trees for below in subtrees):
                    hit[number] = True
                below = self._numbers(subtrees)
                edges.append((np.repeat(number, len(below)), below))
        if edges:
            self._spread(hit, np.concatenate([up for up, _ in edges]), np.concatenate([down for _, down in edges]))
        return set(self._ids(hit))

    @staticmethod
    def _spread(hit: npt.NDArray[np.bool_], up: Numbers, down: Numbers) -> None:
        """From the trees that hold something lost to those above, level by level."""
        known = down != _UNKNOWN
        up, down = up[known], down[known]
        while True:
            above = up[hit[down] & ~hit[up]]
            if not len(above):
                return
            hit[above] = True

    def _in_pack_order(self) -> Iterator[list[BlobId]]:
        for (_, table), flags in zip(self._index.tables(BlobKind.TREE), self._flags, strict=True):
            rows = np.flatnonzero(flags)
            rows = rows[np.lexsort((table.places[rows, 1], table.places[rows, 0]))]
            for start in range(0, len(rows), _TREES_AT_ONCE):
                words = table.ids(rows[start : start + _TREES_AT_ONCE])
                yield [BlobId(row.tobytes()) for row in words]

    def _numbers(self, trees: Sequence[BlobId]) -> Numbers:
        found = np.full(len(trees), _UNKNOWN, dtype=np.int64)
        if not trees:
            return found
        words = id_words(trees)
        for first, (_, table) in zip(self._first.tolist(), self._index.tables(BlobKind.TREE), strict=False):
            rows = table.locate(words)
            hit = (found == _UNKNOWN) & (rows >= 0)
            found[hit] = rows[hit] + first
        return found

    def _ids(self, chosen: npt.NDArray[np.bool_]) -> Iterator[BlobId]:
        ends = self._first[1:-1].tolist()
        for (_, table), flags in zip(self._index.tables(BlobKind.TREE), np.split(chosen, ends), strict=False):
            for row in table.ids(np.flatnonzero(flags)):
                yield BlobId(row.tobytes())
