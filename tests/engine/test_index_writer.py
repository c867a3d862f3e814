"""Index files while packs still come: whatever the medium does, a pack that is durable is in an index or nothing is
committed."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.errors import MediaUnavailable, RepositoryDamaged
from jobs.engine.events import FreeRun, NullSink
from jobs.engine.ids import BlobId
from jobs.engine.media.base import Buffer, Media
from jobs.engine.media.wrapping import Wrapper
from jobs.engine.operations import backup_copy, check
from jobs.engine.operations.check import CheckPlan
from jobs.engine.repository import index_file
from jobs.engine.repository.index_file import IndexWriter
from jobs.engine.repository.index_load import load_index
from jobs.engine.repository.layout import BlobKind
from jobs.engine.repository.pack_writer import WrittenPack
from jobs.engine.repository.repository import Repository
from tests.interop.restic import Restic

from .copying import Copier
from .odd_media import MemoryMedia
from .repositories import PASSWORD, QUICK, disk_at
from .test_repository_index import written

PATIENCE_SECONDS = 60.0


class HeldIndex(Wrapper):
    """An index file is on its way until it is let go, or until patience ends."""

    def __init__(self, inner: Media) -> None:
        super().__init__(inner)
        self.began = threading.Event()
        self.let_go = threading.Event()

    def put(self, name: str, pieces: Sequence[Buffer]) -> None:
        if name.startswith("index/"):
            self.began.set()
            self.let_go.wait(PATIENCE_SECONDS)
        self.inner.put(name, pieces)


class BusyIndex(Wrapper):
    """An index file takes until two more packs came after it began, or a moment: as long as a far medium may take."""

    transfers = 8

    def __init__(self, inner: Media) -> None:
        super().__init__(inner)
        self._packs = 0
        self._changed = threading.Condition()

    def put(self, name: str, pieces: Sequence[Buffer]) -> None:
        if name.startswith("index/"):
            with self._changed:
                wanted = self._packs + 2
                self._changed.wait_for(lambda: self._packs >= wanted, timeout=0.1)
        self.inner.put(name, pieces)
        if name.startswith("data/"):
            with self._changed:
                self._packs += 1
                self._changed.notify_all()


def packs(count: int) -> list[BlobId]:
    return [BlobId(os.urandom(32)) for _ in range(count)]


def indexed(repository: Repository) -> int:
    return load_index(repository).count(BlobKind.DATA)


def test_a_pack_that_comes_while_an_index_file_is_on_its_way_is_in_the_next() -> None:
    media = HeldIndex(MemoryMedia())
    media.let_go.set()
    repository = Repository.create(media, PASSWORD, cost=QUICK)
    media.let_go.clear()
    writer = IndexWriter(repository)
    writer.add(written(BlobKind.DATA, packs(3), 1))
    flushing = threading.Thread(target=writer.flush)
    flushing.start()
    assert media.began.wait(PATIENCE_SECONDS)
    adding = threading.Thread(target=writer.add, args=(written(BlobKind.DATA, packs(4), 2),))
    adding.start()
    media.let_go.set()
    flushing.join(PATIENCE_SECONDS)
    adding.join(PATIENCE_SECONDS)
    writer.flush()
    assert indexed(repository) == 7
    writer.require(7)


def test_packs_of_an_index_file_that_failed_are_in_the_next() -> None:
    media = MemoryMedia()
    repository = Repository.create(media, PASSWORD, cost=QUICK)
    writer = IndexWriter(repository)
    writer.add(written(BlobKind.DATA, packs(3), 1))
    media.answers = [MediaUnavailable("The connection was refused.")]
    with pytest.raises(MediaUnavailable):
        writer.flush()
    writer.add(written(BlobKind.DATA, packs(2), 2))
    writer.flush()
    assert indexed(repository) == 5


def test_nothing_is_committed_that_is_not_in_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copier, source = Copier(tmp_path), tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(os.urandom(100_000))
    monkeypatch.setattr(IndexWriter, "add", lambda *_: None)
    with pytest.raises(RepositoryDamaged, match=r"Of \d+ pieces stored, 0 are in the index"):
        copier.copy(source)
    assert not list(disk_at(copier.path).list("snapshots/"))


def test_a_copy_of_large_files_to_a_slow_medium_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several packs of one process are on their way at once, and index files are made between them."""
    monkeypatch.setattr(index_file, "FLUSH_SECONDS", 0.05)
    monkeypatch.setattr(index_file, "FLUSH_SHARE", 0.0)
    copier, source = Copier(tmp_path), tmp_path / "source"
    source.mkdir()
    for number in range(2):
        (source / f"large-{number}").write_bytes(os.urandom(24 << 20))
    media = BusyIndex(disk_at(copier.path))
    backup_copy.run(copier.plan(source, pack_bytes=1 << 20), media, PASSWORD, copier.sink, FreeRun(), SystemClock())
    assert Restic(repository=copier.path).attempt("check", "--read-data").returncode == 0


def test_a_copy_of_before_that_lacks_a_pack_is_found_by_a_check_and_whole_after_a_full_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copier, source = Copier(tmp_path), tmp_path / "source"
    source.mkdir()
    for number in range(20):
        (source / f"file-{number}").write_bytes(os.urandom(200_000))
    with monkeypatch.context() as patched:
        add, forgotten = IndexWriter.add, list[WrittenPack]()

        def forget_one(writer: IndexWriter, pack: WrittenPack) -> None:
            if pack.kind is BlobKind.DATA and not forgotten:
                forgotten.append(pack)
            else:
                add(writer, pack)

        patched.setattr(IndexWriter, "add", forget_one)
        patched.setattr(IndexWriter, "require", lambda *_: None)
        copier.run(copier.plan(source, pack_bytes=1 << 20))
    looked = check.run(CheckPlan(), disk_at(copier.path), PASSWORD, NullSink(), FreeRun(), SystemClock())
    assert not looked.ok
    assert looked.problems
    copier.run(copier.plan(source, with_state=False))
    assert Restic(repository=copier.path).attempt("check", "--read-data").returncode == 0
