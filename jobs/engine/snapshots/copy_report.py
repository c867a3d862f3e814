"""What a copied snapshot has to tell: warnings for people, figures, and the rows of its table of origins."""

from __future__ import annotations

import errno
import os
import threading
from typing import Final

from ..events import FileFailed
from .origins import OriginsWriter, Row
from .storage_errors import reason

MAX_WARNINGS: Final = 100
_VANISHED: Final = frozenset({errno.ENOENT, errno.ESTALE, errno.ENOTDIR})


class CopyReport:
    """Collects from several threads. ``bytes_copied`` are those that could not be cloned."""

    def __init__(self) -> None:
        self.origins = OriginsWriter()
        self.files = 0
        self.bytes_copied = 0
        self._unread: list[FileFailed] = []
        self._sentences: dict[str, None] = {}
        self._dropped = 0
        self._lock = threading.Lock()

    def add_origins(self, rows: list[Row]) -> None:
        self.origins.add(rows)

    def count_file(self, bytes_copied: int) -> None:
        with self._lock:
            self.files += 1
            self.bytes_copied += bytes_copied

    def trouble(self, path: bytes, number: int) -> None:
        """A file or directory that is not in the snapshot as it should be; ``number`` is the errno."""
        if number in _VANISHED:
            self.warn(f"“{shown(path)}” vanished while the snapshot was taken.")
        else:
            why = reason(OSError(number, ""))
            with self._lock:
                self._unread.append(FileFailed(path=path, error=why))
            self.warn(f"“{shown(path)}” could not be read: {why}.")

    def changed(self, path: bytes) -> None:
        self.warn(f"“{shown(path)}” changed while it was copied; the snapshot may hold a mixture.")

    def warn(self, sentence: str) -> None:
        """Each sentence once, at most :data:`MAX_WARNINGS` of them; the rest is counted."""
        with self._lock:
            if sentence in self._sentences:
                return
            if len(self._sentences) < MAX_WARNINGS:
                self._sentences[sentence] = None
            else:
                self._dropped += 1

    @property
    def unread(self) -> tuple[FileFailed, ...]:
        """Files and directories that could not be read, in no order."""
        return tuple(self._unread)

    @property
    def warnings(self) -> tuple[str, ...]:
        more = (f"There were {self._dropped} more warnings.",) if self._dropped else ()
        return (*self._sentences, *more)


def shown(path: bytes) -> str:
    """A path for people: bytes that are not UTF-8 as ``\\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
