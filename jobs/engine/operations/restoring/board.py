"""Figures of a running restore, in memory that workers and the parent share."""

from __future__ import annotations

import mmap
from typing import Final

from ...events import Counters

_FIELDS: Final = (
    "files_done",
    "files_new",
    "files_changed",
    "files_unmodified",
    "directories_done",
    "bytes_done",
    "bytes_read",
    "exceptions",
    "files_skipped",
)
_WORDS: Final = 16


class Tally:
    """One worker's totals, plain numbers while it works; :meth:`publish` copies them where the parent sees them."""

    __slots__ = (*_FIELDS, "_slot")

    files_done: int
    files_new: int
    files_changed: int
    files_unmodified: int
    directories_done: int
    bytes_done: int
    bytes_read: int
    exceptions: int
    files_skipped: int

    def __init__(self, slot: memoryview) -> None:
        self._slot = slot
        for name in _FIELDS:
            setattr(self, name, 0)

    def publish(self) -> None:
        """Under a microsecond."""
        slot = self._slot
        slot[0] = self.files_done
        slot[1] = self.files_new
        slot[2] = self.files_changed
        slot[3] = self.files_unmodified
        slot[4] = self.directories_done
        slot[5] = self.bytes_done
        slot[6] = self.bytes_read
        slot[7] = self.exceptions
        slot[8] = self.files_skipped


class Board:
    """Anonymous shared memory made before the workers are forked. Each word has one writer, so there is no lock.

    ``hungry`` is the number of idle workers: a busy one gives work away while it is above 0.
    """

    def __init__(self, workers: int) -> None:
        self._words = memoryview(mmap.mmap(-1, (workers + 1) * _WORDS * 8)).cast("q")
        self.workers = workers

    def tally(self, worker: int) -> Tally:
        """A fresh tally of one worker."""
        start = (worker + 1) * _WORDS
        return Tally(self._words[start : start + _WORDS])

    @property
    def hungry(self) -> int:
        return self._words[0]

    @hungry.setter
    def hungry(self, value: int) -> None:
        self._words[0] = value

    @property
    def is_stopping(self) -> bool:
        return self._words[1] != 0

    def stop(self) -> None:
        """Ask all workers to clean up and end."""
        self._words[1] = 1

    def totals(self) -> dict[str, int]:
        """The sum over all workers, by field."""
        return {
            name: sum(self._words[(worker + 1) * _WORDS + at] for worker in range(self.workers))
            for at, name in enumerate(_FIELDS)
        }

    def counters(self, *, files_total: int | None, bytes_total: int | None) -> Counters:
        """Totals as the contract's counters."""
        totals = self.totals()
        del totals["files_skipped"]
        return Counters(files_total=files_total, bytes_total=bytes_total, **totals)
