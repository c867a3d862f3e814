"""Figures of a running copy, in memory that workers and the parent share. Turning them into events is not done here."""

from __future__ import annotations

import mmap
from typing import Final

from ...events import Counters

_FIELDS: Final = (
    "files_done",
    "files_new",
    "files_changed",
    "files_unmodified",
    "dirs_new",
    "dirs_changed",
    "dirs_unmodified",
    "bytes_done",
    "bytes_read",
    "bytes_new",
    "bytes_stored",
    "exceptions",
    "sockets_skipped",
    "data_blobs",
    "tree_blobs",
    "files_replaced",
    "bytes_replaced",
)
_SHOWN: Final = (
    "files_done",
    "files_new",
    "files_changed",
    "files_unmodified",
    "bytes_done",
    "bytes_read",
    "bytes_new",
    "bytes_stored",
    "exceptions",
)
_WORDS_PER_WORKER: Final = 24


class Tally:
    """One worker's totals, plain numbers while it works; :meth:`publish` copies them where the parent sees them.

    Where a copy begins with all that its parent holds, ``*_replaced`` is what was taken off that again.
    """

    __slots__ = (*_FIELDS, "_slot")

    files_done: int
    files_new: int
    files_changed: int
    files_unmodified: int
    dirs_new: int
    dirs_changed: int
    dirs_unmodified: int
    bytes_done: int
    bytes_read: int
    bytes_new: int
    bytes_stored: int
    exceptions: int
    sockets_skipped: int
    data_blobs: int
    tree_blobs: int
    files_replaced: int
    bytes_replaced: int

    def __init__(self, slot: memoryview) -> None:
        self._slot = slot
        for name in _FIELDS:
            setattr(self, name, 0)

    def publish(self) -> None:
        """A few hundred nanoseconds; called once per directory."""
        slot = self._slot
        slot[0] = self.files_done
        slot[1] = self.files_new
        slot[2] = self.files_changed
        slot[3] = self.files_unmodified
        slot[4] = self.dirs_new
        slot[5] = self.dirs_changed
        slot[6] = self.dirs_unmodified
        slot[7] = self.bytes_done
        slot[8] = self.bytes_read
        slot[9] = self.bytes_new
        slot[10] = self.bytes_stored
        slot[11] = self.exceptions
        slot[12] = self.sockets_skipped
        slot[13] = self.data_blobs
        slot[14] = self.tree_blobs
        slot[15] = self.files_replaced
        slot[16] = self.bytes_replaced


class SharedBoard:
    """Anonymous shared memory made before the workers are forked: their tallies, and two words of signals.

    ``hungry`` is the number of idle workers (a busy one gives work away while it is above 0); ``stopping`` asks all
    workers to end. Words are written whole by one side only, so no lock is needed.
    """

    def __init__(self, workers: int) -> None:
        self._map = mmap.mmap(-1, (workers + 1) * _WORDS_PER_WORKER * 8)
        self._words = memoryview(self._map).cast("q")
        self.workers = workers

    def tally(self, worker: int) -> Tally:
        """A fresh tally of one worker; 0 is the coordinating process itself."""
        start = (worker + 1) * _WORDS_PER_WORKER
        return Tally(self._words[start : start + _WORDS_PER_WORKER])

    @property
    def hungry(self) -> int:
        return self._words[0]

    @hungry.setter
    def hungry(self, value: int) -> None:
        self._words[0] = value

    @property
    def stopping(self) -> bool:
        return self._words[1] != 0

    def stop(self) -> None:
        self._words[1] = 1

    def totals(self) -> dict[str, int]:
        """The sum over all workers, by field."""
        words, step = self._words, _WORDS_PER_WORKER
        return {
            name: sum(words[(worker + 1) * step + index] for worker in range(self.workers))
            for index, name in enumerate(_FIELDS)
        }

    def counters(self, *, files_total: int | None, bytes_total: int | None) -> Counters:
        """Totals as the contract's counters."""
        totals = self.totals()
        return Counters(
            files_total=files_total,
            bytes_total=bytes_total,
            directories_done=totals["dirs_new"] + totals["dirs_changed"] + totals["dirs_unmodified"],
            **{name: totals[name] for name in _SHOWN},
        )
