"""WebDAV as a medium, inside a host: folders must exist before files, and a put is not atomic.

A file is put under a temporary name in a folder of its own and moved to where it belongs, so that one that was cut
off is never seen. Whether a server has written to its disk before it answers, the protocol does not tell.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Final

from opendal import exceptions

from .errors import status_of
from .settings import StoreSettings
from .store import ObjectStore

TEMPORARY_FOLDER: Final = "tmp/"
STALE_AFTER_SECONDS: Final = 24 * 3600
_PACKS: Final = "data/"
_LOCKED_PAUSES: Final = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_AT_ONCE: Final = 8
"""Requests that list folders at the same time."""


class WebDavStore(ObjectStore):
    """One folder of a WebDAV server."""

    def __init__(self, settings: StoreSettings) -> None:
        super().__init__(settings)
        self._folders: set[str] = set()
        self._lock = threading.Lock()

    def _write(self, name: str, body: bytes) -> None:
        self._make_folders(TEMPORARY_FOLDER)
        self._make_folders(name.rpartition("/")[0] + "/")
        temporary = f"{TEMPORARY_FOLDER}{name.rpartition('/')[2][:40]}-{secrets.token_hex(8)}"
        try:
            self._operator.write(temporary, body)
            self._move(temporary, name)
        except BaseException:
            with contextlib.suppress(Exception):
                self._operator.delete(temporary)
            raise

    def _move(self, temporary: str, name: str) -> None:
        """Servers lock both names while they move; somebody who puts the same file is done in a moment."""
        for pause_seconds in (*_LOCKED_PAUSES, None):
            try:
                self._operator.rename(temporary, name)
                return
            except Exception as error:
                if status_of(error) != 423 or pause_seconds is None:
                    raise
                time.sleep(pause_seconds)

    def _rows(self, folder: str) -> Iterator[tuple[str, int]]:
        """Folder by folder: few servers list a whole tree at once, and those that do are slow at it."""
        files, folders = self._listed(folder)
        yield from files
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            while folders:
                below: list[str] = []
                for files, found in pool.map(self._listed, folders):
                    yield from files
                    below += found
                folders = below

    def _listed(self, folder: str) -> tuple[list[tuple[str, int]], list[str]]:
        """(files with their bytes, folders) right in ``folder``; both empty if it is not there."""
        files: list[tuple[str, int]] = []
        folders: list[str] = []
        with contextlib.suppress(exceptions.NotFound):
            for entry in self._operator.list(folder):
                path = entry.path
                if path in (folder, "/", TEMPORARY_FOLDER):
                    continue
                if entry.metadata.is_file:
                    files.append((path, entry.metadata.content_length))
                else:
                    folders.append(path)
        return files, folders

    def _make_folders(self, folder: str) -> None:
        """Make ``folder`` and those above, one at a time: servers fail when two make one folder at once.

        Which of the 256 folders of packs are there is asked once, with the first pack.
        """
        if folder in self._folders or folder == "/":
            return
        with self._lock:
            if folder.startswith(_PACKS) and _PACKS not in self._folders:
                self._folders.update([_PACKS, *self._listed(_PACKS)[1]])
            if folder in self._folders:
                return
            self._make(folder)
            if folder == TEMPORARY_FOLDER:
                self._sweep()
            self._folders.add(folder)

    def _make(self, folder: str) -> None:
        """Another node may make it at the same moment, answered in many ways: only its being there counts."""
        for pause_seconds in (*_LOCKED_PAUSES[:5], None):
            try:
                self._operator.create_dir(folder)
                return
            except Exception:
                if self._is_folder(folder):
                    return
                if pause_seconds is None:
                    raise
                time.sleep(pause_seconds)

    def _is_folder(self, folder: str) -> bool:
        try:
            return self._operator.stat(folder).is_dir
        except Exception:  # noqa: BLE001 - why it was not made is what counts
            return False

    def _sweep(self) -> None:
        """Remove what killed writers left; it is nobody's after a day. What cannot be removed stays."""
        oldest = datetime.fromtimestamp(time.time() - STALE_AFTER_SECONDS, UTC)
        with contextlib.suppress(Exception):
            for entry in self._operator.list(TEMPORARY_FOLDER):
                changed_at = entry.metadata.last_modified
                if entry.metadata.is_file and changed_at is not None and changed_at < oldest:
                    self._operator.delete(entry.path)
