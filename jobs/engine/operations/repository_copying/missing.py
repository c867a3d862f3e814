"""Which blobs of a tree the target repository has not got, and where they lie in the source. Nothing is moved here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ...errors import RepositoryDamaged
from ...ids import BlobId
from ...repository.crypto import SEAL_BYTES
from ...repository.index import Index
from ...repository.index_file import Ids
from ...repository.layout import BlobKind
from ...repository.reader import BlobReader, not_indexed
from ...repository.tree import tree_entries
from ..marking import Marks

_TREES_AT_ONCE: Final = 256
_IDS_AT_ONCE: Final = 1 << 16

Numbers = npt.NDArray[np.int64]
_Entries = list[tuple[str, list[BlobId], BlobId | None]]
_Pair = tuple[BlobId, BlobId | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Blobs of one kind to be moved, in the order of the source's packs: pack number, offset, length, plain length.

    ``starts`` are the rows at which another pack begins, and the number of rows at the end.
    """

    kind: BlobKind
    ids: Ids
    places: Numbers
    starts: Numbers

    @property
    def packs(self) -> int:
        return len(self.starts) - 1

    @property
    def plain_bytes(self) -> int:
        return int(np.where(self.places[:, 3] > 0, self.places[:, 3], self.places[:, 2] - SEAL_BYTES).sum())


class Walk:
    """Looks at every tree of a snapshot file that is not in the target's copy of an older one.

    ``beat`` is called now and then and may raise. Memory: a byte for each blob of the source, and a stack that grows
    with the widest path. Used once.
    """

    def __init__(self, source: BlobReader, target: BlobReader, *, beat: Callable[[], None]) -> None:
        self._source, self._target, self._beat = source, target, beat
        self._marks = Marks(source.index)
        self.directories = 0

    def run(self, tree: BlobId, *, known: BlobId | None) -> tuple[Missing, ...]:
        """What is below ``tree`` and not in the target. ``known`` is a tree that is there with all that is below it.

        Raises RepositoryDamaged for a blob that neither of the two repositories holds.
        """
        self._mark(BlobKind.TREE, [tree])
        stack: list[_Pair] = [] if tree == known else [(tree, known)]
        while stack:
            self._beat()
            batch, stack[-_TREES_AT_ONCE:] = stack[-_TREES_AT_ONCE:], []
            old = self._read_old([known for _, known in batch if known is not None])
            new = self._read_new([tree for tree, _ in batch])
            for pair, entries in ((pair, new[pair[0]]) for pair in batch):
                stack += self._look(entries, old.get(pair[1], []) if pair[1] is not None else [])
            self.directories += len(batch)
        return tuple(missing_of(kind, self._source.index, self._target.index, self._marks) for kind in BlobKind)

    def _look(self, entries: _Entries, old: _Entries) -> list[_Pair]:
        """Mark one directory; returns the directories in it that must be looked at, with their older selves."""
        have = {subtree for _, _, subtree in old if subtree is not None}
        by_name = {name: subtree for name, _, subtree in old}
        kept = {name: content for name, content, _ in old if content}
        content = [blob for name, blobs, _ in entries if blobs and kept.get(name) != blobs for blob in blobs]
        self._mark(BlobKind.DATA, content)
        inside = [(subtree, by_name.get(name)) for name, _, subtree in entries if subtree and subtree not in have]
        fresh = set(self._mark(BlobKind.TREE, [subtree for subtree, _ in inside]))
        return list({subtree: (subtree, before) for subtree, before in inside if subtree in fresh}.values())

    def _mark(self, kind: BlobKind, ids: list[BlobId]) -> list[BlobId]:
        """Those not marked before. What the source lost is no loss where the target has it."""
        fresh, unknown = self._marks.add(kind, ids)
        if unknown and (lost := self._target.index.missing(kind, unknown)):
            raise not_indexed(kind, lost[0])
        return fresh + unknown

    def _read_new(self, trees: list[BlobId]) -> dict[BlobId, _Entries]:
        found: dict[BlobId, _Entries] = {}
        for tree, result in self._source.read_many(BlobKind.TREE, trees):
            raw = result if isinstance(result, bytes) else self._read_elsewhere(tree, result)
            found[tree] = tree_entries(raw, name=f"tree {tree.hex()}")
        return found

    def _read_elsewhere(self, tree: BlobId, problem: RepositoryDamaged) -> bytes:
        if self._target.index.missing(BlobKind.TREE, [tree]):
            raise problem
        return self._target.read(BlobKind.TREE, tree)

    def _read_old(self, trees: list[BlobId]) -> dict[BlobId, _Entries]:
        """An older tree that cannot be read saves nothing: what is below is looked at."""
        return {
            tree: tree_entries(result, name=f"tree {tree.hex()}")
            for tree, result in self._target.read_many(BlobKind.TREE, trees)
            if isinstance(result, bytes)
        }


def missing_of(kind: BlobKind, source: Index, target: Index, marks: Marks) -> Missing:
    """The marked blobs of one kind that the target has not got, in pack order."""
    ids: list[Ids] = [np.empty((0, 4), dtype="<u8")]
    places: list[Numbers] = [np.empty((0, 4), dtype=np.int64)]
    for (first, table), flags in zip(source.tables(kind), marks.flags(kind), strict=True):
        rows = np.flatnonzero(flags)
        for start in range(0, len(rows), _IDS_AT_ONCE):
            part = rows[start : start + _IDS_AT_ONCE]
            words = np.ascontiguousarray(table.ids(part))
            absent = ~target.has_many(kind, [BlobId(row.tobytes()) for row in words])
            at = table.places[part[absent]].astype(np.int64)
            at[:, 0] += first
            ids.append(words[absent])
            places.append(at)
    all_ids, all_places = np.concatenate(ids), np.concatenate(places)
    order = np.lexsort((all_places[:, 1], all_places[:, 0]))
    all_ids, all_places = all_ids[order], all_places[order]
    packs = all_places[:, 0]
    changes = np.flatnonzero(packs[1:] != packs[:-1]) + 1
    edges = [0, *changes.tolist(), len(packs)] if len(packs) else [0]
    return Missing(kind=kind, ids=all_ids, places=all_places, starts=np.array(edges, dtype=np.int64))
