"""The place where an engine keeps its snapshots: names of this installation only, nothing half under a real name.

A snapshot grows under ``.<name>.new`` and is renamed when it is complete; a deleted one becomes ``.<name>.old`` first.
Whoever works on one holds a lock (flock) on its directory, so that leftovers of killed jobs are told from work in
progress. Names outside RULES O2, and those of other installations, are never shown, opened or removed.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..errors import SnapshotMissing, SnapshotNotOurs, StorageBusy
from ..ids import SnapshotName, owned_snapshot_name
from .base import SnapshotRef
from .storage_errors import area_error
from .tree_remove import remove_tree

DEFAULT_FOLDER: Final = ".snapcopy"
_MANIFEST: Final = "manifest.json"
_NEW: Final = ".new"
_OLD: Final = ".old"
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_libc: Final = ctypes.CDLL(None, use_errno=True)


class SnapshotArea:
    """One directory of mode 0700. Holds nothing open between calls."""

    def __init__(self, path: Path, install: str) -> None:
        self.path = path
        self.install = install

    def prepare(self) -> None:
        """Make the area if it is not there. Raises InvalidOptions (``area``), NoSpace, SourceUnavailable."""
        with self.errors("make the snapshot area"):
            os.makedirs(self.path, 0o700, exist_ok=True)

    def owned(self, name: str) -> SnapshotName:
        """Raises SnapshotNotOurs."""
        return owned_snapshot_name(name, self.install)

    def directory(self, name: str) -> Path:
        """Where a snapshot of ours is or would be. Raises SnapshotNotOurs."""
        return self.path / self.owned(name)

    def names(self) -> list[SnapshotName]:
        """Complete snapshots of this installation, sorted; an area that does not exist holds none."""
        return [name for name, suffix in self._entries() if not suffix]

    @contextlib.contextmanager
    def staged(self, name: str) -> Iterator[Path]:
        """A new directory that grows; published when the block ends well, removed when it does not."""
        target = self.directory(name)
        self.prepare()
        self.sweep()
        if os.path.lexists(target):
            raise StorageBusy(f"There is already a snapshot “{name}”.", hint="Resubmit the job; it takes a new name.")
        staging = self.path / f".{name}{_NEW}"
        with self.errors("write to the snapshot area"):
            lock = self._make_locked(staging)
        try:
            try:
                yield staging
                with self.errors("write to the snapshot area"):
                    sync_file_system(lock)
                    os.rename(staging, target)
            except BaseException:
                with contextlib.suppress(OSError):
                    remove_tree(str(staging))
                raise
        finally:
            os.close(lock)

    @contextlib.contextmanager
    def held(self, name: str) -> Iterator[Path]:
        """Keep a snapshot from being deleted while it is read. Raises SnapshotMissing."""
        lock = self._open_snapshot(name)
        try:
            hold(lock, name)
            yield self.directory(name)
        finally:
            os.close(lock)

    def remove(self, name: str) -> None:
        """Remove a snapshot's directory; a missing one is no error. Raises SnapshotNotOurs, StorageBusy."""
        directory = self.directory(name)
        self.sweep()
        try:
            lock = self._open_snapshot(name)
        except SnapshotMissing:
            return
        try:
            require_unread(lock, name)
            aside = self.path / f".{name}{_OLD}"
            with self.errors("remove a snapshot from"):
                os.rename(directory, aside)
                remove_tree(str(aside))
        finally:
            os.close(lock)

    def sweep(self) -> int:
        """Remove what killed jobs of this installation left; how many. What somebody works on stays."""
        swept = 0
        for name, suffix in self._entries():
            if suffix and self._sweep_one(self.path / f".{name}{suffix}"):
                swept += 1
        return swept

    def write_manifest(self, ref: SnapshotRef, folder: Path) -> None:
        """Describe a snapshot in ``folder``. Raises NoSpace and the other errors of the area."""
        with self.errors("write to the snapshot area"):
            write_manifest(ref, folder / _MANIFEST)

    def read_ref(self, name: SnapshotName) -> SnapshotRef:
        """Raises SnapshotMissing."""
        return read_manifest(self.directory(name) / _MANIFEST, name)

    @contextlib.contextmanager
    def errors(self, action: str) -> Iterator[None]:
        """Turn an OSError of the block into one of the engine's."""
        try:
            yield
        except OSError as error:
            raise area_error(error, action, str(self.path)) from error

    def _entries(self) -> Iterator[tuple[SnapshotName, str]]:
        """(name, "" or the suffix of a leftover), of this installation only."""
        try:
            found = sorted(os.listdir(self.path))
        except FileNotFoundError:
            return
        except OSError as error:
            raise area_error(error, "list the snapshot area", str(self.path)) from error
        for entry in found:
            suffix = next((ending for ending in (_NEW, _OLD) if entry.startswith(".") and entry.endswith(ending)), "")
            with contextlib.suppress(SnapshotNotOurs):
                yield self.owned(entry[1 : -len(suffix)] if suffix else entry), suffix

    def _open_snapshot(self, name: str) -> int:
        try:
            return os.open(self.directory(name), _DIRECTORY)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SnapshotMissing(f"Snapshot “{name}” is not in “{self.path}” any more.") from error
        except OSError as error:
            raise area_error(error, "open a snapshot in", str(self.path)) from error

    def _make_locked(self, staging: Path) -> int:
        """A sweep may take the directory between its making and its lock: then it is made again."""
        while True:
            os.mkdir(staging, 0o700)
            lock = os.open(staging, _DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.exists(staging):
                    return lock
            except OSError:
                if os.path.exists(staging):
                    os.close(lock)
                    raise
            os.close(lock)

    def _sweep_one(self, leftover: Path) -> bool:
        try:
            lock = os.open(leftover, _DIRECTORY)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_tree(str(leftover))
        except OSError:
            return False
        finally:
            os.close(lock)
        return True


def hold(lock: int, name: str) -> None:
    """Share the lock of a snapshot's open directory while reading it. Raises SnapshotMissing if it is being deleted.

    A file system without locks is read without one: only a deletion beside the copy could disturb it.
    """
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise SnapshotMissing(f"Snapshot “{name}” is being deleted.") from error
    except OSError:
        return


def require_unread(lock: int, name: str) -> None:
    """Raises StorageBusy while somebody reads the snapshot whose directory is open as ``lock``."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StorageBusy(
            f"Snapshot “{name}” is being read, so it stays for now.", hint="Delete it when the copy has ended."
        ) from error
    except OSError:
        return


def write_manifest(ref: SnapshotRef, path: Path) -> None:
    """Describe a snapshot beside its data, durable and whole or not at all. Raises OSError."""
    values = {
        "version": 1,
        "engine": ref.engine,
        "taken_at_ns": ref.taken_at_ns,
        "content": list(ref.content),
        "handle": ref.handle,
        "exclusive_bytes": ref.exclusive_bytes,
        "warnings": list(ref.warnings),
    }
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(values, file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)


def read_manifest(path: Path, name: SnapshotName) -> SnapshotRef:
    """Raises SnapshotMissing if it is gone or damaged."""
    try:
        with open(path, encoding="utf-8") as file:
            values = json.load(file)
        return SnapshotRef(
            name=name,
            engine=str(values["engine"]),
            taken_at_ns=int(values["taken_at_ns"]),
            content=tuple(str(entry) for entry in values["content"]),
            handle={str(key): str(value) for key, value in values["handle"].items()},
            exclusive_bytes=values["exclusive_bytes"],
            warnings=tuple(str(entry) for entry in values["warnings"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SnapshotMissing(f"Snapshot “{name}” has no readable manifest at “{path}”.") from error


def sync_file_system(fd: int) -> None:
    """``syncfs(2)``: a snapshot under its real name survives a power cut whole. Raises OSError.

    On btrfs also what makes it comparable: until its data are on disk, the tree does not say where they lie.
    """
    if _libc.syncfs(fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
