"""At most so many transfers at once on a medium, over all processes and threads of a job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from ..clock import Clock
from ..errors import MediaUnavailable
from .base import Buffer, Media
from .board import MediaBoard
from .throttled import SMALL_BYTES
from .wrapping import Wrapper, length_of

_LOOK_SECONDS: Final = 0.004
"""How often a free place is looked for: short beside any transfer over a network."""


class Limited(Wrapper):
    """Puts and gets wait for one of ``transfers`` places; small puts (locks, snapshot files) do not."""

    def __init__(
        self, inner: Media, *, board: MediaBoard, transfers: int, patience_seconds: float, clock: Clock
    ) -> None:
        super().__init__(inner)
        self._board = board
        self._transfers = transfers
        self._patience_seconds = patience_seconds
        self._clock = clock

    @property
    def transfers(self) -> int:
        return self._transfers

    def put(self, name: str, pieces: Sequence[Buffer]) -> None:
        if length_of(pieces) <= SMALL_BYTES:
            self.inner.put(name, pieces)
            return
        with self._place():
            self.inner.put(name, pieces)

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        with self._place():
            return self.inner.get(name, offset=offset, length=length)

    @contextmanager
    def _place(self) -> Iterator[None]:
        slot = self._board.enter(self._transfers)
        ends_at = self._clock.monotonic() + self._patience_seconds
        while slot is None:
            if self._clock.monotonic() > ends_at:
                raise MediaUnavailable(
                    f"None of {self._transfers} transfers to {self} ended within {self._patience_seconds:.0f} seconds.",
                    hint="Look at the network and at the medium's load; allow more parallel transfers or more time.",
                )
            self._clock.sleep(_LOOK_SECONDS)
            slot = self._board.enter(self._transfers)
        try:
            yield
        finally:
            self._board.leave(slot)
