"""Reading blobs and trees through the index, verified. For reading many blobs in pack order, see the restore."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from ..errors import RepositoryDamaged
from ..ids import BlobId, FileId
from ..media.ahead import read_ahead
from ..media.wrapping import transfers_of
from .blob import open_blob
from .index import Index, Locations
from .layout import BlobKind, damaged, pack_name
from .pack import PackedBlob
from .repository import Repository
from .second_places import read_elsewhere
from .stored import READINGS, read_part, read_tree_part
from .tree import Node, parse_tree, split_tree

_GAP_BYTES: Final = 64 << 10
"""Blobs of one pack that lie closer than this are read at once."""
_READ_BYTES: Final = 16 << 20
_RUNS_AHEAD: Final = 4
"""So many runs at most are read at once from remote media: trees mostly, whose runs are short."""


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
            return self._read_at(name, place, blob, kind)
        except RepositoryDamaged as error:
            return self._elsewhere(kind, blob, error)

    def _read_at(self, name: str, place: PackedBlob, blob: BlobId, kind: BlobKind) -> bytes:
        """What came damaged is read again: it may have been damaged on the way."""
        media, sealer = self.repository.media, self.repository.sealer()
        for reading in range(1, READINGS + 1):
            if kind is BlobKind.TREE:
                is_fresh = reading > 1
                sealed = read_tree_part(media, name, offset=place.offset, length=place.length, is_fresh=is_fresh)
            else:
                sealed = read_part(media, name, offset=place.offset, length=place.length)
            try:
                return open_blob(sealed, sealer, blob=blob, raw_length=place.raw_length, name=name)
            except RepositoryDamaged:
                if reading == READINGS:
                    raise
        raise AssertionError

    def _elsewhere(self, kind: BlobKind, blob: BlobId, problem: RepositoryDamaged) -> bytes:
        """A damaged pack is no loss where another holds the same blob. Raises ``problem``."""
        damaged_pack = FileId(problem.name.rpartition("/")[2])
        plain = read_elsewhere(self.repository, self.index, kind, blob, avoid=(damaged_pack,))
        if plain is None:
            raise problem
        return plain

    def read_many(self, kind: BlobKind, ids: Sequence[BlobId]) -> Iterator[tuple[BlobId, bytes | RepositoryDamaged]]:
        """(id, plain text or what is wrong with it) of each blob once, in the order of the packs.

        Errors of the medium itself are raised. Memory: the blobs read at once, at most 16 MiB or one blob, of
        remote media four times that.
        """
        wanted = list(dict.fromkeys(ids))
        at = self.index.find_many(kind, wanted)
        runs: list[list[int]] = []
        for row in np.lexsort((at.offset, at.pack)).tolist():
            if at.pack[row] < 0:
                yield wanted[row], not_indexed(kind, wanted[row])
            elif runs and _continues(at, runs[-1][0], runs[-1][-1], row):
                runs[-1].append(row)
            else:
                runs.append([row])

        def read(run: list[int]) -> bytes | RepositoryDamaged:
            start, end = _extent(at, run)
            try:
                reads = read_tree_part if kind is BlobKind.TREE else read_part
                return reads(self.repository.media, self._name(at, run[0]), offset=start, length=end - start)
            except RepositoryDamaged as error:
                return error

        transfers = min(transfers_of(self.repository.media), _RUNS_AHEAD)
        for run, sealed in read_ahead(runs, read, transfers=transfers):
            yield from self._open_run(kind, wanted, at, run, sealed)

    def _open_run(
        self, kind: BlobKind, ids: Sequence[BlobId], at: Locations, run: list[int], sealed: bytes | RepositoryDamaged
    ) -> Iterator[tuple[BlobId, bytes | RepositoryDamaged]]:
        if isinstance(sealed, RepositoryDamaged):
            yield from ((ids[row], self._elsewhere_or_not(kind, ids[row], sealed)) for row in run)
            return
        sealer, view, name = self.repository.sealer(), memoryview(sealed), self._name(at, run[0])
        start, _ = _extent(at, run)
        for row in run:
            offset = int(at.offset[row]) - start
            piece = view[offset : offset + int(at.length[row])]
            raw_length = int(at.raw_length[row])
            try:
                yield ids[row], open_blob(piece, sealer, blob=ids[row], raw_length=raw_length, name=name)
            except RepositoryDamaged:
                yield ids[row], self._again(kind, ids[row])

    def _again(self, kind: BlobKind, blob: BlobId) -> bytes | RepositoryDamaged:
        try:
            return self.read(kind, blob)
        except RepositoryDamaged as error:
            return error

    def _name(self, at: Locations, row: int) -> str:
        return pack_name(self.index.pack_id(int(at.pack[row])))

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


def _extent(at: Locations, run: Sequence[int]) -> tuple[int, int]:
    """Where a run begins and ends in its pack."""
    return int(at.offset[run[0]]), int(at.offset[run[-1]] + at.length[run[-1]])


def _continues(at: Locations, first: int, last: int, row: int) -> bool:
    return bool(
        at.pack[row] == at.pack[first]
        and at.offset[row] - at.offset[last] - at.length[last] <= _GAP_BYTES
        and at.offset[row] + at.length[row] - at.offset[first] <= _READ_BYTES
    )
