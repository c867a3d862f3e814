"""Who stores a blob: one set of claimed ids for all processes of a copy, in shared memory.

Open addressing in segments that double, so nothing is ever moved; a segment's pages cost nothing until they are used.
A slot is 16 bytes: two sums of the id's four words with secret odd factors, drawn for each set. Nobody who does not
know them can make two ids collide, and by chance two of 16 million do once in 2^79 sets.
"""

from __future__ import annotations

import mmap
import multiprocessing
import secrets
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from ..errors import ReaderLost
from ..ids import BlobId
from .layout import BlobKind

_FIRST_SLOTS: Final = 1 << 15
_SEGMENTS: Final = 14
_NO_RESERVE: Final = 0x4000
"""MAP_NORESERVE of Linux, which the mmap module does not name."""
_PATIENCE_SECONDS: Final = 60.0
"""The lock is held for a millisecond. Who was killed with it never gives it back, and nobody is to wait for ever."""


class Claims:
    """Made before ``fork`` and inherited; :meth:`claim` may be called from any process and thread.

    Room for about 350 million ids. Memory: at most 64 bytes an id, all processes together.
    """

    def __init__(self) -> None:
        flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | _NO_RESERVE
        slots = [_FIRST_SLOTS << number for number in range(_SEGMENTS)]
        self._segments = [(memoryview(mmap.mmap(-1, 16 * n, flags=flags)).cast("Q"), n - 1) for n in slots]
        self._state = memoryview(mmap.mmap(-1, mmap.PAGESIZE, flags=flags)).cast("Q")
        self._lock = multiprocessing.get_context("fork").Lock()
        words = [secrets.randbits(64) | 1 for _ in range(8)]
        self._factors = np.array(words, dtype=np.uint64).reshape(4, 2)
        self._kind_words = {kind: np.uint64(secrets.randbits(64)) for kind in BlobKind}

    def claim(self, kind: BlobKind, ids: Sequence[BlobId]) -> set[BlobId]:
        """Those of ``ids`` that nobody claimed before. The caller must store them, or the whole copy must fail.

        Raises ReaderLost when somebody died in the middle of claiming.
        """
        wanted = list(dict.fromkeys(ids)) if len(ids) > 1 else list(ids)
        if not wanted:
            return set()
        return self._insert(wanted, self._fingerprints(kind, wanted))

    def _fingerprints(self, kind: BlobKind, ids: list[BlobId]) -> Iterable[tuple[int, int]]:
        words = np.frombuffer(b"".join(ids), dtype="<u8").reshape(len(ids), 4)
        sums = (words[:, :, None] * self._factors[None, :, :]).sum(axis=1, dtype=np.uint64) + self._kind_words[kind]
        sums[:, 0] |= np.uint64(1)
        return zip(sums[:, 0].tolist(), sums[:, 1].tolist(), strict=True)

    def _insert(self, ids: list[BlobId], fingerprints: Iterable[tuple[int, int]]) -> set[BlobId]:
        """``state`` holds the number of the segment that is filled now, and how many slots of it are used."""
        new: set[BlobId] = set()
        state, segments = self._state, self._segments
        if not self._lock.acquire(timeout=_PATIENCE_SECONDS):
            raise ReaderLost("A reader process ended while others waited for it.", hint="Resubmit the job.")
        try:
            current, used = state[0], state[1]
            for blob, (first, second) in zip(ids, fingerprints, strict=True):
                known = False
                free = 0
                for number in range(current, -1, -1):
                    slots, mask = segments[number]
                    at = (second & mask) * 2
                    wrap = mask * 2 + 1
                    while slots[at]:
                        if slots[at] == first and slots[at + 1] == second:
                            known = True
                            break
                        at = (at + 2) & wrap
                    if known:
                        break
                    if number == current:
                        free = at
                if known:
                    continue
                slots, mask = segments[current]
                slots[free + 1] = second
                slots[free] = first
                new.add(blob)
                used += 1
                if used * 4 > mask * 3:
                    current, used = current + 1, 0
            state[0], state[1] = current, used
        finally:
            self._lock.release()
        return new
