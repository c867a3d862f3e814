"""Whoever writes index files keeps the local copy of the index: the next one opens the repository without parsing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.events import FreeRun, NullSink
from jobs.engine.operations import prune
from jobs.engine.operations.prune import PrunePlan
from jobs.engine.repository import index_file
from jobs.engine.repository.index_load import load_index
from jobs.engine.repository.layout import BlobKind, FileKind
from jobs.engine.repository.repository import Repository

from .copying import Copier, StopWhen, grow_tree
from .repositories import PASSWORD, disk_at
from .restores import run_restore


@pytest.fixture(autouse=True)
def _one_index_file_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes: none is written because time has passed."""
    monkeypatch.setattr(index_file, "FLUSH_SECONDS", 600.0)


@pytest.fixture
def copier(tmp_path: Path) -> Copier:
    return Copier(tmp_path, at_top=True)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Index files that were read from the medium since it was last cleared."""
    names: list[str] = []
    real = Repository.read_file

    def read_file(self: Repository, kind: FileKind, file_id: str) -> bytes:
        if kind is FileKind.INDEX:
            names.append(file_id)
        return real(self, kind, file_id)  # type: ignore[arg-type]

    monkeypatch.setattr(Repository, "read_file", read_file)
    return names


def cached_files(copier: Copier) -> int:
    return len(os.listdir(copier.state / copier.repository.id / "index"))


def test_a_copy_leaves_nothing_to_parse_for_the_next_one(copier: Copier, tmp_path: Path, read: list[str]) -> None:
    source = tmp_path / "source"
    grow_tree(source)
    copier.copy(source)
    for number in range(3):
        (source / f"new {number}").write_bytes(os.urandom(2000))
        assert copier.copy(source).counters.files_new == 1
    assert copier.indexed == 4
    assert read == []
    fresh = load_index(copier.repository)
    cached = load_index(copier.repository, cache_directory=copier.state)
    for kind in BlobKind:
        assert cached.count(kind) == fresh.count(kind)
    assert cached.files == fresh.files


def test_a_copy_that_was_stopped_leaves_what_it_indexed(copier: Copier, tmp_path: Path, read: list[str]) -> None:
    source = tmp_path / "source"
    grow_tree(source)
    with pytest.raises(Exception, match="Killed"):
        copier.run(copier.plan(source, pack_bytes=1 << 16), StopWhen(lambda: any((copier.path / "data").rglob("*/*"))))
    load_index(copier.repository, cache_directory=copier.state)
    assert copier.indexed
    assert read == []


def test_a_restore_uses_the_local_copy(copier: Copier, tmp_path: Path, read: list[str]) -> None:
    source = tmp_path / "source"
    grow_tree(source, directories=5)
    copier.copy(source)
    run_restore(copier.path, tmp_path / "there", index_cache=copier.state)
    assert len(list((tmp_path / "there").rglob("f*"))) == 125
    assert read == []


def test_a_prune_renews_the_local_copy(copier: Copier, tmp_path: Path, read: list[str]) -> None:
    source = tmp_path / "source"
    grow_tree(source, directories=10)
    first = copier.copy(source, with_state=True).snapshot_file_id
    for path in source.rglob("f[0-9]"):
        path.write_bytes(os.urandom(3000))
    copier.copy(source)
    copier.repository.delete_file(FileKind.SNAPSHOT, first)
    plan = PrunePlan(max_unused_percent=0, index_cache=copier.state)
    result = prune.run(plan, disk_at(copier.path), PASSWORD, NullSink(), FreeRun(), SystemClock())
    assert result.packs_repacked + result.packs_removed
    read.clear()
    cached = load_index(copier.repository, cache_directory=copier.state)
    assert read == []
    assert cached.files == load_index(copier.repository).files
    assert copier.copy(source).counters.bytes_new == 0


def test_many_small_copies_leave_few_files(
    copier: Copier, tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    most = 0
    for number in range(24):
        (source / "file").write_bytes(number.to_bytes(2))
        copier.copy(source)
        most = max(most, cached_files(copier))
    assert most <= 10
    assert copier.indexed == 24
    assert read == []


def test_a_copy_with_many_index_files_keeps_few_of_them_in_memory(
    copier: Copier, tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.engine.repository.index_additions._SPILL_BLOBS", 300)
    monkeypatch.setitem(index_file.IndexWriter.__init__.__kwdefaults__ or {}, "full_blobs", 100)
    source = tmp_path / "source"
    grow_tree(source, directories=60, files=20)
    copier.run(copier.plan(source, pack_bytes=1 << 16))
    assert copier.indexed > 6
    assert 1 < cached_files(copier) < copier.indexed
    assert load_index(copier.repository, cache_directory=copier.state).files == load_index(copier.repository).files
    assert len(read) == copier.indexed, "only the one without a local copy reads"
