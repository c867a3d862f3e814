"""A directory tree as a complete copy: all metadata, hard links inside it, sparse files, any byte in names; parallel.

Clones data where the file system can (FICLONE) and copies it elsewhere. What the copy itself cannot hold goes to the
table of :mod:`origins`. A file that cannot be read, or that changes meanwhile, is a warning and never the end.
Names, areas and manifests of snapshots live elsewhere.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterable
from typing import Final

from .copy_report import CopyReport, shown
from .deep_paths import open_directory
from .entry_copy import EntryCopier, Place
from .file_copy import SourceReadError
from .metadata import Attributes, read_attributes
from .work_queue import WorkQueue

_BATCH: Final = 128
"""Files copied by one task: so that the files of one large directory are shared among the threads."""

Listed = tuple[str, os.stat_result]


class _Directory:
    """A directory under way. ``pending`` counts what must end before its own metadata is final."""

    __slots__ = ("attributes", "parent", "pending", "place", "readers", "status")

    def __init__(self, place: Place, status: os.stat_result, parent: _Directory | None) -> None:
        self.place = place
        self.status = status
        self.parent = parent
        self.pending = 1
        self.readers = 0
        self.attributes: Attributes = []


class TreeCopier:
    """Copies content paths into one snapshot. ``skip`` holds (device, inode) of directories that are left out."""

    def __init__(
        self,
        queue: WorkQueue,
        report: CopyReport,
        *,
        skip: Iterable[tuple[int, int]] = (),
        cross_file_systems: bool = False,
    ) -> None:
        self._queue = queue
        self._report = report
        self._entries = EntryCopier(queue.keep_going, report)
        self._skip = frozenset(skip)
        self._cross = cross_file_systems
        self._lock = threading.Lock()

    def copy(self, source: str, target: str) -> None:
        """Copy the directory ``source`` to the new directory ``target``; returns when all of it is done.

        Raises OSError for the target, SourceReadError for the source itself, and what the control raises.
        """
        real = os.fsencode(os.path.realpath(source))
        try:
            status = os.lstat(real)
            os.close(open_directory(real))
        except OSError as error:
            raise SourceReadError(error.errno or errno.EIO) from error
        os.mkdir(target, 0o700)
        root = _Directory(Place(real, os.fsencode(target)), status, None)
        self._queue.run(lambda: self._enter(root))

    def _enter(self, directory: _Directory) -> None:
        self._queue.keep_going()
        try:
            listed = self._open(directory)
        except SourceReadError as trouble:
            self._refuse(directory, trouble.number)
            return
        files: list[Listed] = []
        for entry in listed:
            if not stat.S_ISDIR(entry[1].st_mode):
                files.append(entry)
            elif (entry[1].st_dev, entry[1].st_ino) not in self._skip:
                self._descend(directory, *entry)
        batches = [files[start : start + _BATCH] for start in range(0, len(files), _BATCH)]
        with self._lock:
            directory.pending += len(batches)
            directory.readers = len(batches)
        for batch in batches[1:]:
            self._queue.put(lambda batch=batch: self._copy_batch(directory, batch))  # type: ignore[misc]
        if batches:
            self._copy_batch(directory, batches[0])
        else:
            directory.place.close()
        self._finish(directory)

    def _open(self, directory: _Directory) -> list[Listed]:
        """Open both sides and list the source. Raises SourceReadError, and OSError for the target."""
        place = directory.place
        try:
            place.open_source()
            now = os.fstat(place.source_fd)
            if (now.st_dev, now.st_ino) != (directory.status.st_dev, directory.status.st_ino):
                raise SourceReadError(errno.ESTALE)
            listed = _list(place.source_fd)
        except OSError as error:
            place.close()
            raise SourceReadError(error.errno or errno.EIO) from error
        except SourceReadError:
            place.close()
            raise
        directory.status = now
        directory.attributes = read_attributes(place.source_fd)
        place.open_target()
        return listed

    def _descend(self, directory: _Directory, name: str, status: os.stat_result) -> None:
        os.mkdir(name, 0o700, dir_fd=directory.place.target_fd)
        child = _Directory(directory.place.below(name), status, directory)
        with self._lock:
            directory.pending += 1
        if status.st_dev != directory.status.st_dev and not self._cross:
            self._report.warn(f"“{shown(child.place.source)}” is the root of another file system and is left out.")
            self._finish(child)
            return
        self._queue.put(lambda: self._enter(child))

    def _copy_batch(self, directory: _Directory, batch: list[Listed]) -> None:
        records = []
        try:
            for name, status in batch:
                self._queue.keep_going()
                record = self._entries.copy(name, status, directory.place)
                if record is not None:
                    records.append(record)
        finally:
            self._report.add_origins(records)
            with self._lock:
                directory.readers -= 1
                last = directory.readers == 0
            if last:
                directory.place.close()
        self._finish(directory)

    def _finish(self, directory: _Directory) -> None:
        """One thing less to wait for; the directory's own metadata comes last, then its parent's turn."""
        node: _Directory | None = directory
        while node is not None:
            with self._lock:
                node.pending -= 1
                if node.pending:
                    return
            target = open_directory(node.place.target)
            try:
                self._report.add_origins([self._entries.settle(target, node.status, node.attributes)])
            finally:
                os.close(target)
            node = node.parent

    def _refuse(self, directory: _Directory, number: int) -> None:
        """An empty directory stands for one that cannot be read; one that vanished goes."""
        self._report.trouble(directory.place.source, number)
        if number in (errno.ENOENT, errno.ESTALE, errno.ENOTDIR):
            _remove_empty(directory.place.target)
        else:
            target = open_directory(directory.place.target)
            try:
                self._report.add_origins([self._entries.settle(target, directory.status, [], number)])
            finally:
                os.close(target)
        if directory.parent is not None:
            self._finish(directory.parent)


def _remove_empty(path: bytes) -> None:
    parent = open_directory(os.path.dirname(path))
    try:
        os.rmdir(os.path.basename(path), dir_fd=parent)
    finally:
        os.close(parent)


def _list(directory: int) -> list[Listed]:
    """Entries with their status; one that vanishes meanwhile is left out. Raises OSError."""
    found: list[Listed] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                found.append((entry.name, entry.stat(follow_symlinks=False)))
            except FileNotFoundError:
                continue
    return found
