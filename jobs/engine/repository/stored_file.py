"""One file of a repository, readable at any offset: what a recovery reads an image from.

Only the blobs that hold the wanted bytes are moved. Restoring whole files in the order of packs is in ``operations``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

import numpy as np

from ..errors import RepositoryDamaged
from ..ids import BlobId
from .crypto import SEAL_BYTES
from .layout import BlobKind, damaged
from .reader import BlobReader, not_indexed
from .tree import Node

CACHE_BYTES: Final = 48 << 20
"""Plain bytes of blobs that are kept, the ones used last; always at least those of one reading."""
AHEAD_BYTES: Final = 16 << 20
"""Read at once where one reading begins where the last ended."""


class StoredFile:
    """The content of a file node; an :class:`~jobs.engine.ndmp.recover.ImageReader`. Not thread-safe.

    Memory: ``cache_bytes``, and what is read at once (a reading's own blobs, or AHEAD_BYTES).
    """

    def __init__(
        self, reader: BlobReader, node: Node, *, cache_bytes: int = CACHE_BYTES, ahead_bytes: int = AHEAD_BYTES
    ) -> None:
        """Looks its blobs up and reads none. Raises RepositoryDamaged if one is in no index, or their sizes do not
        make the file's."""
        self._reader = reader
        self._blobs: Sequence[BlobId] = node.content
        self._edges = [0, *accumulate(_plain_lengths(reader, node))]
        self._name = node.name.decode("utf-8", "backslashreplace")
        self._kept: OrderedDict[BlobId, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._cache_bytes = cache_bytes
        self._ahead_bytes = ahead_bytes
        self._ended_at = -1
        if self._edges[-1] != node.size:
            raise damaged(f"file “{self._name}”", f"it has {node.size} bytes, but its blobs hold {self._edges[-1]}")

    @property
    def size_bytes(self) -> int:
        return self._edges[-1]

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``. Raises ValueError for what lies outside, RepositoryDamaged,
        MediaUnavailable."""
        if offset < 0 or length < 0 or offset + length > self.size_bytes:
            raise ValueError(f"{length} bytes at {offset} are not in a file of {self.size_bytes} bytes")
        if not length:
            return b""
        first, last = self._number_at(offset), self._number_at(offset + length - 1)
        is_next = offset == self._ended_at
        self._ended_at = offset + length
        blobs = self._plain(first, last, is_next=is_next)
        if first == last:
            start = offset - self._edges[first]
            return blobs[0][start : start + length]
        blobs[0] = blobs[0][offset - self._edges[first] :]
        blobs[-1] = blobs[-1][: offset + length - self._edges[last]]
        return b"".join(blobs)

    def _number_at(self, offset: int) -> int:
        """The blob that holds a byte; empty blobs hold none."""
        return bisect_right(self._edges, offset) - 1

    def _plain(self, first: int, last: int, *, is_next: bool) -> list[bytes]:
        wanted = self._blobs[first : last + 1]
        found: dict[BlobId, bytes] = {}
        for blob in wanted:
            if blob in self._kept:
                self._kept.move_to_end(blob)
                found[blob] = self._kept[blob]
        if len(found) < len(set(wanted)):
            found |= self._fetch(wanted, last, is_next=is_next)
        return [found[blob] for blob in wanted]

    def _fetch(self, wanted: Sequence[BlobId], last: int, *, is_next: bool) -> dict[BlobId, bytes]:
        """Those of ``wanted`` that are not kept; what follows the blob ``last`` comes along where it is read on."""
        ahead: Sequence[BlobId] = ()
        if is_next:
            end = bisect_right(self._edges, self._edges[last + 1] + self._ahead_bytes) - 1
            ahead = self._blobs[last + 1 : end]
        missing = [blob for blob in dict.fromkeys([*wanted, *ahead]) if blob not in self._kept]
        needed = set(wanted)
        found: dict[BlobId, bytes] = {}
        for blob, plain in self._reader.read_many(BlobKind.DATA, missing):
            if not isinstance(plain, RepositoryDamaged):
                self._keep(blob, plain)
                found[blob] = plain
            elif blob in needed:
                raise plain
        return found

    def _keep(self, blob: BlobId, plain: bytes) -> None:
        self._kept[blob] = plain
        self._kept_bytes += len(plain)
        while self._kept_bytes > self._cache_bytes and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= len(dropped)


def _plain_lengths(reader: BlobReader, node: Node) -> list[int]:
    at = reader.index.find_many(BlobKind.DATA, node.content)
    lost = np.flatnonzero(at.pack < 0)
    if len(lost):
        raise not_indexed(BlobKind.DATA, node.content[int(lost[0])])
    lengths: list[int] = np.where(at.raw_length, at.raw_length, at.length - SEAL_BYTES).tolist()
    return lengths
