"""What is asked of a file's status, and the source's own truth where a snapshot is a copy (``snapshots.origins``)."""

from __future__ import annotations

import os
import stat
from typing import Final, Protocol

from ..snapshots.origins import Origins, Row


class Status(Protocol):
    """What is asked of a file's ``lstat``; the source's own truth may stand in for it."""

    @property
    def st_mode(self) -> int: ...
    @property
    def st_ino(self) -> int: ...
    @property
    def st_dev(self) -> int: ...
    @property
    def st_nlink(self) -> int: ...
    @property
    def st_uid(self) -> int: ...
    @property
    def st_gid(self) -> int: ...
    @property
    def st_size(self) -> int: ...
    @property
    def st_rdev(self) -> int: ...
    @property
    def st_mtime_ns(self) -> int: ...
    @property
    def st_ctime_ns(self) -> int: ...


class SourceStatus:
    """The status of a file in a copied snapshot as it was at the source: its own inode, ctime, mode and owner there."""

    __slots__ = (
        "st_ctime_ns",
        "st_dev",
        "st_gid",
        "st_ino",
        "st_mode",
        "st_mtime_ns",
        "st_nlink",
        "st_rdev",
        "st_size",
        "st_uid",
    )

    def __init__(self, copied: Status, row: Row) -> None:
        _, self.st_ino, self.st_ctime_ns, self.st_mode, self.st_uid, self.st_gid, _ = row
        self.st_dev = copied.st_dev
        self.st_nlink = copied.st_nlink
        self.st_size = copied.st_size
        self.st_rdev = copied.st_rdev
        self.st_mtime_ns = copied.st_mtime_ns


STUB_INODE: Final = 2
"""BTRFS_EMPTY_SUBVOL_DIR_OBJECTID: the empty directory a snapshot shows where a nested subvolume is."""


def without_false_times(st: os.stat_result) -> Status:
    """The status of an entry, with fixed times (1970) where btrfs makes up new ones whenever it is asked.

    Else a directory that holds a nested subvolume would differ in every copy.
    """
    if st.st_ino != STUB_INODE or st.st_nlink != 1 or not stat.S_ISDIR(st.st_mode):
        return st
    stub = SourceStatus(st, (st.st_ino, st.st_ino, 0, st.st_mode, st.st_uid, st.st_gid, 0))
    stub.st_mtime_ns = 0
    return stub


def source_entries(
    entries: list[tuple[str, Status]], origins: Origins
) -> tuple[list[tuple[str, Status]], list[tuple[str, OSError]]]:
    """(entries as they were at the source, names that could not be read there and why). Others stay as they are."""
    if not entries:
        return entries, []
    kept: list[tuple[str, Status]] = []
    unread: list[tuple[str, OSError]] = []
    rows = origins.find_many([st.st_ino for _, st in entries])
    for (name, st), row in zip(entries, rows, strict=True):
        if row is None:
            kept.append((name, st))
        elif row[6]:
            unread.append((name, OSError(row[6], os.strerror(row[6]))))
        else:
            kept.append((name, SourceStatus(st, row)))
    return kept, unread


def source_status(st: Status, origins: Origins | None) -> Status:
    """One file's status at the source."""
    row = origins.find_many([st.st_ino])[0] if origins is not None else None
    return st if row is None else SourceStatus(st, row)
