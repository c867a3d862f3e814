"""Batches of small files: hashed, looked up and stored together, then their nodes filled in."""

from __future__ import annotations

from hashlib import sha256

from ...ids import BlobId
from ...media.base import Buffer
from ...repository.layout import BlobKind
from ...source.node import content_suffix
from .assembly import Assembly
from .pending import PendingDirectory, WantedFile
from .sizing import BATCH_BYTES, BATCH_FILES
from .stores import BlobStore


class SmallFiles:
    """The batch of one worker. Its files' nodes are filled in when it is flushed."""

    def __init__(self, store: BlobStore, assembly: Assembly) -> None:
        self._store = store
        self._assembly = assembly
        self._files: list[tuple[PendingDirectory, int, str]] = []
        self._chunks: list[Buffer] = []
        self._counts: list[int] = []
        self._bytes = 0

    def add(self, file: WantedFile, head: str, chunks: list[Buffer], size: int) -> None:
        """One file, read completely. ``head`` is its node up to the content. Flushes when the batch is full."""
        self._files.append((file.directory, file.slot, head))
        self._counts.append(len(chunks))
        self._chunks += chunks
        self._bytes += size
        if self._bytes >= BATCH_BYTES or len(self._files) >= BATCH_FILES:
            self.flush()

    def flush(self) -> None:
        """Store what is new and complete the nodes."""
        files, chunks, counts = self._files, self._chunks, self._counts
        if not files:
            return
        self._files, self._chunks, self._counts, self._bytes = [], [], [], 0
        ids = [BlobId(sha256(chunk).digest()) for chunk in chunks]
        new = self._store.claim(BlobKind.DATA, ids) if ids else None
        if new:
            for blob, chunk in zip(ids, chunks, strict=True):
                if blob in new:
                    new.discard(blob)
                    self._store.store(BlobKind.DATA, blob, chunk)
        fill = self._assembly.fill
        start = 0
        for (directory, slot, head), count in zip(files, counts, strict=True):
            end = start + count
            fill(directory, slot, head + content_suffix([blob.hex() for blob in ids[start:end]]))
            start = end
