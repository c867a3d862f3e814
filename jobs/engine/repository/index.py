"""Which blobs the repository holds and where: sorted arrays, 48 bytes a blob, looked up a batch at a time.

An index is a list of immutable segments; adding makes a new one, and small neighbours are merged. Files on the medium
are parsed in ``index_file``; the local copy that saves parsing them is ``index_cache``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ..ids import BlobId, FileId
from .index_file import Ids, ParsedIndex, Places
from .layout import BlobKind
from .pack import PackedBlob

MERGE_RATIO: Final = 4
"""A segment is merged with its older neighbour when that has less than so many times its blobs."""
MAX_MERGED_BLOBS: Final = 2_000_000
"""Segments are never merged beyond this, so that merging needs at most some 120 MB for a moment."""

Words = npt.NDArray[np.uint64]
Found = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def id_words(ids: Sequence[bytes]) -> Ids:
    """Ids as an (n, 4) array; raises ValueError unless each has 32 bytes."""
    return np.frombuffer(b"".join(ids), dtype="<u8").reshape(len(ids), 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Blobs of one kind, sorted by the first word of their ids. A blob stored twice is there twice."""

    head: Words
    rest: Words
    places: Places

    @classmethod
    def sorted(cls, ids: Ids, places: Places) -> Table:
        order = np.argsort(ids[:, 0], kind="stable")
        return cls(head=ids[order, 0], rest=ids[order, 1:], places=places[order])

    def __len__(self) -> int:
        return len(self.head)

    def locate(self, wanted: Ids) -> Found:
        """Row of each wanted id, -1 where it is not here."""
        rows = np.full(len(wanted), -1, dtype=np.int64)
        if not len(self.head):
            return rows
        keys = np.ascontiguousarray(wanted[:, 0])
        at = np.searchsorted(self.head, keys)
        pending = np.arange(len(wanted))
        while pending.size:
            pending = pending[at[pending] < len(self.head)]
            pending = pending[self.head[at[pending]] == keys[pending]]
            row = at[pending]
            hit = (self.rest[row] == wanted[pending, 1:]).all(axis=1)
            rows[pending[hit]] = row[hit]
            pending = pending[~hit]
            at[pending] += 1
        return rows

    def ids(self, rows: slice | npt.NDArray[np.integer] | Flags) -> Ids:
        """Ids of some rows, as words."""
        return np.column_stack((self.head[rows], self.rest[rows]))

    def keep(self, rows: Flags) -> Table:
        return Table(head=self.head[rows], rest=self.rest[rows], places=self.places[rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Packs of some index files and their blobs. Pack numbers in ``tables`` count from 0 within the segment.

    ``packs`` is (m, 32) bytes; ``pack_files`` names for each pack the index file (a position in ``files``) it is from.
    """

    files: tuple[FileId, ...]
    packs: npt.NDArray[np.uint8]
    pack_files: npt.NDArray[np.uint32]
    tables: tuple[Table, Table]

    @classmethod
    def of_parsed(cls, parsed: ParsedIndex, files: tuple[FileId, ...]) -> Segment:
        packs = np.frombuffer(b"".join(parsed.packs), dtype=np.uint8).reshape(len(parsed.packs), 32)
        tables = [Table.sorted(ids, places) for ids, places in zip(parsed.ids, parsed.places, strict=True)]
        return cls(
            files=files,
            packs=packs,
            pack_files=np.zeros(len(packs), dtype=np.uint32),
            tables=(tables[0], tables[1]),
        )

    def __len__(self) -> int:
        return len(self.tables[0]) + len(self.tables[1])

    def without_files(self, gone: frozenset[FileId]) -> Segment:
        """Only what comes from the other index files. Returns itself if none of ``gone`` is in it."""
        kept_files = tuple(file_id for file_id in self.files if file_id not in gone)
        if len(kept_files) == len(self.files):
            return self
        position = {file_id: number for number, file_id in enumerate(kept_files)}
        new_numbers = np.array([position.get(file_id, -1) for file_id in self.files], dtype=np.int64)
        pack_files = new_numbers[self.pack_files]
        kept_packs = pack_files >= 0
        pack_numbers = (np.cumsum(kept_packs) - 1).astype(np.uint32)
        tables = []
        for table in self.tables:
            kept = table.keep(kept_packs[table.places[:, 0]])
            kept.places[:, 0] = pack_numbers[kept.places[:, 0]]
            tables.append(kept)
        return Segment(
            files=kept_files,
            packs=self.packs[kept_packs],
            pack_files=pack_files[kept_packs].astype(np.uint32),
            tables=(tables[0], tables[1]),
        )


def merge_segments(segments: Sequence[Segment]) -> Segment:
    """One segment of several neighbours, in their order. Takes about 60 bytes a blob beside its input for a moment."""
    if len(segments) == 1:
        return segments[0]
    first_packs = np.cumsum([0, *(len(segment.packs) for segment in segments)])
    first_files = np.cumsum([0, *(len(segment.files) for segment in segments)])
    tables = [_merge_tables([segment.tables[kind] for segment in segments], first_packs) for kind in BlobKind]
    return Segment(
        files=tuple(file_id for segment in segments for file_id in segment.files),
        packs=np.concatenate([segment.packs for segment in segments]),
        pack_files=np.concatenate(
            [segment.pack_files + np.uint32(first) for segment, first in zip(segments, first_files, strict=False)]
        ),
        tables=(tables[0], tables[1]),
    )


def _merge_tables(tables: Sequence[Table], first_packs: npt.NDArray[np.int64]) -> Table:
    head = np.concatenate([table.head for table in tables])
    order = np.argsort(head, kind="stable")
    head = head[order]
    new_rows = np.empty(len(order), dtype=np.uint32)
    new_rows[order] = np.arange(len(order), dtype=np.uint32)
    del order
    rest = np.empty((len(head), 3), dtype="<u8")
    places = np.empty((len(head), 4), dtype=np.uint32)
    start = 0
    for table, first in zip(tables, first_packs, strict=False):
        rows = new_rows[start : start + len(table)]
        rest[rows] = table.rest
        places[rows] = table.places
        places[rows, 0] += np.uint32(first)
        start += len(table)
    return Table(head=head, rest=rest, places=places)


def merges(older: int, newer: int) -> bool:
    """Whether two neighbours of so many blobs are to be merged."""
    return older < MERGE_RATIO * newer and older + newer <= MAX_MERGED_BLOBS


def merge_last(segments: list[Segment]) -> bool:
    """Merge the last two neighbours in place if that keeps lookups quick; says whether it did."""
    if len(segments) < 2 or not merges(len(segments[-2]), len(segments[-1])):
        return False
    segments[-2:] = [merge_segments(segments[-2:])]
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Locations:
    """Places of a batch of blobs, one row each: ``pack`` is the index's pack number, -1 where a blob is unknown."""

    pack: Found
    offset: Found
    length: Found
    raw_length: Found


class Index:
    """Looks blobs up. Reading is thread-safe and works after ``fork``; adding is for one thread.

    Pack numbers stay valid as long as the index lives.
    """

    def __init__(self, segments: Sequence[Segment] = ()) -> None:
        self._segments: list[Segment] = []
        self._first_packs: list[int] = []
        self._packs = 0
        for segment in segments:
            self._append(segment)

    def _append(self, segment: Segment) -> None:
        self._segments.append(segment)
        self._first_packs.append(self._packs)
        self._packs += len(segment.packs)

    def add(self, parsed: ParsedIndex, *, file_id: FileId | None = None) -> None:
        """More packs: those of another index file, or (``file_id`` None) of none yet."""
        self._append(Segment.of_parsed(parsed, (file_id,) if file_id else ()))
        while merge_last(self._segments):
            self._first_packs.pop()

    @property
    def segments(self) -> tuple[Segment, ...]:
        """In order of their pack numbers."""
        return tuple(self._segments)

    @property
    def files(self) -> frozenset[FileId]:
        """Index files this index was read from."""
        return frozenset(file_id for segment in self._segments for file_id in segment.files)

    @property
    def pack_count(self) -> int:
        """Packs by number; one that two index files name counts twice."""
        return self._packs

    def count(self, kind: BlobKind) -> int:
        """Blobs of a kind; one stored twice counts twice."""
        return sum(len(segment.tables[kind]) for segment in self._segments)

    def pack_id(self, number: int) -> bytes:
        """The 32-byte id of a pack by its number."""
        for first, segment in zip(reversed(self._first_packs), reversed(self._segments), strict=True):
            if number >= first:
                return bytes(segment.packs[number - first])
        raise IndexError(number)

    def pack_ids(self) -> npt.NDArray[np.uint8]:
        """(m, 32) bytes: all packs by number."""
        if not self._segments:
            return np.empty((0, 32), dtype=np.uint8)
        return np.concatenate([segment.packs for segment in self._segments])

    def tables(self, kind: BlobKind) -> Iterator[tuple[int, Table]]:
        """(number of the segment's first pack, table) of every segment."""
        for first, segment in zip(self._first_packs, self._segments, strict=True):
            yield first, segment.tables[kind]

    def has_many(self, kind: BlobKind, ids: Sequence[BlobId]) -> Flags:
        """Which of ``ids`` are in the repository."""
        known = np.zeros(len(ids), dtype=np.bool_)
        if not ids:
            return known
        words = id_words(ids)
        for segment in self._segments:
            known |= segment.tables[kind].locate(words) >= 0
        return known

    def missing(self, kind: BlobKind, ids: Sequence[BlobId]) -> list[BlobId]:
        """Those of ``ids`` that are not in the repository, in their order."""
        if not self._segments:
            return list(ids)
        known = self.has_many(kind, ids)
        return [blob for blob, is_known in zip(ids, known.tolist(), strict=True) if not is_known]

    def find_many(self, kind: BlobKind, ids: Sequence[BlobId]) -> Locations:
        """Where ``ids`` lie; the newest segment wins for a blob stored twice."""
        found = np.zeros((len(ids), 4), dtype=np.int64)
        found[:, 0] = -1
        if ids:
            words = id_words(ids)
            for first, segment in zip(self._first_packs, self._segments, strict=True):
                rows = segment.tables[kind].locate(words)
                hit = rows >= 0
                found[hit] = segment.tables[kind].places[rows[hit]]
                found[hit, 0] += first
        return Locations(pack=found[:, 0], offset=found[:, 1], length=found[:, 2], raw_length=found[:, 3])

    def find(self, kind: BlobKind, blob: BlobId) -> tuple[bytes, PackedBlob] | None:
        """(pack id, place) of one blob; None if it is not in the repository."""
        at = self.find_many(kind, (blob,))
        number = int(at.pack[0])
        if number < 0:
            return None
        return self.pack_id(number), PackedBlob(
            id=blob,
            kind=kind,
            offset=int(at.offset[0]),
            length=int(at.length[0]),
            raw_length=int(at.raw_length[0]),
        )
