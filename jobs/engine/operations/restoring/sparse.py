"""Writing bytes at an offset, with holes where whole pages are zero."""

from __future__ import annotations

import os
from typing import Final

import numpy as np

PAGE: Final = 4096
_RUN: Final = bytes(64)
"""A page of zeros holds this; most data do not, and looking for something short is quick."""


def write_at(fd: int, data: bytes, offset: int) -> None:
    """All of ``data``. Raises OSError."""
    written = os.pwrite(fd, data, offset)
    if written < len(data):
        rest = memoryview(data)[written:]
        while rest:
            offset += written
            written = os.pwrite(fd, rest, offset)
            rest = rest[written:]


def write_sparse_at(fd: int, data: bytes, offset: int) -> None:
    """``data`` but for aligned pages of zeros, where the file must read as zeros already. Raises OSError.

    The caller sets the file's size.
    """
    if len(data) < PAGE or _RUN not in data:
        write_at(fd, data, offset)
        return
    head = -offset % PAGE
    pages = (len(data) - head) // PAGE
    if pages <= 0:
        write_at(fd, data, offset)
        return
    view = memoryview(data)
    if head:
        write_at(fd, data[:head], offset)
    for first, last in _runs_with_data(view[head : head + pages * PAGE], pages):
        start, end = head + first * PAGE, head + last * PAGE
        _write_view(fd, view[start:end], offset + start)
    tail = head + pages * PAGE
    if tail < len(data):
        write_at(fd, data[tail:], offset + tail)


def write_sparse(fd: int, data: bytes) -> None:
    """``data`` as the whole content of an empty file; its size is complete last. Raises OSError."""
    write_sparse_at(fd, data, 0)
    if not data[-1]:
        os.ftruncate(fd, len(data))


def _runs_with_data(view: memoryview, pages: int) -> list[tuple[int, int]]:
    """[first, last) of every run of pages that are not all zero."""
    if len(view) % 8 or not view.c_contiguous:
        return [(0, pages)]
    has_data = np.frombuffer(view, dtype=np.uint64).reshape(pages, PAGE // 8).any(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], has_data.view(np.int8), [0]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _write_view(fd: int, view: memoryview, offset: int) -> None:
    while view:
        written = os.pwrite(fd, view, offset)
        view = view[written:]
        offset += written
