"""Whatever happens to a file of a repository, reading it gives an error that names the file: no traceback, no hang."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from jobs.engine.errors import EngineError, NotInCopy, RepositoryDamaged, RepositoryMissing, WrongPassword
from jobs.engine.ids import BlobId, FileId
from jobs.engine.repository.index_load import load_index
from jobs.engine.repository.layout import BlobKind, FileKind, file_name, pack_name
from jobs.engine.repository.lock_file import list_locks
from jobs.engine.repository.pack import read_pack_header
from jobs.engine.repository.reader import BlobReader
from jobs.engine.repository.repository import Repository
from jobs.engine.repository.snapshot_file import (
    SnapshotFile,
    Summary,
    find_snapshot_file,
    list_snapshot_files,
    parse_snapshot_file,
    save_snapshot_file,
)

from .repositories import PASSWORD, Filled, append, disk_at, fill, new_repository, some_files


def read_everything(path: Path, filled: Filled) -> None:
    """All that a restore or a check would read."""
    repository = Repository.open(disk_at(path), PASSWORD)
    list_locks(repository)
    assert {snapshot.id for snapshot in list_snapshot_files(repository)} == {filled.snapshot}
    for file_id, size in repository.list_files(FileKind.PACK):
        read_pack_header(repository, bytes.fromhex(file_id), size)
    reader = BlobReader(repository, load_index(repository))
    (top,) = reader.read_tree(filled.tree)
    assert top.subtree is not None
    for node in reader.read_tree(top.subtree):
        for blob in node.content:
            assert reader.read(BlobKind.DATA, blob) == filled.data[blob]


def flipped(raw: bytes, source: random.Random) -> bytes:
    broken = bytearray(raw)
    broken[source.randrange(len(raw))] ^= 1 << source.randrange(8)
    return bytes(broken)


def cut_off(raw: bytes, source: random.Random) -> bytes:
    return raw[: source.randrange(len(raw))]


def grown(raw: bytes, source: random.Random) -> bytes:
    return raw + source.randbytes(source.randrange(1, 50))


def replaced(raw: bytes, source: random.Random) -> bytes:
    return source.randbytes(len(raw))


def emptied(_raw: bytes, _source: random.Random) -> bytes:
    return b""


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Filled]:
    path = tmp_path_factory.mktemp("pristine") / "r"
    filled = fill(new_repository(path))
    read_everything(path, filled)
    return path, filled


@pytest.mark.parametrize("damage", [flipped, cut_off, grown, replaced, emptied])
@pytest.mark.parametrize("folder", ["config", "keys", "index", "snapshots", "data"])
def test_every_damage_to_every_file_is_named(
    pristine: tuple[Path, Filled], tmp_path: Path, folder: str, damage: Callable[[bytes, random.Random], bytes]
) -> None:
    path = tmp_path / "r"
    shutil.copytree(pristine[0], path)
    source = random.Random(f"{folder} {damage.__name__}")
    found = [path / folder] if folder == "config" else sorted(p for p in (path / folder).rglob("*") if p.is_file())
    for _ in range(12):
        victim = source.choice(found)
        original = victim.read_bytes()
        victim.write_bytes(damage(original, source))
        with pytest.raises(EngineError) as caught:
            read_everything(path, pristine[1])
        victim.write_bytes(original)
        name = str(victim.relative_to(path))
        assert isinstance(caught.value, RepositoryDamaged | WrongPassword)
        assert name in f"{caught.value} {caught.value.hint}", name
    read_everything(path, pristine[1])


@pytest.mark.parametrize("folder", ["config", "keys", "index", "data"])
def test_every_missing_file_is_named(pristine: tuple[Path, Filled], tmp_path: Path, folder: str) -> None:
    path = tmp_path / "r"
    shutil.copytree(pristine[0], path)
    found = [path / folder] if folder == "config" else [p for p in (path / folder).rglob("*") if p.is_file()]
    for victim in found:
        moved = victim.rename(tmp_path / "away")
        with pytest.raises(RepositoryMissing if folder == "config" else RepositoryDamaged):
            read_everything(path, pristine[1])
        moved.rename(victim)


def test_a_file_that_others_put_there_is_no_file_of_the_repository(
    pristine: tuple[Path, Filled], tmp_path: Path
) -> None:
    path = tmp_path / "r"
    shutil.copytree(pristine[0], path)
    for folder in ("keys", "index", "snapshots", "data", "data/ab"):
        (path / folder).mkdir(exist_ok=True)
        (path / folder / "README.txt").write_text("hello")
        (path / folder / ("b" * 63)).write_text("hello")
    read_everything(path, pristine[1])


def test_a_file_sealed_with_a_valid_key_but_with_nonsense_in_it_is_named(tmp_path: Path) -> None:
    """What only a defect or an enemy with the password writes."""
    repository = new_repository(tmp_path / "r")
    source = random.Random(3)
    texts = [b"", b"{}", b"[]", b"null", b"\x00", b'"x"', b"7", b'{"packs":[{}]}', source.randbytes(50)]
    readers: dict[FileKind, Callable[[Repository], object]] = {
        FileKind.INDEX: load_index,
        FileKind.SNAPSHOT: list_snapshot_files,
        FileKind.LOCK: list_locks,
    }
    for kind, read in readers.items():
        for text in texts:
            file_id = repository.write_file(kind, text)
            with pytest.raises(RepositoryDamaged) as caught:
                read(repository)
            assert caught.value.name == file_name(kind, file_id)
            repository.delete_file(kind, file_id)


def test_a_compressed_file_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "r")
    bomb = bytes.fromhex("28b52ffd") + bytes([0b11100000]) + (1 << 60).to_bytes(8, "little") + b"\1\0\0"
    stored = repository.sealer().seal(b"\x02" + bomb)
    repository.media.put(f"index/{sha256(stored).hexdigest()}", [stored])
    with pytest.raises(RepositoryDamaged, match="allowed"):
        load_index(repository)


def test_damaged_files_can_be_told_and_left_out(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "r")
    filled = fill(repository)
    second = append(repository, some_files(5, seed=9, prefix="g"), time_ns=2 * 10**18)
    told: list[str] = []
    repository.media.put(file_name(FileKind.SNAPSHOT, filled.snapshot), [b"noise"])
    assert [s.id for s in list_snapshot_files(repository, on_damaged=lambda e: told.append(e.name))] == [
        second.snapshot
    ]
    indexes = [file_id for file_id, _ in repository.list_files(FileKind.INDEX)]
    repository.media.put(file_name(FileKind.INDEX, indexes[0]), [b"noise"])
    load_index(repository, on_damaged=lambda e: told.append(e.name))
    assert told == [file_name(FileKind.SNAPSHOT, filled.snapshot), file_name(FileKind.INDEX, indexes[0])]


def test_snapshot_files_are_found_by_prefix_and_by_what_they_hold(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "r")
    filled = fill(repository)
    figures = Summary(backup_start_ns=10**18, backup_end_ns=10**18 + 5, files_new=3, total_bytes_processed=1 << 40)
    newest = SnapshotFile(
        time_ns=2 * 10**18 + 5,
        tree=filled.tree,
        paths=("/ä<b>".encode(), b"/x"),
        hostname="h&h",
        username="u",
        uid=3,
        gid=4,
        tags=("a", "b"),
        parent=filled.snapshot,
        program_version="snapcopy 1",
        summary=figures,
    )
    file_id = save_snapshot_file(repository, newest)
    found = find_snapshot_file(repository, "latest")
    assert found == parse_snapshot_file(file_id, newest.to_json())
    assert (found.paths, found.summary, found.tags, found.parent) == (
        newest.paths,
        figures,
        ("a", "b"),
        filled.snapshot,
    )
    assert find_snapshot_file(repository, file_id[:10]).id == file_id
    assert find_snapshot_file(repository, "latest", paths=(b"/d",)).id == filled.snapshot
    assert find_snapshot_file(repository, "latest", tags=("b",), hostname="h&h").id == file_id
    for wanted in ("", "abc", file_id[:3], "f" * 64, "latest!", "../config"):
        with pytest.raises(NotInCopy):
            find_snapshot_file(repository, FileId(wanted))
    with pytest.raises(NotInCopy):
        find_snapshot_file(repository, "latest", tags=("c",))


def test_many_blobs_are_read_at_once_in_any_order_and_the_damaged_one_is_told(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "r")
    filled = fill(repository)
    reader = BlobReader(repository, load_index(repository))
    ids = [*filled.data, *filled.data, BlobId(bytes(32))]
    random.Random(4).shuffle(ids)
    found = list(reader.read_many(BlobKind.DATA, ids))
    assert len(found) == len(filled.data) + 1
    told = {blob: result for blob, result in found if isinstance(result, RepositoryDamaged)}
    assert told.keys() == {BlobId(bytes(32))}
    assert {blob: result for blob, result in found if blob not in told} == filled.data
    place = reader.index.find(BlobKind.DATA, ids[0])
    assert place is not None
    name = pack_name(place[0])
    raw = bytearray(repository.media.get(name))
    raw[place[1].offset + 20] ^= 1
    repository.media.put(name, [raw])
    damaged = {
        blob for blob, result in reader.read_many(BlobKind.DATA, list(filled.data)) if not isinstance(result, bytes)
    }
    assert damaged == {ids[0]}
