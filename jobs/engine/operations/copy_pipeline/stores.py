"""What workers need of a repository, and the repository that is still being opened while the walk begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ...errors import EngineError
from ...ids import BlobId
from ...media.base import Buffer
from ...repository.claims import Claims
from ...repository.crypto import SEAL_BYTES
from ...repository.index import Index
from ...repository.layout import BlobKind
from ...repository.pack_writer import WrittenPack
from ...repository.reader import BlobReader
from ...repository.repository import Repository
from ...repository.session import AppendSession, StoredCounts
from .context import CopyContext


class BlobStore(Protocol):
    """Stores and loads blobs for one worker. ``claim`` and ``store`` are as in :class:`AppendSession`."""

    def ready(self) -> None:
        """Wait until it is open. Before it is used by any thread but the worker's main one."""

    def claim(self, kind: BlobKind, ids: Sequence[BlobId]) -> set[BlobId]: ...
    def store(self, kind: BlobKind, blob: BlobId, plain: Buffer) -> int: ...
    def save_tree(self, tree: bytes) -> BlobId: ...

    def load_nodes(self, tree: BlobId) -> dict[str, str]:
        """The nodes of a tree by JSON name, in its order; none where no index has it. Raises RepositoryDamaged."""

    def missing(self, ids: Sequence[BlobId]) -> set[BlobId]:
        """Data blobs that no index knows."""

    def plain_lengths(self, ids: Sequence[BlobId]) -> list[int] | None:
        """Bytes of data blobs; None if one of them is in no index."""

    @property
    def counts(self) -> StoredCounts: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedRepository:
    """What workers inherit through ``fork``."""

    repository: Repository
    index: Index
    claims: Claims


class SessionStore:
    """A blob store over an append session. Made in the process that uses it."""

    def __init__(
        self, opened: OpenedRepository, context: CopyContext, on_written: Callable[[WrittenPack], None]
    ) -> None:
        self._session = AppendSession(
            opened.repository,
            opened.index,
            opened.claims,
            on_written=on_written,
            compression_level=context.compression_level,
            pack_bytes=context.pack_bytes,
            writers=context.sizing.writers,
        )
        self._reader = BlobReader(opened.repository, opened.index)
        self.claim = self._session.claim
        self.store = self._session.store
        self.save_tree = self._session.save_tree
        self.close = self._session.close
        self.abort = self._session.abort

    def ready(self) -> None:
        return None

    @property
    def counts(self) -> StoredCounts:
        return self._session.counts

    def load_nodes(self, tree: BlobId) -> dict[str, str]:
        if self._reader.index.missing(BlobKind.TREE, [tree]):
            return {}
        return dict(self._reader.split_tree(tree))

    def missing(self, ids: Sequence[BlobId]) -> set[BlobId]:
        return set(self._reader.index.missing(BlobKind.DATA, ids))

    def plain_lengths(self, ids: Sequence[BlobId]) -> list[int] | None:
        found = self._reader.index.find_many(BlobKind.DATA, ids)
        if (found.pack < 0).any():
            return None
        lengths: list[int] = np.where(found.raw_length, found.raw_length, found.length - SEAL_BYTES).tolist()
        return lengths


class AwaitedStore:
    """A blob store that opens with its first use: until then a walk may go on with what the local state knows.

    It is opened by the main thread only; other threads may use it once it is :meth:`ready`.
    """

    def __init__(self, open_store: Callable[[], SessionStore]) -> None:
        self._open = open_store
        self._store: SessionStore | None = None
        self._closed = StoredCounts()
        self._is_aborted = False

    def _opened(self) -> SessionStore:
        if self._is_aborted:
            raise EngineError("The copy was given up.")
        if self._store is None:
            self._store = self._open()
        return self._store

    def ready(self) -> None:
        self._opened()

    def claim(self, kind: BlobKind, ids: Sequence[BlobId]) -> set[BlobId]:
        return self._opened().claim(kind, ids)

    def store(self, kind: BlobKind, blob: BlobId, plain: Buffer) -> int:
        return self._opened().store(kind, blob, plain)

    def save_tree(self, tree: bytes) -> BlobId:
        return self._opened().save_tree(tree)

    def load_nodes(self, tree: BlobId) -> dict[str, str]:
        return self._opened().load_nodes(tree)

    def missing(self, ids: Sequence[BlobId]) -> set[BlobId]:
        return self._opened().missing(ids)

    def plain_lengths(self, ids: Sequence[BlobId]) -> list[int] | None:
        return self._opened().plain_lengths(ids)

    @property
    def counts(self) -> StoredCounts:
        counts = replace(self._closed)
        if self._store is not None:
            counts.add(self._store.counts)
        return counts

    def close(self) -> None:
        """Write out what it holds; it opens again with its next use."""
        if self._store is not None:
            store, self._store = self._store, None
            self._closed.add(store.counts)
            store.close()

    def abort(self) -> None:
        """End without writing what is left; it cannot be used again."""
        self._is_aborted = True
        if self._store is not None:
            store, self._store = self._store, None
            store.abort()
