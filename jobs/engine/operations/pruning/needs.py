"""Which stored copy of each needed blob is kept: exactly one, in the pack that is worth keeping most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...repository.index import Flags, Index
from ...repository.layout import BlobKind, damaged
from ..marking import Marks
from ..pack_table import Numbers, PackTable

Bytes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """``flags`` mark the rows to keep, for each of the index's tables; ``used_bytes`` is their sealed size by pack."""

    flags: dict[BlobKind, list[Flags]]
    used_bytes: Bytes


class _Rows:
    """All rows of one kind in a line, over the tables of the index."""

    def __init__(self, index: Index, packs: PackTable, marks: Marks, kind: BlobKind) -> None:
        self.tables = [table for _, table in index.tables(kind)]
        self.packs: Numbers = np.concatenate([np.empty(0, dtype=np.int64), *packs.row_packs(kind)])
        self.flags: Flags = np.concatenate([np.empty(0, dtype=np.bool_), *marks.flags(kind)])
        self.lengths = np.concatenate(
            [np.empty(0, dtype=np.uint32), *(table.places[:, 2] for table in self.tables)]
        ).astype(np.int64)

    def groups(self) -> list[list[int]]:
        """Rows that hold the same blob, for each blob that is stored more than once."""
        head = np.concatenate([np.empty(0, dtype=np.uint64), *(table.head for table in self.tables)])
        order = np.argsort(head, kind="stable")
        same = head[order][1:] == head[order][:-1]
        twice = np.zeros(len(head), dtype=np.bool_)
        twice[order[1:][same]] = True
        twice[order[:-1][same]] = True
        found: dict[bytes, list[int]] = {}
        start = 0
        for table in self.tables:
            rows = np.flatnonzero(twice[start : start + len(table)])
            for row, words in zip((rows + start).tolist(), table.ids(rows), strict=True):
                found.setdefault(words.tobytes(), []).append(row)
            start += len(table)
        return [rows for rows in found.values() if len(rows) > 1]

    def per_pack(self, flags: Flags, count: int) -> Bytes:
        chosen = flags & (self.packs >= 0)
        return np.bincount(self.packs[chosen], weights=self.lengths[chosen], minlength=count).astype(np.int64)

    def split(self) -> list[Flags]:
        ends = np.cumsum([len(table) for table in self.tables])[:-1]
        return [np.ascontiguousarray(part) for part in np.split(self.flags, ends)] if self.tables else []


def needed_rows(index: Index, packs: PackTable, marks: Marks) -> Needed:
    """One row for every marked blob. Of several copies that in the pack with the greatest needed part is kept.

    A prune that was interrupted leaves whole packs of second copies; this keeps the new ones and drops the old.
    """
    lines = {kind: _Rows(index, packs, marks, kind) for kind in BlobKind}
    groups = {kind: rows.groups() for kind, rows in lines.items()}
    worth = np.zeros(len(packs), dtype=np.int64)
    for kind, rows in lines.items():
        every_copy = rows.flags.copy()
        for group in groups[kind]:
            every_copy[group] = bool(rows.flags[group].any())
        worth += rows.per_pack(every_copy, len(packs))
    part = worth / np.maximum(packs.stored_bytes, 1)
    used = np.zeros(len(packs), dtype=np.int64)
    for kind, rows in lines.items():
        for group in groups[kind]:
            if rows.flags[group].any():
                _keep_best(rows, group, part, packs)
        if (rows.flags & (rows.packs < 0)).any():
            raise damaged("index", "index files contradict each other", hint="Rebuild the index from the packs.")
        used += rows.per_pack(rows.flags, len(packs))
    return Needed(flags={kind: rows.split() for kind, rows in lines.items()}, used_bytes=used)


def _keep_best(rows: _Rows, group: list[int], part: npt.NDArray[np.float64], packs: PackTable) -> None:
    candidates = [row for row in group if rows.packs[row] >= 0]
    if not candidates:
        return

    def worth(row: int) -> tuple[float, int, int]:
        pack = rows.packs[row]
        return float(part[pack]), int(packs.stored_bytes[pack]), -row

    rows.flags[group] = False
    rows.flags[max(candidates, key=worth)] = True
