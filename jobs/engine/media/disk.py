"""A directory as a medium: local disks, NFS and SMB mounts, LTFS.

A file is written under a temporary name, synced, renamed, and its directory synced, so that after a crash it is there
whole or not at all. Nothing is kept open between calls, so a fork needs no care and a mount can be taken away.
What the directory holds, and in which format, is not known here.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..errors import MediaUnavailable, NoSpace, RepositoryDamaged
from .base import Buffer, TestReport, Usage
from .disk_direct import DIRECT_FROM_BYTES, write_direct
from .disk_errors import media_error
from .disk_leftovers import is_temporary, sweep_directory, temporary_name
from .names import checked_name, checked_prefix
from .probe import run_probe

_WRITEV_PIECES: Final = 512
"""Pieces per ``writev``; Linux takes at most 1024 (IOV_MAX)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskOptions:
    """Where the repository lives, and what is demanded of the place before anything is written."""

    path: Path = field(
        metadata={
            "label": "Directory",
            "help": "Absolute path on the access nodes. NFS, SMB and LTFS mounts work; every node must see the same.",
        }
    )
    must_be_mountpoint: bool = field(
        default=False,
        metadata={
            "label": "Must be a mount point",
            "help": "Refuse to write while nothing is mounted there, instead of filling the disk below.",
        },
    )
    create_directory: bool = field(
        default=False,
        metadata={"label": "Create the directory", "help": "Make the directory if it does not exist yet."},
    )
    fsync: bool = field(
        default=True,
        metadata={
            "label": "Sync every file",
            "help": "Wait until each file is on stable storage. Off is faster; a power cut may then lose a copy.",
        },
    )
    min_free_bytes: int = field(
        default=0,
        metadata={
            "label": "Keep free",
            "help": "Stop writing when less than this would stay free on the file system.",
            "unit": "bytes",
            "minimum": 0,
        },
    )


class DiskMedia:
    """One directory. Thread-safe; safe after ``fork``."""

    def __init__(self, options: DiskOptions) -> None:
        self._options = options
        self._root = os.fsencode(options.path)
        self._lock = threading.Lock()
        self._identity: tuple[int, int] | None = None
        self._swept: set[bytes] = set()

    def put(self, name: str, pieces: Sequence[Buffer]) -> None:
        """See :class:`~jobs.engine.media.base.Media`. Raises NoSpace, MediaRefused, MediaUnavailable."""
        path = self._path(name)
        self._require_root()
        length = sum(memoryview(piece).nbytes for piece in pieces)
        self._require_space(length, name)
        directory, base = os.path.split(path)
        temporary = os.path.join(directory, temporary_name(base))
        try:
            self._write(directory, temporary, pieces, length)
            os.rename(temporary, path)
            if self._options.fsync:
                _sync_directory(directory)
        except OSError as error:
            self._discard(temporary)
            raise self._error(error, "write", name) from error
        self._sweep_once(directory)

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See :class:`~jobs.engine.media.base.Media`. Raises FileMissing, or RepositoryDamaged if it is too short."""
        try:
            fd = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
            try:
                wanted = os.fstat(fd).st_size - offset if length is None else length
                data = _read_fully(fd, wanted, offset)
            finally:
                os.close(fd)
        except OSError as error:
            raise self._error(error, "read", name) from error
        if len(data) != wanted:
            raise RepositoryDamaged(
                f"“{name}” on {self} ends after {offset + len(data)} bytes; {offset + wanted} were expected.", name=name
            )
        return data

    def size(self, name: str) -> int:
        """Bytes of a stored file. Raises FileMissing."""
        try:
            return os.stat(self._path(name)).st_size
        except OSError as error:
            raise self._error(error, "look up", name) from error

    def exists(self, name: str) -> bool:
        try:
            os.stat(self._path(name))
        except FileNotFoundError:
            self._require_root()
            return False
        except OSError as error:
            raise self._error(error, "look up", name) from error
        return True

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See :class:`~jobs.engine.media.base.Media`. A folder that does not exist is empty."""
        folder = checked_prefix(prefix)
        self._require_root()
        try:
            yield from _walk(os.path.join(self._root, os.fsencode(folder)) if folder else self._root, folder)
        except OSError as error:
            raise self._error(error, "list", prefix or "/") from error

    def delete(self, name: str) -> None:
        """See :class:`~jobs.engine.media.base.Media`. The removal is durable when it returns."""
        path = self._path(name)
        try:
            os.unlink(path)
            if self._options.fsync:
                _sync_directory(os.path.dirname(path))
        except FileNotFoundError:
            self._require_root()
        except OSError as error:
            raise self._error(error, "delete", name) from error

    def usage(self) -> Usage:
        """Of the whole file system; free is what an ordinary user may still write."""
        self._require_root()
        try:
            status = os.statvfs(self._root)
        except OSError as error:
            raise self._error(error, "measure", "/") from error
        return Usage(total_bytes=status.f_blocks * status.f_frsize, free_bytes=status.f_bavail * status.f_frsize)

    def test(self) -> TestReport:
        """See :class:`~jobs.engine.media.base.Media`. Makes the directory only if the options say so."""
        return run_probe(self, prepare=self._require_root, place=str(self._options.path))

    def sweep(self) -> int:
        """Remove what killed writers left below the directory; files of living writers stay. Returns how many."""
        self._require_root()
        return sum(sweep_directory(os.fsencode(directory)) for directory, _folders, _files in os.walk(self._root))

    def close(self) -> None:
        """Nothing is held open."""

    def __str__(self) -> str:
        return f"disk {self._options.path}"

    def _path(self, name: str) -> bytes:
        return os.path.join(self._root, os.fsencode(checked_name(name)))

    def _require_root(self) -> None:
        """The root is there, a mount point if demanded, and the same directory as at first."""
        try:
            status = self._root_status()
        except OSError as error:
            raise self._error(error, "open", "/") from error
        if self._options.must_be_mountpoint and not os.path.ismount(self._root):
            raise MediaUnavailable(
                f"Nothing is mounted at {self._options.path}.",
                hint="Mount it on the access node, or turn “Must be a mount point” off.",
            )
        identity = (status.st_dev, status.st_ino)
        with self._lock:
            known = self._identity = self._identity or identity
        if known != identity:
            raise MediaUnavailable(f"Another directory appeared at {self._options.path} while it was in use.")

    def _root_status(self) -> os.stat_result:
        try:
            return os.stat(self._root + b"/.")
        except FileNotFoundError:
            if not self._options.create_directory or self._identity is not None:
                raise
        os.makedirs(self._root, 0o700, exist_ok=True)
        return os.stat(self._root)

    def _require_space(self, length: int, name: str) -> None:
        if not self._options.min_free_bytes:
            return
        free = self.usage().free_bytes
        if free is not None and free - length < self._options.min_free_bytes:
            kept = self._options.min_free_bytes
            raise NoSpace(f"{self} has {free} bytes free; “{name}” would go below the {kept} to keep free.")

    def _write(self, directory: bytes, temporary: bytes, pieces: Sequence[Buffer], length: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            fd = os.open(temporary, flags, 0o600)
        except FileNotFoundError:
            self._make_directory(directory)
            fd = os.open(temporary, flags, 0o600)
        try:
            if self._options.fsync and length >= DIRECT_FROM_BYTES:
                write_direct(fd, pieces)
            else:
                _write_pieces(fd, pieces, length)
            if self._options.fsync:
                os.fsync(fd)
        finally:
            os.close(fd)

    def _make_directory(self, directory: bytes) -> None:
        """Folders below the root, each durable in its parent; the root itself is never made here."""
        if directory == self._root:
            raise FileNotFoundError(2, "no such directory", os.fsdecode(directory))
        parent = os.path.dirname(directory)
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            return
        except FileNotFoundError:
            self._make_directory(parent)
            self._make_directory(directory)
            return
        if self._options.fsync:
            _sync_directory(parent)

    def _discard(self, temporary: bytes) -> None:
        try:
            os.unlink(temporary)
        except OSError:
            return

    def _sweep_once(self, directory: bytes) -> None:
        """Leftovers go when their directory is first written: a dead writer's file is never waited for."""
        with self._lock:
            if directory in self._swept:
                return
            self._swept.add(directory)
        sweep_directory(directory)

    def _error(self, error: OSError, action: str, name: str) -> Exception:
        return media_error(error, action=action, name=name, root=self._root, medium=str(self))


def _write_pieces(fd: int, pieces: Sequence[Buffer], length: int) -> None:
    for start in range(0, len(pieces), _WRITEV_PIECES):
        part = pieces[start : start + _WRITEV_PIECES]
        expected = sum(memoryview(piece).nbytes for piece in part)
        written = os.writev(fd, part)
        if written < expected:
            rest = memoryview(b"".join(part))[written:]
            while rest:
                rest = rest[os.write(fd, rest) :]


def _read_fully(fd: int, wanted: int, offset: int) -> bytes:
    """One ``pread`` nearly always; more when the kernel gives less, as it does above 2 GiB."""
    if wanted <= 0:
        return b""
    data = os.pread(fd, wanted, offset)
    if len(data) == wanted or not data:
        return data
    parts = [data]
    done = len(data)
    while done < wanted:
        data = os.pread(fd, wanted - done, offset + done)
        if not data:
            break
        parts.append(data)
        done += len(data)
    return b"".join(parts)


def _sync_directory(directory: bytes) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _walk(directory: bytes, folder: str) -> Iterator[tuple[str, int]]:
    try:
        entries = os.scandir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return
    below: list[tuple[bytes, str]] = []
    with entries:
        for entry in entries:
            name = os.fsdecode(entry.name)
            relative = f"{folder}/{name}" if folder else name
            try:
                if entry.is_dir():
                    below.append((entry.path, relative))
                elif not is_temporary(entry.name):
                    yield relative, entry.stat().st_size
            except FileNotFoundError:
                continue
    for path, relative in below:
        yield from _walk(path, relative)
