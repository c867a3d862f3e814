"""One directory entry that is not a directory, copied with everything it has: file, link, device, fifo or socket."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable
from typing import Final

from .copy_report import CopyReport
from .deep_paths import open_directory
from .file_copy import Cloner, SourceReadError, open_source
from .metadata import Attributes, MetadataWriter, read_attributes
from .origins import Row

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_VANISHED: Final = frozenset({errno.ENOENT, errno.ESTALE})


class Place:
    """One directory on both sides: absolute paths, and descriptors while both are open (else -1)."""

    __slots__ = ("source", "source_fd", "target", "target_fd")

    def __init__(self, source: bytes, target: bytes) -> None:
        self.source = source
        self.target = target
        self.source_fd = self.target_fd = -1

    def below(self, name: str) -> Place:
        """The same for a directory in it, not yet opened."""
        raw = os.fsencode(name)
        return Place(self.source + b"/" + raw, self.target + b"/" + raw)

    def open_source(self) -> None:
        """Raises OSError."""
        self.source_fd = open_directory(self.source)

    def open_target(self) -> None:
        """Raises OSError."""
        self.target_fd = open_directory(self.target)

    def close(self) -> None:
        for fd in (self.source_fd, self.target_fd):
            if fd >= 0:
                os.close(fd)
        self.source_fd = self.target_fd = -1

    def __del__(self) -> None:
        """Work that was cut off leaves directories open whose tasks never ran."""
        self.close()


class EntryCopier:
    """Copies entries of one snapshot; knows the hard links met so far. Thread-safe."""

    def __init__(self, keep_going: Callable[[], None], report: CopyReport) -> None:
        self._report = report
        self._cloner = Cloner(keep_going)
        self._metadata = MetadataWriter(report.warn)
        self._links: dict[tuple[int, int], _FirstLink] = {}
        self._lock = threading.Lock()

    def copy(self, name: str, status: os.stat_result, place: Place) -> Row | None:
        """Copy ``name`` from the open source into the open target; its row of origins, None if it needs none.

        Raises OSError for the target only.
        """
        path = place.source + b"/" + os.fsencode(name)
        try:
            if stat.S_ISREG(status.st_mode):
                return self._copy_file(name, path, place)
            return self._copy_special(name, status, place)
        except SourceReadError as trouble:
            self._report.trouble(path, trouble.number)
            if trouble.number in _VANISHED:
                return None
            return self._placeholder(name, status, place.target_fd, trouble.number)

    def settle(self, target: int, status: os.stat_result, attributes: Attributes, error: int = 0) -> Row:
        """Give an open target its final metadata; its row of origins. ``error`` closes it to everybody."""
        inode = self._metadata.apply(target, status, attributes)
        if error:
            os.fchmod(target, 0)
        return _row(inode, status, error)

    def _copy_file(self, name: str, path: bytes, place: Place) -> Row | None:
        source = open_source(name, directory=place.source_fd)
        try:
            status = os.fstat(source)
            if not stat.S_ISREG(status.st_mode):
                raise SourceReadError(errno.ESTALE)
            copy = self._create(name, status, place)
            if copy is None:
                return None
            try:
                return self._fill(source, copy, status, path)
            finally:
                os.close(copy)
        finally:
            os.close(source)

    def _fill(self, source: int, copy: int, status: os.stat_result, path: bytes) -> Row:
        try:
            copied = self._cloner.transfer(source, copy, status)
        except SourceReadError as trouble:
            self._report.trouble(path, trouble.number)
            os.ftruncate(copy, 0)
            return self.settle(copy, status, [], trouble.number)
        after = os.fstat(source)
        if (after.st_mtime_ns, after.st_size) != (status.st_mtime_ns, status.st_size):
            self._report.changed(path)
        self._report.count_file(copied)
        return self.settle(copy, status, read_attributes(source))

    def _create(self, name: str, status: os.stat_result, place: Place) -> int | None:
        """A new file of that name open for writing; None if it became a link to one that was copied before."""
        if status.st_nlink == 1:
            return os.open(name, _CREATE, 0o600, dir_fd=place.target_fd)
        with self._lock:
            first = self._links.get((status.st_dev, status.st_ino))
            if first is None:
                self._links[status.st_dev, status.st_ino] = _FirstLink(place.target, name, status.st_nlink - 1)
                return os.open(name, _CREATE, 0o600, dir_fd=place.target_fd)
            self._link(first, name, status, place.target_fd)
            return None

    def _copy_special(self, name: str, status: os.stat_result, place: Place) -> Row | None:
        link = read_link(name, place.source_fd) if stat.S_ISLNK(status.st_mode) else ""
        attributes = read_attributes(f"/proc/self/fd/{place.source_fd}/{name}")
        with self._lock:
            key = (status.st_dev, status.st_ino)
            first = self._links.get(key) if status.st_nlink > 1 else None
            if first is not None:
                self._link(first, name, status, place.target_fd)
                return None
            if link:
                os.symlink(link, name, dir_fd=place.target_fd)
            else:
                self._make_node(name, status, place.target_fd)
            if status.st_nlink > 1:
                self._links[key] = _FirstLink(place.target, name, status.st_nlink - 1)
        inode = self._metadata.apply(f"/proc/self/fd/{place.target_fd}/{name}", status, attributes)
        return _row(inode, status, 0)

    def _make_node(self, name: str, status: os.stat_result, target_fd: int) -> None:
        kind = stat.S_IFMT(status.st_mode)
        device = status.st_rdev if kind in (stat.S_IFBLK, stat.S_IFCHR) else 0
        try:
            os.mknod(name, kind | 0o600, device, dir_fd=target_fd)
        except PermissionError as error:
            raise SourceReadError(error.errno or errno.EPERM) from error

    def _link(self, first: _FirstLink, name: str, status: os.stat_result, target_fd: int) -> None:
        """Called with the lock held, so that the first link is there."""
        directory = open_directory(first.directory)
        try:
            os.link(first.name, name, src_dir_fd=directory, dst_dir_fd=target_fd, follow_symlinks=False)
        finally:
            os.close(directory)
        first.left -= 1
        if not first.left:
            del self._links[status.st_dev, status.st_ino]

    def _placeholder(self, name: str, status: os.stat_result, target_fd: int, number: int) -> Row:
        """An empty file nobody may open stands for one that could not be read; the row holds the errno."""
        copy = os.open(name, _CREATE, 0, dir_fd=target_fd)
        try:
            return self.settle(copy, status, [], number)
        finally:
            os.close(copy)


class _FirstLink:
    """Where the first copied name of an inode is, and how many more may follow."""

    __slots__ = ("directory", "left", "name")

    def __init__(self, directory: bytes, name: str, left: int) -> None:
        self.directory = directory
        self.name = name
        self.left = left


def read_link(name: str, directory: int) -> str:
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError as error:
        raise SourceReadError(error.errno or errno.EIO) from error


def _row(inode: int, status: os.stat_result, error: int) -> Row:
    return (inode, status.st_ino, status.st_ctime_ns, status.st_mode, status.st_uid, status.st_gid, error)
