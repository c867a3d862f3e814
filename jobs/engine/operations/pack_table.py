"""The index seen by pack: which packs there are, how big each must be, and which blobs it holds.

A pack that two index files name is one pack here; the rows of the second naming are *ghosts* and left out.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ..ids import BlobId, FileId
from ..repository.index import Flags, Index
from ..repository.layout import BlobKind
from ..repository.pack import PackedBlob, header_bytes

Sizes = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int64]


class PackTable:
    """Packs are numbered from 0 here. Made once from an index; read-only. About 8 bytes a blob.

    ``ids`` holds the pack ids; ``stored_bytes`` what each file must have, ``blob_bytes`` what of it are sealed blobs;
    ``number_of`` maps the index's pack numbers to ours, -1 for ghosts.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        all_ids = index.pack_ids()
        blob_bytes, sizes = _sizes(index, len(all_ids))
        # The naming with most blobs stands for a pack that several index files name; ties go to the first.
        order = np.argsort(-sizes, kind="stable")
        keys = np.ascontiguousarray(all_ids[order]).view(np.dtype((np.void, 32))).ravel()
        first = np.sort(order[np.unique(keys, return_index=True)[1]]) if len(keys) else order
        self.number_of: Numbers = np.full(len(all_ids), -1, dtype=np.int64)
        self.number_of[first] = np.arange(len(first))
        self.ids: list[FileId] = [FileId(row.tobytes().hex()) for row in all_ids[first]]
        self.stored_bytes: Sizes = sizes[first]
        self.blob_bytes: Sizes = blob_bytes[first]
        self._orders: list[tuple[BlobKind, int, npt.NDArray[np.uint32], Numbers]] = []
        for kind in BlobKind:
            for position, numbers in enumerate(self.row_packs(kind)):
                row_order = np.argsort(numbers, kind="stable").astype(np.uint32)
                starts = np.searchsorted(numbers[row_order], np.arange(len(first) + 1))
                self._orders.append((kind, position, row_order, starts))

    def __len__(self) -> int:
        return len(self.ids)

    def row_packs(self, kind: BlobKind) -> Iterator[Numbers]:
        """For each of the index's tables of a kind: our pack number of every row, -1 for ghosts."""
        for first, table in self._index.tables(kind):
            yield self.number_of[table.places[:, 0].astype(np.int64) + first]

    def blobs(self, number: int, *, only: dict[BlobKind, list[Flags]] | None = None) -> list[PackedBlob]:
        """The blobs of one pack in the order of their offsets; ``only`` = flags of the rows wanted, by table."""
        found = []
        for kind, position, row_order, starts in self._orders:
            rows = row_order[starts[number] : starts[number + 1]]
            if only is not None:
                rows = rows[only[kind][position][rows]]
            if not len(rows):
                continue
            table = self._index.segments[position].tables[kind]
            for words, place in zip(table.ids(rows), table.places[rows].tolist(), strict=True):
                blob = BlobId(words.tobytes())
                found.append(PackedBlob(id=blob, kind=kind, offset=place[1], length=place[2], raw_length=place[3]))
        return sorted(found, key=lambda blob: blob.offset)


def _sizes(index: Index, packs: int) -> tuple[Sizes, Sizes]:
    """For every pack number of the index: its sealed blobs, and its file: those, the sealed header and its length."""
    sealed = np.zeros(packs, dtype=np.int64)
    plain = np.zeros(packs, dtype=np.int64)
    compressed = np.zeros(packs, dtype=np.int64)
    for kind in BlobKind:
        for first, table in index.tables(kind):
            numbers = table.places[:, 0].astype(np.int64) + first
            sealed += np.bincount(numbers, weights=table.places[:, 2], minlength=packs).astype(np.int64)
            is_compressed = table.places[:, 3] > 0
            compressed += np.bincount(numbers[is_compressed], minlength=packs)
            plain += np.bincount(numbers[~is_compressed], minlength=packs)
    empty = header_bytes(0, 0)
    header = plain * (header_bytes(1, 0) - empty) + compressed * (header_bytes(0, 1) - empty) + empty
    return sealed, sealed + header
