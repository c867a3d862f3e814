"""Where a large file is cut: FastCDC (512 KiB / 1 MiB / 8 MiB), and runs of zeros as chunks of their own.

A cut depends only on the bytes from the chunk's start, so windows of any size give the same chunks. Chunks of
exactly 512 KiB of zeros are what ``restore --sparse`` of stock restic turns into holes.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from pyfastcdc import FastCDC

from ..ids import BlobId

MIN_CHUNK_BYTES: Final = 512 << 10
AVERAGE_CHUNK_BYTES: Final = 1 << 20
MAX_CHUNK_BYTES: Final = 8 << 20
_ZEROS: Final = bytes(MIN_CHUNK_BYTES)
_PROBE: Final = bytes(64)

ZERO_CHUNK_ID: Final = BlobId(sha256(_ZEROS).digest())
"""The id of a chunk of MIN_CHUNK_BYTES zeros."""


class Chunker:
    """Not thread-safe: one per thread. ``seed`` (the repository's polynomial) makes cut points its own secret."""

    def __init__(self, seed: int = 0) -> None:
        self._cdc = FastCDC(
            AVERAGE_CHUNK_BYTES,
            min_size=MIN_CHUNK_BYTES,
            max_size=MAX_CHUNK_BYTES,
            normalized_chunking=2,
            seed=seed,
        )

    def cut(self, view: memoryview) -> list[memoryview]:
        """All chunks of ``view``, in order. The last one is final only if the file ends with ``view``."""
        if len(view) <= MIN_CHUNK_BYTES:
            return [view] if view else []
        if not _starts_with_zeros(view):
            chunks: list[memoryview] = [chunk.data for chunk in self._cdc.cut_buf(view)]
            if not any(_starts_with_zeros(chunk) for chunk in chunks):
                return chunks
        return self._cut_with_zeros(view)

    def _cut_with_zeros(self, view: memoryview) -> list[memoryview]:
        chunks: list[memoryview] = []
        start = 0
        while start < len(view):
            rest = view[start:]
            if _starts_with_zeros(rest):
                chunk = rest[:MIN_CHUNK_BYTES]
            else:
                chunk = next(iter(self._cdc.cut_buf(rest))).data
            chunks.append(chunk)
            start += len(chunk)
        return chunks


def _starts_with_zeros(view: memoryview) -> bool:
    return view[:64] == _PROBE and view[:MIN_CHUNK_BYTES] == _ZEROS
