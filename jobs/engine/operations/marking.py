"""Which blobs are needed: every tree of every snapshot file is walked once. What to do about it is not decided here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ..errors import RepositoryDamaged
from ..events import Control
from ..ids import BlobId
from ..repository.index import Flags, Index, id_words
from ..repository.layout import BlobKind
from ..repository.reader import BlobReader, not_indexed
from ..repository.tree import tree_references

_TREES_AT_ONCE: Final = 256


class Marks:
    """A flag for every row of an index: is this blob needed? One byte a blob."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._flags = {
            kind: [np.zeros(len(table), dtype=np.bool_) for _, table in index.tables(kind)] for kind in BlobKind
        }

    def add(self, kind: BlobKind, ids: Iterable[BlobId]) -> tuple[list[BlobId], list[BlobId]]:
        """Mark one place of each blob; returns (those not marked before, those the index does not know)."""
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return [], []
        words = id_words(wanted)
        unknown = np.ones(len(wanted), dtype=np.bool_)
        fresh = np.zeros(len(wanted), dtype=np.bool_)
        for (_, table), flags in zip(self._index.tables(kind), self._flags[kind], strict=True):
            rows = table.locate(words)
            hit = unknown & (rows >= 0)
            fresh[hit] = ~flags[rows[hit]]
            flags[rows[hit]] = True
            unknown &= ~hit
        return _chosen(wanted, fresh), _chosen(wanted, unknown)

    def has_many(self, kind: BlobKind, ids: Sequence[BlobId]) -> Flags:
        """Which of ``ids`` are marked."""
        marked = np.zeros(len(ids), dtype=np.bool_)
        if not ids:
            return marked
        words = id_words(ids)
        for (_, table), flags in zip(self._index.tables(kind), self._flags[kind], strict=True):
            rows = table.locate(words)
            hit = rows >= 0
            marked[hit] |= flags[rows[hit]]
        return marked

    def flags(self, kind: BlobKind) -> list[Flags]:
        """One array for each of the index's tables of that kind, in their order. Not a copy."""
        return self._flags[kind]

    def count(self, kind: BlobKind) -> int:
        """Different blobs that are needed."""
        return sum(int(flags.sum()) for flags in self._flags[kind])


def _chosen(ids: list[BlobId], flags: Flags) -> list[BlobId]:
    return [blob for blob, is_chosen in zip(ids, flags.tolist(), strict=True) if is_chosen]


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """Something a tree refers to that cannot be had. ``tree`` is that tree, None for a snapshot's own root."""

    error: RepositoryDamaged
    blob: BlobId
    kind: BlobKind
    tree: BlobId | None


def mark_from(
    reader: BlobReader,
    roots: Sequence[BlobId],
    *,
    control: Control,
    on_broken: Callable[[Broken], None],
    on_trees: Callable[[int], None],
) -> Marks:
    """Mark everything below the trees ``roots``. ``on_trees`` is told how many trees were read since last time.

    What is missing or damaged is told ``on_broken``, and the walk goes on beside it. The stack grows with the widest
    path, not with the number of directories.
    """
    marks = Marks(reader.index)
    new, missing = marks.add(BlobKind.TREE, roots)
    for blob in missing:
        on_broken(Broken(error=not_indexed(BlobKind.TREE, blob), blob=blob, kind=BlobKind.TREE, tree=None))
    stack = new
    while stack:
        control.check()
        batch, stack[-_TREES_AT_ONCE:] = stack[-_TREES_AT_ONCE:], []
        for tree, result in reader.read_many(BlobKind.TREE, batch):
            stack += _mark_tree(marks, tree, result, on_broken)
        on_trees(len(batch))
    return marks


def _mark_tree(
    marks: Marks, tree: BlobId, result: bytes | RepositoryDamaged, on_broken: Callable[[Broken], None]
) -> list[BlobId]:
    """The subtrees that were not marked before."""
    try:
        if isinstance(result, RepositoryDamaged):
            raise result
        content, subtrees = tree_references(result, name=f"tree {tree.hex()}")
    except RepositoryDamaged as error:
        on_broken(Broken(error=error, blob=tree, kind=BlobKind.TREE, tree=tree))
        return []
    _, missing_data = marks.add(BlobKind.DATA, content)
    new, missing_trees = marks.add(BlobKind.TREE, subtrees)
    for kind, missing in ((BlobKind.DATA, missing_data), (BlobKind.TREE, missing_trees)):
        for blob in missing:
            on_broken(Broken(error=not_indexed(kind, blob), blob=blob, kind=kind, tree=tree))
    return new


def raise_broken(broken: Broken) -> None:
    """For operations that must not go on when anything is missing."""
    raise broken.error
