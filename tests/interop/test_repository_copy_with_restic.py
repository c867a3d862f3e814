"""Copies from repository to repository, judged by stock restic: check, restore, and going on from either side."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.errors import InvalidOptions, Killed, NotInCopy, RepositoryDamaged
from jobs.engine.events import Control, FreeRun, NullSink
from jobs.engine.ids import FileId
from jobs.engine.operations import repository_copy, restore
from jobs.engine.operations.repository_copy import RepositoryCopyPlan
from jobs.engine.plan import CopyResult, RestorePlan, Secret
from jobs.engine.repository.repository import Repository
from jobs.engine.repository.snapshot_file import SnapshotFile, list_snapshot_files, read_snapshot_file
from tests.engine.copying import Copier, Recorder, StopWhen, grow_tree
from tests.engine.repositories import PASSWORD, QUICK, disk_at
from tests.interop.restic import Restic
from tests.jobs.farm import until
from tests.odd_tree import Described, build_odd_tree, describe_tree

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("restic") is None, reason="stock restic is not installed"),
]
OTHER = Secret("another password")


class Pair:
    """A repository that copies of a tree are made into, and a second one that is fed from it."""

    def __init__(self, base: Path) -> None:
        self.tree = base / "tree"
        self.tree.mkdir()
        self.copier = Copier(base)
        self.path = base / "second"
        self.second = Repository.create(disk_at(self.path), OTHER, cost=QUICK)
        self.sink = Recorder()

    def snapshot_file(self, file_id: FileId) -> SnapshotFile:
        return read_snapshot_file(self.second, file_id)

    def feed(self, file_id: FileId | None = None, *, control: Control | None = None) -> CopyResult:
        self.sink = Recorder()
        return repository_copy.run(
            RepositoryCopyPlan(
                snapshot_file_id=file_id or self.copier.last or FileId(""),
                source_id=self.copier.repository.id,
                target_id=self.second.id,
                pack_bytes=64 << 10,
            ),
            disk_at(self.copier.path),
            PASSWORD,
            disk_at(self.path),
            OTHER,
            self.sink,
            control or FreeRun(),
            SystemClock(),
        )

    @property
    def restic(self) -> Restic:
        return Restic(repository=self.path, password=OTHER.reveal())

    @property
    def locks(self) -> list[str]:
        return [*self.copier.locks, *(os.listdir(self.path / "locks") if (self.path / "locks").exists() else [])]


def count_files(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    yield made
    assert made.locks == []


@pytest.mark.skipif(os.geteuid() != 0, reason="devices, owners and capabilities need root")
def test_a_copy_of_every_odd_thing_is_clean_and_restores_identically_after_its_source_is_gone(
    pair: Pair, tmp_path: Path
) -> None:
    build_odd_tree(pair.tree)
    grow_tree(pair.tree / "many", directories=20)
    (pair.tree / "large").write_bytes(os.urandom(9 << 20))
    expected = describe_tree(pair.tree)
    first = pair.copier.copy(pair.tree)
    shutil.move(pair.tree, tmp_path / "elsewhere")

    result = pair.feed()

    assert result.tree_id == first.tree_id
    assert result.counters.files_done == first.counters.files_done
    assert result.counters.bytes_stored
    pair.restic.judge()
    back, stock = tmp_path / "back", tmp_path / "stock"
    back.mkdir()
    plan = RestorePlan(snapshot_file_id=result.snapshot_file_id, target=back)
    restore.run(plan, disk_at(pair.path), OTHER, NullSink(), FreeRun(), SystemClock())
    assert _comparable(describe_tree(back / str(pair.tree)[1:])) == _comparable(expected)
    many = pair.tree / "many"
    pair.restic.run("restore", result.snapshot_file_id, "--include", str(many), "--target", str(stock))
    assert describe_tree(stock / str(many)[1:]) == describe_tree(tmp_path / "elsewhere" / "many")


def _comparable(described: dict[bytes, Described]) -> dict[bytes, Described]:
    """Sockets are not stored, and links of links are not told."""
    return {
        path: replace(entry, link_group=b"") if stat.S_ISLNK(entry.mode) else entry
        for path, entry in described.items()
        if path != b"kinds/socket"
    }


def test_the_snapshot_file_keeps_time_paths_host_and_tags_and_names_its_original(pair: Pair) -> None:
    grow_tree(pair.tree, directories=3)
    made = read_snapshot_file(pair.copier.repository, pair.copier.copy(pair.tree).snapshot_file_id)
    there = pair.snapshot_file(pair.feed().snapshot_file_id)
    for field in ("time_ns", "tree", "paths", "hostname", "username", "tags", "summary", "program_version"):
        assert getattr(there, field) == getattr(made, field)
    assert there.original == made.id
    assert there.parent is None


def test_only_what_is_missing_moves_and_the_parent_is_the_copy_of_the_parent(pair: Pair) -> None:
    grow_tree(pair.tree)
    pair.copier.copy(pair.tree)
    first = pair.feed()
    (pair.tree / "a0" / "new").write_bytes(os.urandom(5000))
    second_made = pair.copier.copy(pair.tree)
    second = pair.feed()
    assert second.tree_id == second_made.tree_id
    assert second.parent_used == first.snapshot_file_id
    assert pair.snapshot_file(second.snapshot_file_id).parent == first.snapshot_file_id
    assert second.counters.bytes_new < 60_000
    assert second.counters.directories_done < 12, "directories that did not change are not looked at"
    pair.restic.judge()


def test_snapshot_files_may_be_fed_in_any_order_and_again(pair: Pair) -> None:
    ids = []
    for number in range(3):
        grow_tree(pair.tree / str(number), directories=2)
        ids.append(pair.copier.copy(pair.tree).snapshot_file_id)
    fed = {file_id: pair.feed(file_id) for file_id in (ids[2], ids[0], ids[1])}
    again = pair.feed(ids[1])
    assert again.snapshot_file_id == fed[ids[1]].snapshot_file_id
    assert again.counters.bytes_stored == 0
    assert "already-there" in pair.sink.notices
    assert [file.original for file in list_snapshot_files(pair.second)] == ids
    pair.restic.judge()


def test_feeding_again_heals_what_the_target_lost(pair: Pair) -> None:
    grow_tree(pair.tree, directories=3)
    pair.copier.copy(pair.tree)
    pair.feed()
    for pack in (pair.path / "data").rglob("*"):
        if pack.is_file():
            pack.unlink()
    pair.restic.run("rebuild-index")
    assert pair.feed().counters.bytes_stored
    pair.restic.judge()


def test_what_stock_restic_made_is_fed_and_what_was_fed_it_goes_on_from(pair: Pair, tmp_path: Path) -> None:
    """The repositories' chunker polynomials differ; blobs are copied whole."""
    grow_tree(pair.tree, directories=5)
    (pair.tree / "large").write_bytes(os.urandom(5 << 20))
    first = Restic(repository=pair.copier.path)
    first.run("backup", str(pair.tree))
    (made,) = first.json("snapshots")
    result = pair.feed(FileId(made["id"]))
    pair.restic.judge()
    diff = pair.restic.run("backup", "--json", str(pair.tree))
    assert '"files_new":0' in diff
    assert '"files_changed":0' in diff
    assert pair.snapshot_file(result.snapshot_file_id).original == made["id"]


def test_stock_restic_knows_a_copy_of_ours_for_a_copy(pair: Pair) -> None:
    """``restic copy`` skips what is there already, which it tells by time, host, paths, tags and the original."""
    grow_tree(pair.tree, directories=3)
    pair.copier.copy(pair.tree)
    pair.feed()
    (pair.path.parent / "password").write_text(PASSWORD.reveal())
    said = pair.restic.run(
        "copy", "--from-repo", str(pair.copier.path), "--from-password-file", str(pair.path.parent / "password")
    )
    assert "skipping source snapshot" in said, said
    assert len(list_snapshot_files(pair.second)) == 1


def test_a_stopped_copy_leaves_no_snapshot_file_and_the_next_reuses_what_moved(pair: Pair) -> None:
    grow_tree(pair.tree, directories=80, files=40, size=8000)
    whole = pair.copier.copy(pair.tree)
    control = StopWhen(lambda: count_files(pair.path / "data") >= 3)
    with pytest.raises(Killed):
        pair.feed(control=control)
    assert list_snapshot_files(pair.second) == []
    assert pair.locks == []
    assert os.listdir(pair.path / "index")
    result = pair.feed()
    assert result.counters.bytes_new < whole.counters.bytes_new - 100_000
    pair.restic.judge()


def _feed_and_kill(pair: Pair, *, packs: int) -> None:
    """``kill -9`` once so many packs more lie in the target. The copy gets no further than that, however late it is."""
    wanted = count_files(pair.path / "data") + packs

    class Stays:
        def check(self) -> None:
            while count_files(pair.path / "data") >= wanted:
                time.sleep(1)

    child = multiprocessing.get_context("fork").Process(target=pair.feed, kwargs={"control": Stays()})
    child.start()
    until(lambda: count_files(pair.path / "data") >= wanted, seconds=120, what="packs are being written")
    child.kill()
    child.join()


def test_a_copy_that_is_killed_damages_nothing_and_its_locks_go_with_the_next(pair: Pair) -> None:
    grow_tree(pair.tree, directories=80, files=40, size=8000)
    pair.copier.copy(pair.tree)
    for packs in range(1, 4):
        _feed_and_kill(pair, packs=packs)
        assert list_snapshot_files(pair.second) == []
        pair.restic.run("check", "--no-lock")
    assert pair.locks
    result = pair.feed()
    assert "no errors were found" in pair.restic.run("check", "--read-data")
    assert result.tree_id == read_snapshot_file(pair.copier.repository, pair.copier.last or FileId("")).tree.hex()


def test_a_damaged_source_names_its_pack_and_commits_nothing(pair: Pair) -> None:
    grow_tree(pair.tree, directories=3)
    pair.copier.copy(pair.tree)
    for pack in (pair.copier.path / "data").rglob("*"):
        if pack.is_file() and pack.stat().st_size > 100_000:
            raw = bytearray(pack.read_bytes())
            raw[5000] ^= 1
            pack.chmod(0o600)
            pack.write_bytes(raw)
            break
    with pytest.raises(RepositoryDamaged, match=pack.name):
        pair.feed()
    assert list_snapshot_files(pair.second) == []


def test_what_cannot_be_copied_is_refused_with_a_sentence(pair: Pair) -> None:
    with pytest.raises(NotInCopy):
        pair.feed(FileId("0" * 64))
    grow_tree(pair.tree, directories=1)
    made = pair.copier.copy(pair.tree)
    with pytest.raises(InvalidOptions, match="one and the same"):
        repository_copy.run(
            RepositoryCopyPlan(snapshot_file_id=made.snapshot_file_id),
            disk_at(pair.copier.path),
            PASSWORD,
            disk_at(pair.copier.path),
            PASSWORD,
            Recorder(),
            FreeRun(),
            SystemClock(),
        )
