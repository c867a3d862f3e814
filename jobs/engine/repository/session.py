"""Appending to a repository: what one process of a copy stores, and how the coordinator commits it.

Order (design document, "Read and Write Ordering"): packs, then the index files that name them, then the snapshot
file. Whatever is interrupted leaves a valid repository, and blobs of index files already written are reused.

One :class:`AppendSession` per process; :class:`IndexWriter` and the snapshot file belong to the coordinator::

    claims = Claims()                                   # before fork
    session = AppendSession(repository, index, claims, on_written=pipe.send)   # in each worker
    session.store_tree(blob)  ...  session.close()
    index_writer.add(written_pack)  ...  index_writer.flush()                  # in the coordinator
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..ids import BlobId
from ..media.base import Buffer
from .blob import hash_blob, seal_blob
from .claims import Claims
from .compression import DEFAULT_LEVEL
from .index import Index
from .layout import BlobKind
from .pack import PACK_BYTES
from .pack_writer import PackWriter, WrittenPack
from .repository import Repository


@dataclass(slots=True, kw_only=True)
class StoredCounts:
    """What a session stored: blobs, their plain bytes and their sealed bytes, without pack headers."""

    data_blobs: int = 0
    tree_blobs: int = 0
    plain_bytes: int = 0
    sealed_bytes: int = 0

    def add(self, other: StoredCounts) -> None:
        self.data_blobs += other.data_blobs
        self.tree_blobs += other.tree_blobs
        self.plain_bytes += other.plain_bytes
        self.sealed_bytes += other.sealed_bytes


class AppendSession:
    """Stores blobs of one process. Thread-safe. Made after ``fork``; ``claims`` are made before it.

    ``on_written`` is told of every durable pack, on a writer's thread.
    """

    def __init__(
        self,
        repository: Repository,
        index: Index,
        claims: Claims,
        *,
        on_written: Callable[[WrittenPack], None],
        compression_level: int = DEFAULT_LEVEL,
        pack_bytes: int = PACK_BYTES,
        writers: int = 1,
    ) -> None:
        self.repository = repository
        self.index = index
        self.counts = StoredCounts()
        self._claims = claims
        self.compression_level = compression_level
        self._writer = PackWriter(repository, on_written=on_written, pack_bytes=pack_bytes, threads=writers)
        self._lock = threading.Lock()

    def claim(self, kind: BlobKind, ids: Sequence[BlobId]) -> set[BlobId]:
        """Those of ``ids`` that this caller must store now: not in the repository, and claimed by nobody."""
        unknown = self.index.missing(kind, ids)
        return self._claims.claim(kind, unknown) if unknown else set()

    def store(self, kind: BlobKind, blob: BlobId, plain: Buffer, *, level: int | None = None) -> int:
        """Compress, seal and pack a blob that was claimed; returns its sealed length. May block on the writers.

        ``level`` of compression: None = the session's. Raises what a writer met: NoSpace, MediaUnavailable,
        MediaRefused.
        """
        pieces, length, raw_length = seal_blob(
            kind, plain, self.repository.sealer(), level=self.compression_level if level is None else level
        )
        self._writer.add(kind, blob, pieces, length, raw_length)
        counts = self.counts
        with self._lock:
            if kind is BlobKind.TREE:
                counts.tree_blobs += 1
            else:
                counts.data_blobs += 1
            counts.plain_bytes += len(plain)
            counts.sealed_bytes += length
        return length

    def save(self, kind: BlobKind, plain: Buffer) -> BlobId:
        """The id of a blob, stored unless it is there already."""
        blob = hash_blob(plain)
        if self.claim(kind, (blob,)):
            self.store(kind, blob, plain)
        return blob

    def save_tree(self, tree: bytes) -> BlobId:
        """As :meth:`save`, for a tree of ``tree.join_tree``."""
        return self.save(BlobKind.TREE, tree)

    def close(self) -> None:
        """Write what is left; all packs are durable and told of when it returns. Raises the first error."""
        self._writer.close()

    def abort(self) -> None:
        """End without writing what is left."""
        self._writer.abort()
