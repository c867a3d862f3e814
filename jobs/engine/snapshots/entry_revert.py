"""One live entry that is not a directory, made what it is in the snapshot: a new one beside it takes its name.

What was there stays until the new one is complete, so that whoever opens the name finds the one or the other whole.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .entry_copy import read_link
from .file_copy import Cloner, open_source
from .metadata import Attributes, MetadataWriter, read_attributes
from .origins import Origins, Row

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TEMPORARY: Final = ".snapcopy-revert-"
_UNKNOWN: Final[Row] = (0, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An entry as it was at the source: ``inode`` and ``ctime_ns`` there, 0 = not known.

    ``links`` is the number of its names in the snapshot, ``key`` its (device, inode) there. ``error`` is the errno
    that kept it from being read: what the snapshot has in its place is worth nothing.
    """

    st_mode: int
    st_uid: int
    st_gid: int
    st_atime_ns: int
    st_mtime_ns: int
    size: int
    device_number: int
    inode: int
    ctime_ns: int
    links: int
    key: tuple[int, int]
    error: int = 0

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.st_mode)

    def is_still(self, live: os.stat_result) -> bool:
        """The live entry was not touched since: nobody but the kernel sets an inode's change time."""
        return (
            self.inode != 0
            and (live.st_ino, live.st_ctime_ns, live.st_mtime_ns) == (self.inode, self.ctime_ns, self.st_mtime_ns)
            and live.st_mode == self.st_mode
            and (live.st_size == self.size or self.is_directory)
        )


def wanted_entries(found: dict[bytes, os.stat_result], origins: Origins | None) -> dict[bytes, Wanted]:
    """What the snapshot says of entries; without a table of origins its own inodes are those of the source."""
    if origins is None:
        return {name: wanted_entry(status) for name, status in found.items()}
    rows = origins.find_many([status.st_ino for status in found.values()])
    return {
        name: wanted_entry(status, row or _UNKNOWN) for (name, status), row in zip(found.items(), rows, strict=True)
    }


def wanted_entry(status: os.stat_result, row: Row | None = None) -> Wanted:
    """``row`` tells what the snapshot's file itself cannot; one of zeros = nothing is known of it."""
    if row is None:
        row = (0, status.st_ino, status.st_ctime_ns, status.st_mode, status.st_uid, status.st_gid, 0)
    elif row is _UNKNOWN:
        row = (0, 0, 0, status.st_mode, status.st_uid, status.st_gid, 0)
    _, inode, ctime_ns, mode, uid, gid, error = row
    return Wanted(
        st_mode=mode,
        st_uid=uid,
        st_gid=gid,
        st_atime_ns=status.st_atime_ns,
        st_mtime_ns=status.st_mtime_ns,
        size=status.st_size,
        device_number=status.st_rdev,
        inode=inode,
        ctime_ns=ctime_ns,
        links=status.st_nlink,
        key=(status.st_dev, status.st_ino),
        error=error,
    )


class EntryReverter:
    """Puts entries in place of live ones; remembers where the first name of each hard-linked inode is."""

    def __init__(self, keep_going: Callable[[], None], warn: Callable[[str], None]) -> None:
        self._cloner = Cloner(keep_going)
        self._metadata = MetadataWriter(warn)
        self._numbers = itertools.count(1)
        self._links: dict[tuple[int, int], tuple[tuple[bytes, ...], bytes]] = {}

    def temporary(self) -> bytes:
        """A name that nothing in this run has; one that a killed run left is not in the snapshot, and so goes."""
        return os.fsencode(f"{_TEMPORARY}{os.getpid()}-{next(self._numbers)}")

    def first_name(self, wanted: Wanted) -> tuple[tuple[bytes, ...], bytes] | None:
        """(directory, name) of the live entry that further names of the inode are linked to."""
        return self._links.get(wanted.key)

    def remember(self, wanted: Wanted, parts: tuple[bytes, ...], name: bytes) -> None:
        """The live ``name`` is what the snapshot's inode is now."""
        if wanted.links > 1:
            self._links.setdefault(wanted.key, (parts, name))

    def replace(self, name: bytes, wanted: Wanted, *, source_fd: int, live_fd: int) -> None:
        """Raises SourceReadError for the snapshot, OSError for the live side, and what ``keep_going`` raises."""
        temporary = self.temporary()
        try:
            if stat.S_ISREG(wanted.st_mode):
                self._make_file(name, temporary, wanted, source_fd=source_fd, live_fd=live_fd)
            else:
                self._make_special(name, temporary, wanted, source_fd=source_fd, live_fd=live_fd)
            os.rename(temporary, name, src_dir_fd=live_fd, dst_dir_fd=live_fd)
        except BaseException:
            _discard(temporary, live_fd)
            raise

    def link(self, name: bytes, first: bytes, *, first_fd: int, live_fd: int) -> None:
        """Make ``name`` another name of an entry that is in place. Raises OSError."""
        temporary = self.temporary()
        os.link(first, temporary, src_dir_fd=first_fd, dst_dir_fd=live_fd, follow_symlinks=False)
        try:
            os.rename(temporary, name, src_dir_fd=live_fd, dst_dir_fd=live_fd)
        except BaseException:
            _discard(temporary, live_fd)
            raise

    def settle(self, target: int | str, wanted: Wanted, attributes: Attributes) -> None:
        """Give an entry (open, or by a path that is not followed) its final metadata. Raises OSError."""
        self._metadata.drop_others(target, attributes)
        self._metadata.apply(target, wanted, attributes)

    def _make_file(self, name: bytes, temporary: bytes, wanted: Wanted, *, source_fd: int, live_fd: int) -> None:
        source = open_source(name, directory=source_fd)
        try:
            target = os.open(temporary, _CREATE, 0o600, dir_fd=live_fd)
            try:
                self._cloner.transfer(source, target, os.fstat(source))
                self.settle(target, wanted, read_attributes(source))
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _make_special(self, name: bytes, temporary: bytes, wanted: Wanted, *, source_fd: int, live_fd: int) -> None:
        attributes = read_attributes(_path_in(source_fd, name))
        if stat.S_ISLNK(wanted.st_mode):
            os.symlink(os.fsencode(read_link(os.fsdecode(name), source_fd)), temporary, dir_fd=live_fd)
        else:
            kind = stat.S_IFMT(wanted.st_mode)
            device = wanted.device_number if kind in (stat.S_IFBLK, stat.S_IFCHR) else 0
            os.mknod(temporary, kind | 0o600, device, dir_fd=live_fd)
        self.settle(_path_in(live_fd, temporary), wanted, attributes)


def _path_in(directory: int, name: bytes) -> str:
    """A path to an entry of an open directory, for calls that take no descriptor of it."""
    return f"/proc/self/fd/{directory}/{os.fsdecode(name)}"


def _discard(name: bytes, directory: int) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except OSError:
        return
