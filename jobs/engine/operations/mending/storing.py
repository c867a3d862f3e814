"""Storing blobs that came back, and what is whole in damaged packs, in new packs that an index names."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from ...errors import RepositoryDamaged, Stopped
from ...ids import BlobId, FileId
from ...repository.blob import hash_blob, seal_blob
from ...repository.index_file import IndexWriter
from ...repository.layout import BlobKind, FileKind, file_name
from ...repository.pack import PackedBlob
from ...repository.pack_writer import PackWriter, WrittenPack
from ...repository.repository import Repository
from ...repository.stored import read_part
from ..pack_reading import open_packed


class Storing:
    """A context: when it ends well or is stopped, all is durable and indexed.

    After an error what was written is in no index, and the next prune removes it.

    ``written`` are the packs it made.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._done: deque[WrittenPack] = deque()
        self._writer = PackWriter(repository, on_written=self._done.append)
        self.written: list[FileId] = []
        self.stored_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if kind is not None and not issubclass(kind, Stopped):
            self._writer.abort()
            return
        self._writer.close()
        index_writer = IndexWriter(self._repository)
        for pack in self._done:
            index_writer.add(pack)
            self.written.append(FileId(pack.id.hex()))
            self.stored_bytes += pack.stored_bytes
        index_writer.flush()

    def store(self, kind: BlobKind, blob: BlobId, plain: bytes) -> bool:
        """False, and nothing is stored, if it is not what its id says."""
        if hash_blob(plain) != blob:
            return False
        pieces, length, raw_length = seal_blob(kind, plain, self._repository.sealer())
        self._writer.add(kind, blob, pieces, length, raw_length)
        return True

    def save_whole(self, pack: FileId, blobs: Sequence[PackedBlob]) -> int:
        """Store again, as they are, those blobs of a damaged pack that are whole; returns how many."""
        name = file_name(FileKind.PACK, pack)
        try:
            raw = read_part(self._repository.media, name)
        except RepositoryDamaged:
            return 0
        saved = 0
        for blob in blobs:
            try:
                open_packed(self._repository, raw, blob, name=name)
            except RepositoryDamaged:
                continue
            sealed = raw[blob.offset : blob.offset + blob.length]
            self._writer.add(blob.kind, blob.id, (sealed,), blob.length, blob.raw_length)
            saved += 1
        return saved
