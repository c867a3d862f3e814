"""What a copied snapshot cannot keep in its own files: the inode, change time and owner its files have at the source.

An engine that copies gives every file a new inode and a new change time at each snapshot, and an ordinary user can
neither give files away nor copy what he cannot read. This table, one per snapshot, keeps the truth, so that two
snapshots of an unchanged file give the same metadata, and a file that could not be read is told as an exception and
is never mistaken for an empty one.

File format: a NumPy ``.npy`` file of :data:`RECORD`, sorted by ``inode`` (the inode inside the snapshot).
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ..errors import SnapshotMissing

RECORD: Final = np.dtype(
    [
        ("inode", "<u8"),
        ("source_inode", "<u8"),
        ("ctime_ns", "<i8"),
        ("mode", "<u4"),
        ("uid", "<u4"),
        ("gid", "<u4"),
        ("error", "<u4"),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One file at the source. ``mode`` is the whole ``st_mode``; ``error`` is the errno that kept it unread, or 0."""

    inode: int
    ctime_ns: int
    mode: int
    uid: int
    gid: int
    error: int


Row = tuple[int, int, int, int, int, int, int]
"""One record, in the order of :data:`RECORD`."""

Table = np.ndarray[tuple[int], np.dtype[np.void]]
_ROWS: Final = 8192


class OriginsWriter:
    """Collects rows from several threads; 40 bytes of memory each. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: list[Row] = []
        self._arrays: list[Table] = []

    def add(self, rows: list[Row]) -> None:
        with self._lock:
            self._rows += rows
            if len(self._rows) > _ROWS:
                self._pack()

    def pass_on(self, before: Origins) -> None:
        """For a copy of a snapshot that is a copy itself: its rows then tell what the files are at the first source."""
        with self._lock:
            self._pack()
            self._arrays = [before.traced(table) for table in self._arrays]

    def write(self, path: Path) -> None:
        """Raises OSError."""
        with self._lock:
            self._pack()
            table = np.concatenate(self._arrays)
        table.sort(order="inode")
        with open(path, "xb") as file:
            np.save(file, table, allow_pickle=False)

    def _pack(self) -> None:
        self._arrays.append(np.array(self._rows, dtype=RECORD))
        self._rows = []


class Origins:
    """The table of one snapshot, mapped into memory: shared by processes, nothing is read before it is asked for."""

    def __init__(self, path: Path) -> None:
        """Raises SnapshotMissing if the table is gone or damaged: without it the snapshot must not be trusted."""
        try:
            self._table = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise SnapshotMissing(f"The snapshot's table “{os.fspath(path)}” cannot be read.") from error
        if self._table.dtype != RECORD:
            raise SnapshotMissing(f"The snapshot's table “{os.fspath(path)}” is damaged.")
        self._inodes = np.ascontiguousarray(self._table["inode"])

    def __len__(self) -> int:
        return len(self._inodes)

    def traced(self, table: Table) -> Table:
        """Rows whose ``source_inode`` lies in this snapshot, as rows of what this snapshot was made from."""
        places = np.searchsorted(self._inodes, table["source_inode"])
        places[places == len(self._inodes)] = 0
        known = self._inodes[places] == table["source_inode"] if len(self._inodes) else np.zeros(len(table), np.bool_)
        traced = table.copy()
        for name in ("source_inode", "ctime_ns", "mode", "uid", "gid", "error"):
            traced[name][known] = self._table[name][places[known]]
        return traced

    def find_many(self, inodes: list[int]) -> list[Row | None]:
        """The rows of several files by their inodes inside the snapshot; None where the snapshot did not make it."""
        wanted = np.array(inodes, dtype=np.uint64)
        places = np.searchsorted(self._inodes, wanted)
        places[places == len(self._inodes)] = 0
        rows: list[Row] = self._table[places].tolist() if len(self._inodes) else []
        if not rows:
            return [None] * len(inodes)
        return [row if row[0] == inode else None for row, inode in zip(rows, inodes, strict=True)]

    def find(self, inode: int) -> Origin | None:
        """The origin of a file by its inode inside the snapshot; None if the snapshot did not make it."""
        place = int(np.searchsorted(self._inodes, np.uint64(inode)))
        if place == len(self._inodes) or self._inodes[place] != inode:
            return None
        _inode, source_inode, ctime_ns, mode, uid, gid, error = self._table[place].item()
        return Origin(inode=source_inode, ctime_ns=ctime_ns, mode=mode, uid=uid, gid=gid, error=error)
