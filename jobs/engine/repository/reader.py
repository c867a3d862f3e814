"""Reading blobs and trees through the index, verified. For reading many blobs in pack order, see the restore."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from ..errors import RepositoryDamaged
from ..ids import BlobId, FileId
from .blob import open_blob
from .index import Index, Locations
from .layout import BlobKind, damaged, pack_name
from .repository import Repository
from .second_places import read_elsewhere
from .stored import read_part
from .tree import Node, parse_tree, split_tree

_GAP_BYTES: Final = 64 << 10
"""Blobs of one pack that lie closer than this are read at once."""
_READ_BYTES: Final = 16 << 20


class BlobReader:
    """One repository and its index. Thread-safe; works after ``fork``."""

    __slots__ = ("index", "repository")

    def __init__(self, repository: Repository, index: Index) -> None:
        self.repository = repository
        self.index = index

    def read(self, kind: BlobKind, blob: BlobId) -> bytes:
        """The plain text of a blob. Raises RepositoryDamaged naming the pack, or the blob if no index knows it."""
        found = self.index.find(kind, blob)
        if found is None:
            raise not_indexed(kind, blob)
        pack_id, place = found
        name = pack_name(pack_id)
        try:
            sealed = read_part(self.repository.media, name, offset=place.offset, length=place.length)
            return open_blob(sealed, self.repository.sealer(), blob=blob, raw_length=place.raw_length, name=name)
        except RepositoryDamaged as error:
            return self._elsewhere(kind, blob, error)

    def _elsewhere(self, kind: BlobKind, blob: BlobId, problem: RepositoryDamaged) -> bytes:
        """A damaged pack is no loss where another holds the same blob. Raises ``problem``."""
        damaged_pack = FileId(problem.name.rpartition("/")[2])
        plain = read_elsewhere(self.repository, self.index, kind, blob, avoid=(damaged_pack,))
        if plain is None:
            raise problem
        return plain

    def read_many(self, kind: BlobKind, ids: Sequence[BlobId]) -> Iterator[tuple[BlobId, bytes | RepositoryDamaged]]:
        """(id, plain text or what is wrong with it) of each blob once, in the order of the packs.

        Errors of the medium itself are raised. Memory: the blobs read at once, at most 16 MiB or one blob.
        """
        wanted = list(dict.fromkeys(ids))
        at = self.index.find_many(kind, wanted)
        run: list[int] = []
        for row in np.lexsort((at.offset, at.pack)).tolist():
            if at.pack[row] < 0:
                yield wanted[row], not_indexed(kind, wanted[row])
                continue
            if run and not _continues(at, run[0], run[-1], row):
                yield from self._read_run(kind, wanted, at, run)
                run = []
            run.append(row)
        if run:
            yield from self._read_run(kind, wanted, at, run)

    def _read_run(
        self, kind: BlobKind, ids: Sequence[BlobId], at: Locations, run: Sequence[int]
    ) -> Iterator[tuple[BlobId, bytes | RepositoryDamaged]]:
        name = pack_name(self.index.pack_id(int(at.pack[run[0]])))
        start = int(at.offset[run[0]])
        end = int(at.offset[run[-1]] + at.length[run[-1]])
        try:
            sealed = memoryview(read_part(self.repository.media, name, offset=start, length=end - start))
        except RepositoryDamaged as error:
            yield from ((ids[row], self._elsewhere_or_not(kind, ids[row], error)) for row in run)
            return
        sealer = self.repository.sealer()
        for row in run:
            offset = int(at.offset[row]) - start
            piece = sealed[offset : offset + int(at.length[row])]
            raw_length = int(at.raw_length[row])
            try:
                yield ids[row], open_blob(piece, sealer, blob=ids[row], raw_length=raw_length, name=name)
            except RepositoryDamaged as error:
                yield ids[row], self._elsewhere_or_not(kind, ids[row], error)

    def _elsewhere_or_not(self, kind: BlobKind, blob: BlobId, problem: RepositoryDamaged) -> bytes | RepositoryDamaged:
        try:
            return self._elsewhere(kind, blob, problem)
        except RepositoryDamaged as error:
            return error

    def read_tree(self, tree: BlobId) -> list[Node]:
        """The nodes of a tree. Raises RepositoryDamaged."""
        return parse_tree(self.read(BlobKind.TREE, tree), name=f"tree {tree.hex()}")

    def split_tree(self, tree: BlobId) -> list[tuple[str, str]]:
        """The node strings of a tree, see :func:`tree.split_tree`."""
        return split_tree(self.read(BlobKind.TREE, tree), name=f"tree {tree.hex()}")


def not_indexed(kind: BlobKind, blob: BlobId) -> RepositoryDamaged:
    """The error for a blob that something refers to and no index file names."""
    return damaged(
        f"{kind.word} {blob.hex()}",
        "no index names a pack that holds it",
        hint="Rebuild the index from the packs, then check the repository.",
    )


def _continues(at: Locations, first: int, last: int, row: int) -> bool:
    return bool(
        at.pack[row] == at.pack[first]
        and at.offset[row] - at.offset[last] - at.length[last] <= _GAP_BYTES
        and at.offset[row] + at.length[row] - at.offset[first] <= _READ_BYTES
    )
