"""What all processes of a job know of one medium, in memory they share: bandwidth, transfers, and what was retried.

Made before ``fork`` and inherited. Layout: words of 8 bytes, then one text.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from ..processes import is_running

_PATIENCE_SECONDS: Final = 2.0
"""The lock is held for microseconds. Who was killed with it never gives it back: then it is done without."""
_MOST_TRANSFERS: Final = 256
_RATE, _ISSUED, _SERVED, _AT, _RETRIES, _GAVE_UP, _STOPPING, _TEXT_LENGTH = range(8)
_FIRST_SLOT: Final = 8
_TEXT_AT: Final = (_FIRST_SLOT + _MOST_TRANSFERS) * 8
_TEXT_BYTES: Final = 1024
_NANO: Final = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Troubles:
    """What went wrong so far: operations tried again, operations given up, and the last sentence."""

    retries: int
    given_up: int
    last: str


class MediaBoard:
    """One medium of one job. ``bytes_per_second`` 0 = no limit; it may be changed by any process at any time."""

    def __init__(self, *, bytes_per_second: int = 0) -> None:
        self._memory = mmap.mmap(-1, _TEXT_AT + _TEXT_BYTES, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        self._words = memoryview(self._memory)[:_TEXT_AT].cast("q")
        self._lock = multiprocessing.get_context("fork").Lock()
        self._words[_RATE] = bytes_per_second

    @property
    def bytes_per_second(self) -> int:
        return self._words[_RATE]

    @bytes_per_second.setter
    def bytes_per_second(self, value: int) -> None:
        self._words[_RATE] = max(0, value)

    @property
    def is_stopping(self) -> bool:
        """The job is to end: nothing is waited for any more, and nothing tried again."""
        return bool(self._words[_STOPPING])

    def stop(self) -> None:
        self._words[_STOPPING] = 1

    def ask(self, count: int, now_ns: int) -> int:
        """Ask to transfer so many bytes; returns the ticket for :meth:`wait_seconds`. ``now_ns`` is monotonic."""
        with self._locked():
            self._serve(now_ns)
            self._words[_ISSUED] += count
            return self._words[_ISSUED]

    def wait_seconds(self, ticket: int, now_ns: int, *, burst: int) -> float:
        """How long the ticket's bytes still have to wait at the rate of this moment; 0 = not at all."""
        with self._locked():
            self._serve(now_ns)
            missing = ticket - burst - self._words[_SERVED]
            rate = self._words[_RATE]
        return missing / rate if rate and missing > 0 else 0.0

    def _serve(self, now_ns: int) -> None:
        """What the rate allowed since the last look; what nobody asked for is not saved up."""
        words = self._words
        rate, passed = words[_RATE], now_ns - words[_AT]
        words[_AT] = now_ns
        served = words[_SERVED] + rate * passed // _NANO if rate else words[_ISSUED]
        words[_SERVED] = min(served, words[_ISSUED])

    def enter(self, most: int) -> int | None:
        """A free one of ``most`` places for a transfer, or None. Places of processes that died are free."""
        me = os.getpid()
        with self._locked():
            for slot in range(_FIRST_SLOT, _FIRST_SLOT + min(most, _MOST_TRANSFERS)):
                holder = self._words[slot]
                if not holder or (holder != me and not is_running(holder)):
                    self._words[slot] = me
                    return slot
        return None

    def leave(self, slot: int) -> None:
        self._words[slot] = 0

    def in_flight(self) -> int:
        """Transfers going on now."""
        return sum(1 for holder in self._words[_FIRST_SLOT:] if holder)

    def retried(self, sentence: str, *, gave_up: bool = False) -> None:
        """Remember that an operation is tried again, or was given up, and why."""
        text = sentence.encode()[:_TEXT_BYTES]
        with self._locked():
            self._words[_GAVE_UP if gave_up else _RETRIES] += 1
            self._memory[_TEXT_AT : _TEXT_AT + len(text)] = text
            self._words[_TEXT_LENGTH] = len(text)

    def troubles(self) -> Troubles:
        with self._locked():
            text = self._memory[_TEXT_AT : _TEXT_AT + self._words[_TEXT_LENGTH]]
            return Troubles(
                retries=self._words[_RETRIES],
                given_up=self._words[_GAVE_UP],
                last=text.decode("utf-8", "replace"),
            )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        has_it = self._lock.acquire(timeout=_PATIENCE_SECONDS)
        try:
            yield
        finally:
            if has_it:
                self._lock.release()
