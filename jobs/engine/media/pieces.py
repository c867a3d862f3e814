"""Pieces of a file to be sent, in portions that are worth a call: thousands of small blobs make one pack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .base import Buffer


def total_bytes(pieces: Sequence[Buffer]) -> int:
    return sum(memoryview(piece).nbytes for piece in pieces)


def portions(pieces: Sequence[Buffer], *, at_least: int) -> Iterator[Buffer]:
    """The same bytes in portions of at least that many, but for the last; large pieces are not copied."""
    small: list[Buffer] = []
    waiting = 0
    for piece in pieces:
        size = memoryview(piece).nbytes
        if not size:
            continue
        if size >= at_least:
            if small:
                yield b"".join(small)
                small, waiting = [], 0
            yield piece
            continue
        small.append(piece)
        waiting += size
        if waiting >= at_least:
            yield b"".join(small)
            small, waiting = [], 0
    if small:
        yield b"".join(small)
