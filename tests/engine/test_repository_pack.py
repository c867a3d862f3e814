"""Packs: headers, writing, and what happens when the medium fails."""

from __future__ import annotations

import struct
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.engine.errors import NoSpace, RepositoryDamaged
from jobs.engine.ids import BlobId
from jobs.engine.media.base import Buffer
from jobs.engine.media.disk import DiskMedia, DiskOptions
from jobs.engine.repository.blob import hash_blob, open_blob, seal_blob
from jobs.engine.repository.claims import Claims
from jobs.engine.repository.index import Index
from jobs.engine.repository.layout import BlobKind, FileKind, pack_name
from jobs.engine.repository.pack import FullPack, Packer, header_bytes, parse_pack_header, read_pack_header
from jobs.engine.repository.pack_writer import PackWriter, WrittenPack
from jobs.engine.repository.repository import Repository
from jobs.engine.repository.session import AppendSession

from .repositories import new_repository

ENTRIES = st.lists(
    st.tuples(st.binary(min_size=32, max_size=32), st.integers(32, 1 << 24), st.integers(0, 1 << 24)), max_size=30
)


@given(entries=ENTRIES, kind=st.sampled_from(BlobKind))
def test_a_header_reads_back(entries: list[tuple[BlobId, int, int]], kind: BlobKind) -> None:
    total = sum(length for _, length, _ in entries)
    full = FullPack(kind=kind, pieces=[], entries=entries, blob_bytes=total)
    blobs = parse_pack_header(full.header(), name="p", blob_bytes=total)
    assert [(blob.id, blob.length, blob.raw_length) for blob in blobs] == entries
    assert all(blob.kind is kind for blob in blobs)
    assert [blob.offset for blob in blobs] == [sum(e[1] for e in entries[:n]) for n in range(len(entries))]
    compressed = sum(1 for entry in entries if entry[2])
    assert header_bytes(len(entries) - compressed, compressed) == len(full.header()) + 36


@given(header=st.binary(max_size=200), blob_bytes=st.integers(0, 1 << 32))
def test_noise_is_no_header(header: bytes, blob_bytes: int) -> None:
    with suppress(RepositoryDamaged):
        assert sum(b.length for b in parse_pack_header(header, name="p", blob_bytes=blob_bytes)) == blob_bytes


@given(plain=st.binary(max_size=3000), kind=st.sampled_from(BlobKind))
def test_a_blob_reads_back(plain: bytes, kind: BlobKind) -> None:
    sealer = REPOSITORY_KEYS.sealer()
    pieces, length, raw_length = seal_blob(kind, plain, sealer)
    sealed = b"".join(pieces)
    assert len(sealed) == length
    assert open_blob(sealed, sealer, blob=hash_blob(plain), raw_length=raw_length, name="p") == plain
    with pytest.raises(RepositoryDamaged, match="not what its id says"):
        open_blob(sealed, sealer, blob=hash_blob(plain + b"x"), raw_length=raw_length, name="p")
    if kind is BlobKind.DATA:
        assert length <= len(plain) + 32


@pytest.fixture(autouse=True, scope="module")
def _repository_keys(tmp_path_factory: pytest.TempPathFactory) -> None:
    global REPOSITORY_KEYS  # noqa: PLW0603
    REPOSITORY_KEYS = new_repository(tmp_path_factory.mktemp("keys") / "r")


REPOSITORY_KEYS: Repository


def test_trees_and_data_never_share_a_pack_and_packs_are_of_the_asked_size(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "r")
    packs: list[WrittenPack] = []
    writer = PackWriter(repository, on_written=packs.append, pack_bytes=100_000, threads=2)
    expected: dict[BlobKind, set[BlobId]] = {kind: set() for kind in BlobKind}
    for number in range(300):
        kind = BlobKind(number % 2)
        plain = struct.pack("<I", number) * 700
        blob = hash_blob(plain)
        expected[kind].add(blob)
        writer.add(kind, blob, (repository.sealer().seal(plain),), len(plain) + 32, 0)
    writer.close()
    found: dict[BlobKind, set[BlobId]] = {kind: set() for kind in BlobKind}
    stored = dict(repository.list_files(FileKind.PACK))
    assert {pack.id.hex(): pack.stored_bytes for pack in packs} == stored
    for pack in packs:
        blobs = read_pack_header(repository, pack.id, pack.stored_bytes)
        assert {blob.kind for blob in blobs} == {pack.kind}
        assert len(blobs) == pack.blobs
        found[pack.kind] |= {blob.id for blob in blobs}
        assert pack.stored_bytes < 110_000
    assert found == expected


def test_small_blobs_are_written_as_few_pieces() -> None:
    packs: list[FullPack] = []
    packer = Packer(BlobKind.DATA, submit=packs.append, pack_bytes=4 << 20)
    for number in range(5000):
        packer.add(BlobId(struct.pack("<I28x", number)), (bytes(1000),), 1000, 0)
    packer.add(BlobId(bytes(32)), (b"n" * 16, bytes(1 << 20), b"t" * 16), (1 << 20) + 32, 0)
    packer.flush()
    packer.flush()
    assert len(packs) == 2
    assert sum(len(pack.pieces) for pack in packs) < 20
    assert all(sum(len(piece) for piece in pack.pieces) == pack.blob_bytes for pack in packs)
    assert sum(len(pack.entries) for pack in packs) == 5001


class FullDisk(DiskMedia):
    """A disk on which packs find no space."""

    def put(self, name: str, pieces: Sequence[Buffer]) -> None:
        if name.startswith("data/"):
            raise NoSpace("The medium is full.")
        super().put(name, pieces)


def store_many(session: AppendSession) -> None:
    for number in range(1000):
        session.save(BlobKind.DATA, struct.pack("<I", number) * 300)


def test_the_error_of_a_writer_reaches_whoever_stores_and_nothing_hangs(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "r")
    repository.media = FullDisk(DiskOptions(path=tmp_path / "r"))
    session = AppendSession(repository, Index(), Claims(), on_written=lambda _pack: None, pack_bytes=1000)
    with pytest.raises(NoSpace):
        store_many(session)
    with pytest.raises(NoSpace):
        session.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "pack-writer"]


def test_a_session_that_is_aborted_ends_its_threads_and_leaves_whole_packs_only(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "r")
    session = AppendSession(repository, Index(), Claims(), on_written=lambda _pack: None, pack_bytes=1000)
    for number in range(50):
        session.save(BlobKind.DATA, struct.pack("<I", number) * 300)
    session.abort()
    assert not [thread for thread in threading.enumerate() if thread.name == "pack-writer"]
    for file_id, size in repository.list_files(FileKind.PACK):
        assert read_pack_header(repository, bytes.fromhex(file_id), size)


def test_a_long_header_is_read_too(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "r")
    packs: list[WrittenPack] = []
    session = AppendSession(repository, Index(), Claims(), on_written=packs.append)
    for number in range(2000):
        session.save(BlobKind.DATA, struct.pack("<I", number))
    session.close()
    (pack,) = packs
    assert len(read_pack_header(repository, pack.id, pack.stored_bytes)) == 2000
    assert repository.media.size(pack_name(pack.id)) == pack.stored_bytes


def test_a_pack_of_tiny_blobs_is_full_by_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known of each takes more memory than they do."""
    monkeypatch.setattr("jobs.engine.repository.pack.MAX_PACK_BLOBS", 10)
    packs: list[FullPack] = []
    packer = Packer(BlobKind.DATA, submit=packs.append)
    for number in range(25):
        packer.add(BlobId(number.to_bytes(32)), (b"tiny",), 4, 0)
    packer.flush()
    assert [len(pack.entries) for pack in packs] == [10, 10, 5]
