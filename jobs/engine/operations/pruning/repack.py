"""Writing the needed blobs of doomed packs into new packs. Sealed blobs are moved as they are, after verifying them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from ...events import Control
from ...ids import FileId
from ...media.wrapping import transfers_of
from ...repository.blob import open_blob, seal_blob
from ...repository.index import Flags
from ...repository.index_file import IndexWriter, OnStored
from ...repository.layout import BlobKind, FileKind, file_name
from ...repository.pack import PackedBlob
from ...repository.pack_writer import PackWriter, WrittenPack
from ...repository.repository import Repository
from ...repository.stored import read_part
from ..pack_table import PackTable

_GAP_BYTES: Final = 64 << 10
_READ_BYTES: Final = 16 << 20


def repack(
    repository: Repository,
    packs: PackTable,
    numbers: Iterable[int],
    flags: dict[BlobKind, list[Flags]],
    *,
    pack_bytes: int,
    control: Control,
    on_moved: Callable[[int], None],
    on_stored: OnStored,
) -> int:
    """Move the flagged blobs of the packs ``numbers``; returns the bytes of the new packs, which are in the index then.

    Raises RepositoryDamaged if a blob does not verify; nothing was removed by then. ``on_moved`` is told sealed bytes,
    ``on_stored`` of each index file.
    """
    written: deque[WrittenPack] = deque()
    index_writer = IndexWriter(repository, on_stored=on_stored)
    total = 0
    threads = max(1, transfers_of(repository.media) // 2)
    writer = PackWriter(repository, on_written=written.append, pack_bytes=pack_bytes, threads=threads)
    try:
        for number in numbers:
            control.check()
            for blob, sealed, name in _read_blobs(repository, packs.ids[number], packs.blobs(number, only=flags)):
                _move(repository, writer, blob, sealed, name)
                on_moved(blob.length)
            while written:
                total += written[0].stored_bytes
                index_writer.add(written.popleft())
        writer.close()
    except BaseException:
        writer.abort()
        raise
    for pack in written:
        total += pack.stored_bytes
        index_writer.add(pack)
    index_writer.flush()
    return total


def _move(repository: Repository, writer: PackWriter, blob: PackedBlob, sealed: memoryview, name: str) -> None:
    sealer = repository.sealer()
    plain = open_blob(sealed, sealer, blob=blob.id, raw_length=blob.raw_length, name=name)
    if blob.kind is BlobKind.TREE and not blob.raw_length:
        pieces, length, raw_length = seal_blob(blob.kind, plain, sealer)
        writer.add(blob.kind, blob.id, pieces, length, raw_length)
    else:
        writer.add(blob.kind, blob.id, (bytes(sealed),), blob.length, blob.raw_length)


def _read_blobs(
    repository: Repository, pack: FileId, blobs: Sequence[PackedBlob]
) -> Iterator[tuple[PackedBlob, memoryview, str]]:
    """(blob, sealed bytes, pack's name); neighbours are read at once."""
    name = file_name(FileKind.PACK, pack)
    for run in _runs(blobs):
        start = run[0].offset
        length = run[-1].offset + run[-1].length - start
        raw = memoryview(read_part(repository.media, name, offset=start, length=length))
        for blob in run:
            yield blob, raw[blob.offset - start : blob.offset - start + blob.length], name


def _runs(blobs: Sequence[PackedBlob]) -> Iterator[list[PackedBlob]]:
    run: list[PackedBlob] = []
    for blob in blobs:
        if run:
            end = run[-1].offset + run[-1].length
            if blob.offset - end > _GAP_BYTES or blob.offset + blob.length - run[0].offset > _READ_BYTES:
                yield run
                run = []
        run.append(blob)
    if run:
        yield run
