"""One file of a repository at any offset: right bytes, few of them moved, little kept, and damage that is named."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from jobs.engine.errors import RepositoryDamaged
from jobs.engine.ids import BlobId
from jobs.engine.media.disk import DiskMedia, DiskOptions
from jobs.engine.repository.claims import Claims
from jobs.engine.repository.index_file import IndexWriter
from jobs.engine.repository.index_load import load_index
from jobs.engine.repository.layout import BlobKind
from jobs.engine.repository.pack_writer import WrittenPack
from jobs.engine.repository.reader import BlobReader
from jobs.engine.repository.session import AppendSession
from jobs.engine.repository.stored_file import StoredFile
from jobs.engine.repository.tree import Node, join_tree, parse_tree

from .repositories import file_node, new_repository

BLOB_BYTES = 10_000


class CountingMedia(DiskMedia):
    """Counts the bytes that are read."""

    moved = 0

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        piece = super().get(name, offset=offset, length=length)
        self.moved += len(piece)
        return piece


class Stored:
    """A file of ``count`` random blobs, one of them twice, each in a pack of its own."""

    def __init__(self, path: Path, count: int = 30) -> None:
        repository = new_repository(path)
        self.media = repository.media = CountingMedia(DiskOptions(path=path, fsync=False))
        source = random.Random(5)
        parts = [source.randbytes(BLOB_BYTES + number) for number in range(count)]
        parts.insert(7, parts[2])
        self.content = b"".join(parts)
        packs: list[WrittenPack] = []
        session = AppendSession(
            repository, load_index(repository), Claims(), on_written=packs.append, pack_bytes=BLOB_BYTES
        )
        self.blobs: list[BlobId] = [session.save(BlobKind.DATA, part) for part in parts]
        session.close()
        writer = IndexWriter(repository)
        for pack in packs:
            writer.add(pack)
        writer.flush()
        self.reader = BlobReader(repository, load_index(repository))
        self.media.moved = 0

    def node(self, *, size: int | None = None, blobs: list[BlobId] | None = None) -> Node:
        size = len(self.content) if size is None else size
        text = file_node("image", self.blobs if blobs is None else blobs, size)
        (node,) = parse_tree(join_tree([text]))
        return node


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    return Stored(tmp_path / "repository")


def test_every_range_is_what_was_stored_whatever_is_kept(stored: Stored) -> None:
    file = StoredFile(stored.reader, stored.node(), cache_bytes=4 * BLOB_BYTES, ahead_bytes=3 * BLOB_BYTES)
    size = file.size_bytes
    assert size == len(stored.content)
    source = random.Random(6)
    position = 0
    for _ in range(300):
        offset = source.choice([position, source.randrange(size)])
        length = min(source.choice([0, 1, 500, BLOB_BYTES, 5 * BLOB_BYTES]), size - offset)
        assert file.read(offset, length) == stored.content[offset : offset + length]
        position = offset + length
    assert file.read(0, size) == stored.content
    assert file.read(size, 0) == b""


def test_a_small_range_moves_only_the_blobs_that_hold_it(stored: Stored) -> None:
    file = StoredFile(stored.reader, stored.node())
    assert stored.media.moved == 0, "opening reads nothing"
    middle = len(stored.content) // 2
    file.read(middle, 100)
    assert stored.media.moved < 1.1 * BLOB_BYTES
    file.read(middle + 10, 50)
    assert stored.media.moved < 1.1 * BLOB_BYTES, "what was just read is kept"


def test_who_reads_on_and_on_moves_everything_once_and_keeps_little(stored: Stored) -> None:
    file = StoredFile(stored.reader, stored.node(), cache_bytes=6 * BLOB_BYTES, ahead_bytes=4 * BLOB_BYTES)
    step = BLOB_BYTES // 3
    got = b"".join(file.read(at, min(step, file.size_bytes - at)) for at in range(0, file.size_bytes, step))
    assert got == stored.content
    assert stored.media.moved < 1.05 * len(stored.content)
    assert sum(map(len, file._kept.values())) == file._kept_bytes <= 6 * BLOB_BYTES


@pytest.mark.parametrize(("offset", "length"), [(-1, 5), (0, -1), (0, 10**9), (10**9, 1)])
def test_what_lies_outside_is_refused(stored: Stored, offset: int, length: int) -> None:
    with pytest.raises(ValueError, match="are not in a file of"):
        StoredFile(stored.reader, stored.node()).read(offset, length)


def test_a_file_that_cannot_be_whole_says_so_before_anything_is_read(stored: Stored) -> None:
    with pytest.raises(RepositoryDamaged, match="its blobs hold"):
        StoredFile(stored.reader, stored.node(size=5))
    with pytest.raises(RepositoryDamaged, match="no index names a pack"):
        StoredFile(stored.reader, stored.node(blobs=[*stored.blobs, BlobId(bytes(32))]))


def test_a_damaged_blob_stops_only_who_wants_it(stored: Stored, tmp_path: Path) -> None:
    found = stored.reader.index.find(BlobKind.DATA, stored.blobs[3])
    assert found is not None
    pack = next((tmp_path / "repository" / "data").rglob(found[0].hex()))
    raw = bytearray(pack.read_bytes())
    raw[100] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(raw)
    file = StoredFile(stored.reader, stored.node())
    file.read(0, 100)
    assert file.read(100, BLOB_BYTES) == stored.content[100 : BLOB_BYTES + 100], "also where it is read ahead"
    with pytest.raises(RepositoryDamaged, match=pack.name):
        file.read(3 * BLOB_BYTES + 1000, 100)
