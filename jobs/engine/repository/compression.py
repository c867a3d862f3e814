"""zstd for blobs and unpacked files: one context per thread, and sizes bounded before anything is allocated."""

from __future__ import annotations

import threading
from typing import Final

import zstandard

from ..media.base import Buffer

DEFAULT_LEVEL: Final = 3
MAX_FILE_BYTES: Final = 1 << 30
"""Bound for the text of one unpacked file; an index of 50,000 blobs has 8 MiB."""


class BadCompressionError(ValueError):
    """Not zstd, or not of the size it should have."""


class _Contexts(threading.local):
    def __init__(self) -> None:
        self.decompressor = zstandard.ZstdDecompressor()
        self.compressors: dict[int, zstandard.ZstdCompressor] = {}


_contexts = _Contexts()


def compress(plain: Buffer, level: int = DEFAULT_LEVEL) -> bytes:
    """``plain`` as one zstd frame that states its size."""
    compressors = _contexts.compressors
    compressor = compressors.get(level)
    if compressor is None:
        compressor = compressors[level] = zstandard.ZstdCompressor(level=level)
    return compressor.compress(plain)


def decompress(packed: Buffer, *, at_most: int) -> bytes:
    """The plain text of one zstd frame of at most ``at_most`` bytes. Raises BadCompressionError."""
    try:
        stated = zstandard.frame_content_size(packed)
        if stated > at_most:
            raise BadCompressionError(f"it states {stated} bytes where {at_most} are allowed")
        if stated == 0:
            return b""
        return _contexts.decompressor.decompress(packed, max_output_size=at_most)
    except zstandard.ZstdError as error:
        raise BadCompressionError(f"it does not decompress ({error})") from error
