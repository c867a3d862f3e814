"""The index: lookups against a plain dict, and the local copy."""

from __future__ import annotations

import random
import stat
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.engine.clock import SystemClock
from jobs.engine.errors import RepositoryDamaged
from jobs.engine.ids import BlobId, FileId
from jobs.engine.repository.index import Index, Segment, merge_segments
from jobs.engine.repository.index_cache import IndexCache
from jobs.engine.repository.index_file import IndexWriter, parse_index
from jobs.engine.repository.index_load import load_index
from jobs.engine.repository.layout import BlobKind, FileKind
from jobs.engine.repository.pack import FullPack
from jobs.engine.repository.pack_writer import WrittenPack
from jobs.engine.repository.repository import Repository

from .repositories import append, fill, new_repository, some_files

# Ids that often share their first word, as real ones never do: the hard case of the lookup.
IDS = st.builds(
    lambda first, last: BlobId(bytes([first]) * 8 + bytes([last]) * 24), st.integers(0, 3), st.integers(0, 9)
)
PACKS = st.lists(st.tuples(st.sampled_from(BlobKind), st.lists(IDS, max_size=8)), max_size=6)
Expected = dict[tuple[BlobKind, BlobId], list[tuple[bytes, int]]]


def written(kind: BlobKind, ids: list[BlobId], number: int) -> WrittenPack:
    entries = [(blob, 100 + place, 200 if place % 2 else 0) for place, blob in enumerate(ids)]
    full = FullPack(kind=kind, pieces=[], entries=entries, blob_bytes=0)
    pack_id = number.to_bytes(32, "big")
    return WrittenPack(id=pack_id, kind=kind, stored_bytes=0, blobs=len(ids), index_entry=full.index_entry(pack_id))


def index_text(packs: list[WrittenPack]) -> bytes:
    return f'{{"packs":[{",".join(pack.index_entry for pack in packs)}]}}'.encode()


@given(files=st.lists(PACKS, max_size=5), wanted=st.lists(IDS, max_size=30))
def test_lookups_agree_with_a_dict(files: list[list[tuple[BlobKind, list[BlobId]]]], wanted: list[BlobId]) -> None:
    index = Index()
    expected: Expected = {}
    number = 0
    for file in files:
        packs = []
        for kind, ids in file:
            number += 1
            packs.append(written(kind, ids, number))
            for place, blob in enumerate(ids):
                expected.setdefault((kind, blob), []).append((packs[-1].id, 100 + place))
        index.add(parse_index(index_text(packs), name="i"), file_id=FileId(f"{number:064x}"))
    for kind in BlobKind:
        known = [(kind, blob) in expected for blob in wanted]
        assert index.has_many(kind, wanted).tolist() == known
        assert index.missing(kind, wanted) == [
            blob for blob, is_known in zip(wanted, known, strict=True) if not is_known
        ]
        at = index.find_many(kind, wanted)
        for blob, pack, length in zip(wanted, at.pack.tolist(), at.length.tolist(), strict=True):
            if (kind, blob) in expected:
                assert (index.pack_id(pack), length) in expected[kind, blob]
                found = index.find(kind, blob)
                assert found is not None
                assert (found[0], found[1].length) in expected[kind, blob]
            else:
                assert pack == -1
                assert index.find(kind, blob) is None
    assert index.pack_count == number
    assert [bytes(row) for row in index.pack_ids()] == [n.to_bytes(32, "big") for n in range(1, number + 1)]
    assert sum(index.count(kind) for kind in BlobKind) == sum(len(places) for places in expected.values())


@given(files=st.lists(PACKS, min_size=1, max_size=5), data=st.data())
def test_leaving_files_out_equals_never_having_read_them(
    files: list[list[tuple[BlobKind, list[BlobId]]]], data: st.DataObject
) -> None:
    segments = []
    for number, file in enumerate(files):
        packs = [written(kind, ids, number * 10 + place) for place, (kind, ids) in enumerate(file)]
        segments.append(Segment.of_parsed(parse_index(index_text(packs), name="i"), (FileId(f"{number:064x}"),)))
    gone = frozenset(data.draw(st.sets(st.sampled_from([segment.files[0] for segment in segments]))))
    kept = merge_segments(segments).without_files(gone)
    rest = [segment for segment in segments if segment.files[0] not in gone]
    assert rows(Index([kept])) == rows(Index(rest))


def rows(index: Index) -> list[tuple[object, ...]]:
    packs = index.pack_ids()
    return sorted(
        (int(kind), ids.tobytes(), bytes(packs[first + place[0]]), *place[1:].tolist())
        for kind in BlobKind
        for first, table in index.tables(kind)
        for ids, place in zip(table.ids(slice(None)), table.places, strict=True)
    )


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"packs":5}',
        b'{"packs":[{"id":"00","blobs":[]}]}',
        b'{"packs":[{"id":"%s","blobs":[{"id":"ab","type":"data","offset":0,"length":40}]}]}' % (b"a" * 64),
        b'{"packs":[{"id":"%s","blobs":[{"id":"%s","type":"soup","offset":0,"length":40}]}]}' % (b"a" * 64, b"b" * 64),
        b'{"packs":[{"id":"%s","blobs":[{"id":"%s","type":"data","offset":-1,"length":40}]}]}' % (b"a" * 64, b"b" * 64),
        b'{"packs":[{"id":"%s","blobs":[{"id":"%s","type":"data","offset":0.5,"length":40}]}]}'
        % (b"a" * 64, b"b" * 64),
        b'{"packs":[{"id":"%s","blobs":[{"id":"%s","type":"data","offset":0,"length":9e30}]}]}'
        % (b"a" * 64, b"b" * 64),
        b'{"packs":[{"id":"%s","blobs":[{"id":"%s","type":"data","offset":0,"length":1}]}]}' % (b"a" * 64, b"b" * 64),
        b'{"packs":[{"id":"%s","blobs":[{"id":"%s","type":"data","offset":"0","length":40}]}]}'
        % (b"a" * 64, b"b" * 64),
        b'{"packs":[{"id":"%s","blobs":[7]}]}' % (b"a" * 64),
    ],
)
def test_a_nonsensical_index_is_damage(text: bytes) -> None:
    with pytest.raises(RepositoryDamaged) as caught:
        parse_index(text, name="index/ab")
    assert caught.value.name == "index/ab"


def test_an_index_without_packs_is_fine() -> None:
    assert not parse_index(b'{"packs":null}', name="i").packs


def random_index(repository: Repository, blobs: int, *, seed: int = 1) -> list[BlobId]:
    source = random.Random(seed)
    writer = IndexWriter(repository, full_blobs=100)
    ids = [BlobId(source.randbytes(32)) for _ in range(blobs)]
    for start in range(0, blobs, 20):
        number = seed * 1_000_000 + start
        writer.add(written(BlobKind.DATA, ids[start : start + 20], number))
    writer.flush()
    return ids


class HeldClock(SystemClock):
    """Time that passes only when it is told."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


def test_a_writer_killed_without_warning_loses_a_tenth_of_its_time(tmp_path: Path) -> None:
    clock = HeldClock()
    writer = IndexWriter(new_repository(tmp_path / "r"), clock=clock)
    stored_at = [0.0]
    for second in range(1, 3600):
        clock.seconds = float(second)
        writer.add(written(BlobKind.DATA, [BlobId(second.to_bytes(32))], second))
        if len(writer.stored) == len(stored_at):
            stored_at.append(clock.seconds)
    assert all(after - before <= max(5, after / 10 + 1) for before, after in pairwise(stored_at))
    assert len(stored_at) < 60, "and it does not litter the medium"


def test_the_local_copy_gives_the_same_index_and_is_extended_by_what_is_new(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "r")
    cache = tmp_path / "cache"
    known: list[BlobId] = []
    for seed in range(1, 6):
        known += random_index(repository, 1000 // seed, seed=seed)
        fresh = load_index(repository)
        cached = load_index(repository, cache_directory=cache)
        again = load_index(repository, cache_directory=cache)
        assert rows(fresh) == rows(cached) == rows(again)
        assert again.has_many(BlobKind.DATA, known).all()
        assert isinstance(again.segments[0].tables[0].head.base, np.ndarray | memoryview)
    assert len(list((cache / repository.id / "index").iterdir())) <= 4


def test_an_unchanged_index_is_not_read_from_the_medium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = new_repository(tmp_path / "r")
    fill(repository)
    load_index(repository, cache_directory=tmp_path / "cache")
    monkeypatch.setattr(Repository, "read_file", None)
    assert load_index(repository, cache_directory=tmp_path / "cache").count(BlobKind.TREE) == 2


def test_removed_index_files_leave_the_local_copy(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "r")
    cache = tmp_path / "cache"
    random_index(repository, 400)
    load_index(repository, cache_directory=cache)
    for file_id, _ in list(repository.list_files(FileKind.INDEX))[::2]:
        repository.delete_file(FileKind.INDEX, file_id)
    assert rows(load_index(repository, cache_directory=cache)) == rows(load_index(repository))
    for file_id, _ in list(repository.list_files(FileKind.INDEX)):
        repository.delete_file(FileKind.INDEX, file_id)
    assert load_index(repository, cache_directory=cache).pack_count == 0


def test_a_damaged_local_copy_is_made_anew(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "r")
    cache = tmp_path / "cache"
    random_index(repository, 400)
    expected = rows(load_index(repository, cache_directory=cache))
    (path,) = (cache / repository.id / "index").iterdir()
    original = path.read_bytes()
    source = random.Random(5)
    for _ in range(20):
        broken = bytearray(original)
        broken[source.randrange(len(broken))] ^= 1 << source.randrange(8)
        path.unlink(missing_ok=True)
        path.write_bytes(broken[: source.choice([len(broken), source.randrange(len(broken))])])
        assert rows(load_index(repository, cache_directory=cache)) == expected
    path.unlink(missing_ok=True)
    path.write_bytes(b"")
    assert rows(load_index(repository, cache_directory=cache)) == expected


def test_the_local_copy_of_another_repository_is_not_used(tmp_path: Path) -> None:
    first, second = new_repository(tmp_path / "a"), new_repository(tmp_path / "b")
    cache = tmp_path / "cache"
    random_index(first, 100)
    load_index(first, cache_directory=cache)
    (cache / first.id).rename(cache / second.id)
    assert load_index(second, cache_directory=cache).pack_count == 0


def test_the_local_copy_is_for_its_owner_only(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "r")
    fill(repository)
    load_index(repository, cache_directory=tmp_path / "cache")
    directory = IndexCache(tmp_path / "cache", repository.id).directory
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "r")
    fill(repository)
    (tmp_path / "cache").write_text("a file where the directory should be")
    assert load_index(repository, cache_directory=tmp_path / "cache").count(BlobKind.TREE) == 2


def test_a_second_copy_of_the_same_files_stores_nothing_new(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "r")
    first = fill(repository)
    packs = dict(repository.list_files(FileKind.PACK))
    second = append(repository, some_files())
    assert second.tree == first.tree
    assert dict(repository.list_files(FileKind.PACK)) == packs
