"""A bandwidth limit for any medium: one bucket for puts and gets of all processes of a job.

The rate lies on the board and may change while something waits. Small files (locks, keys, snapshot files) never wait,
but count: a lock that is refreshed too late would be taken for a dead one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..clock import Clock
from .base import Buffer, Media
from .board import MediaBoard
from .wrapping import Wrapper, length_of

SMALL_BYTES: Final = 64 << 10
_BURST_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.5
"""How often a transfer that waits looks whether the limit changed."""
_NANO: Final = 10**9


class Throttled(Wrapper):
    """Holds transfers back until the limit allows them. What is read to the end is counted when its size is known."""

    def __init__(self, inner: Media, *, board: MediaBoard, clock: Clock) -> None:
        super().__init__(inner)
        self._board = board
        self._clock = clock

    def put(self, name: str, pieces: Sequence[Buffer]) -> None:
        self._pay(length_of(pieces))
        self.inner.put(name, pieces)

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        if length is not None:
            self._pay(length)
            return self.inner.get(name, offset=offset, length=length)
        data = self.inner.get(name, offset=offset)
        self._pay(len(data))
        return data

    def _pay(self, count: int) -> None:
        if not self._board.bytes_per_second:
            return
        ticket = self._board.ask(count, self._now_ns())
        if count <= SMALL_BYTES:
            return
        while not self._board.is_stopping:
            burst = int(self._board.bytes_per_second * _BURST_SECONDS)
            seconds = self._board.wait_seconds(ticket, self._now_ns(), burst=burst)
            if seconds <= 0:
                return
            self._clock.sleep(min(seconds, _LOOK_SECONDS))

    def _now_ns(self) -> int:
        return int(self._clock.monotonic() * _NANO)
