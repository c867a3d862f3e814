"""Blobs that are stored more than once: one damaged pack is no loss where another holds the same blob whole."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from ..errors import RepositoryDamaged
from ..ids import BlobId, FileId
from .blob import open_blob
from .index import Index, Table, id_words
from .layout import BlobKind, FileKind, file_name
from .pack import PackedBlob
from .repository import Repository
from .stored import read_part


def all_places(index: Index, kind: BlobKind, ids: Sequence[BlobId]) -> Iterator[tuple[FileId, PackedBlob]]:
    """(pack, place) of every stored copy of these blobs."""
    for first, table in index.tables(kind):
        for blob, row in _rows(table, ids):
            pack, offset, length, raw_length = table.places[row].tolist()
            place = PackedBlob(id=blob, kind=kind, offset=offset, length=length, raw_length=raw_length)
            yield FileId(index.pack_id(first + pack).hex()), place


def read_elsewhere(
    repository: Repository, index: Index, kind: BlobKind, blob: BlobId, *, avoid: Collection[FileId]
) -> bytes | None:
    """The plain text from another pack than those of ``avoid``; None if no other holds it whole.

    Raises what the medium raises.
    """
    for pack, place in all_places(index, kind, (blob,)):
        if pack in avoid:
            continue
        name = file_name(FileKind.PACK, pack)
        try:
            sealed = read_part(repository.media, name, offset=place.offset, length=place.length)
            return open_blob(sealed, repository.sealer(), blob=blob, raw_length=place.raw_length, name=name)
        except RepositoryDamaged:
            continue
    return None


def _rows(table: Table, wanted: Sequence[BlobId]) -> Iterator[tuple[BlobId, int]]:
    if not wanted or not len(table):
        return
    words = id_words(wanted)
    starts = np.searchsorted(table.head, words[:, 0], side="left").tolist()
    ends = np.searchsorted(table.head, words[:, 0], side="right").tolist()
    for blob, word, start, end in zip(wanted, words, starts, ends, strict=True):
        for row in range(start, end):
            if (table.rest[row] == word[1:]).all():
                yield blob, row
