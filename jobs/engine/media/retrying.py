"""Trying again what may succeed later: with growing pauses, for so many times and so long, never a refusal.

An answer that is damaged is asked for again too, a few times: networks and proxies cut and swap. A job that is to end
tries nothing again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from ..clock import Clock
from ..errors import EngineError, Permanent, RepositoryDamaged, Retryable
from .base import Buffer, Media, Usage
from .board import MediaBoard
from .wrapping import Wrapper, length_of

FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 30.0
_DAMAGED_READINGS: Final = 3
_SLICE_SECONDS: Final = 0.5

Answer = TypeVar("Answer")


class Retrying(Wrapper):
    """``retries`` after the first try, and none that would begin later than ``give_up_seconds`` after it."""

    def __init__(
        self,
        inner: Media,
        *,
        board: MediaBoard,
        retries: int,
        give_up_seconds: float,
        clock: Clock,
        draw: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(inner)
        self._board = board
        self._retries = retries
        self._give_up_seconds = give_up_seconds
        self._clock = clock
        self._draw = draw

    def put(self, name: str, pieces: Sequence[Buffer]) -> None:
        """A put whose answer was lost may have been done: a refusal of the second is then no failure."""
        tries = 0

        def write() -> None:
            nonlocal tries
            tries += 1
            try:
                self.inner.put(name, pieces)
            except Permanent:
                if tries == 1 or not self._is_there(name, length_of(pieces)):
                    raise

        self._again(write)

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        return self._again(lambda: self.inner.get(name, offset=offset, length=length))

    def size(self, name: str) -> int:
        return self._again(lambda: self.inner.size(name))

    def exists(self, name: str) -> bool:
        return self._again(lambda: self.inner.exists(name))

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Listed to its end before the first is given: a listing cannot be gone on with after a failure."""
        return iter(self._again(lambda: list(self.inner.list(prefix))))

    def delete(self, name: str) -> None:
        self._again(lambda: self.inner.delete(name))

    def usage(self) -> Usage:
        return self._again(self.inner.usage)

    def _is_there(self, name: str, size: int) -> bool:
        try:
            return self.inner.size(name) == size
        except EngineError:
            return False

    def _again(self, work: Callable[[], Answer]) -> Answer:
        started = self._clock.monotonic()
        tried = 0
        while True:
            try:
                return work()
            except (Retryable, RepositoryDamaged) as error:
                tried += 1
                self._pause_or_raise(error, tried, started)

    def _pause_or_raise(self, error: EngineError, tried: int, started: float) -> None:
        """Wait before the next try, or raise ``error`` if there is to be none."""
        is_damage = isinstance(error, RepositoryDamaged)
        most = min(self._retries, _DAMAGED_READINGS - 1) if is_damage else self._retries
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (tried - 1)) * (0.5 + self._draw() / 2)
        is_too_late = self._clock.monotonic() + pause - started > self._give_up_seconds
        if tried > most or is_too_late or self._board.is_stopping:
            if tried > 1:
                self._board.retried(error.sentence, gave_up=True)
            raise error
        self._board.retried(error.sentence)
        ends_at = self._clock.monotonic() + pause
        while (left := ends_at - self._clock.monotonic()) > 0:
            if self._board.is_stopping:
                raise error
            self._clock.sleep(min(left, _SLICE_SECONDS))
