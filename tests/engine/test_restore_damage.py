"""A damaged repository: what is damaged is named and left out, and everything else comes back."""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
from pathlib import Path

import pytest

from jobs.engine.errors import (
    EngineError,
    Killed,
    MediaUnavailable,
    NotInCopy,
    ReaderLost,
    RepositoryDamaged,
    RepositoryMissing,
    WrongPassword,
)
from jobs.engine.ids import FileId
from jobs.engine.operations import restore
from jobs.engine.operations.restoring import files, segments
from jobs.engine.operations.restoring.coordinator import Coordinator
from jobs.engine.plan import Secret
from jobs.engine.repository.index_load import load_index
from jobs.engine.repository.layout import BlobKind, pack_name
from jobs.engine.repository.repository import Repository
from tests.engine.repositories import PASSWORD, Filled, append, fill, new_repository
from tests.engine.restores import Record, StopAfter, leftovers, medium, run_restore
from tests.interop.restic import Restic


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "repository"


@pytest.fixture
def filled(repository: Path) -> Filled:
    return fill(new_repository(repository))


def place_of(repository: Path, blob: bytes, kind: BlobKind = BlobKind.DATA) -> tuple[Path, int, int]:
    """(pack file, offset, length) of a blob."""
    found = load_index(Repository.open(medium(repository), PASSWORD)).find(kind, blob)  # type: ignore[arg-type]
    assert found is not None
    return repository / pack_name(found[0]), found[1].offset, found[1].length


def flip(path: Path, offset: int) -> None:
    path.chmod(0o600)
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def restored(target: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (target / "d").iterdir()}


def test_a_damaged_blob_costs_only_its_file(repository: Path, filled: Filled, tmp_path: Path) -> None:
    victim = list(filled.data)[7]
    pack, offset, length = place_of(repository, victim)
    flip(pack, offset + length // 2)
    record = Record()
    result = run_restore(repository, tmp_path / "target", record=record)
    good = dict(filled.data)
    lost = good.pop(victim)
    assert sorted(restored(tmp_path / "target").values()) == sorted(good.values())
    assert lost not in restored(tmp_path / "target").values()
    (failure,) = record.failures.values()
    assert failure.code == "blob-damaged"
    assert pack.name in failure.error
    assert victim.hex()[:12] in failure.error
    assert result.counters.exceptions == 1
    assert result.counters.files_done == len(good)
    assert leftovers(tmp_path / "target") == []


def test_what_is_at_the_target_stays_when_its_blob_is_damaged(repository: Path, filled: Filled, tmp_path: Path) -> None:
    run_restore(repository, tmp_path / "target")
    pack, offset, _length = place_of(repository, next(iter(filled.data)))
    flip(pack, offset + 3)
    victim = tmp_path / "target" / "d" / "f0000"
    victim.write_bytes(b"an older version")
    os.utime(victim, ns=(0, 0))
    run_restore(repository, tmp_path / "target")
    assert victim.read_bytes() == b"an older version"


def test_a_cut_off_pack_costs_only_what_was_cut(repository: Path, filled: Filled, tmp_path: Path) -> None:
    victim = list(filled.data)[3]
    pack, offset, length = place_of(repository, victim)
    pack.chmod(0o600)
    os.truncate(pack, offset + length // 2)
    record = Record()
    run_restore(repository, tmp_path / "target", record=record)
    assert record.failures
    assert len(restored(tmp_path / "target")) + len(record.failures) == len(filled.data)
    assert all("data/" in failure.error for failure in record.failures.values())


def test_a_missing_pack_names_itself(repository: Path, filled: Filled, tmp_path: Path) -> None:
    pack, _offset, _length = place_of(repository, next(iter(filled.data)))
    pack.unlink()
    record = Record()
    run_restore(repository, tmp_path / "target", record=record)
    assert record.failures
    assert all(pack.name in failure.error for failure in record.failures.values())
    assert len(restored(tmp_path / "target")) + len(record.failures) == len(filled.data)


def test_a_blob_no_index_knows_names_itself(repository: Path, tmp_path: Path) -> None:
    opened = new_repository(repository)
    first = fill(opened)
    for index in (repository / "index").iterdir():
        index.rename(tmp_path / index.name)
    append(opened, {"other": b"x"})
    (repository / "snapshots" / first.snapshot).rename(tmp_path / "away")
    shutil.move(tmp_path / "away", repository / "snapshots" / first.snapshot)
    record = Record()
    run_restore(repository, tmp_path / "target", snapshot_file_id=first.snapshot, record=record)
    (failure,) = record.failures.values()
    assert failure.code == "tree-damaged"
    assert first.tree.hex() in failure.error


def test_a_damaged_tree_costs_only_what_is_below_it(repository: Path, filled: Filled, tmp_path: Path) -> None:
    pack, offset, _length = place_of(repository, filled.tree, BlobKind.TREE)
    flip(pack, offset + 20)
    record = Record()
    result = run_restore(repository, tmp_path / "target", record=record)
    assert {failure.code for failure in record.failures.values()} == {"tree-damaged"}
    assert set(record.failures) == {b"/"}
    assert result.counters.files_done == 0


def test_a_damaged_index_is_told_and_left_out(repository: Path, filled: Filled, tmp_path: Path) -> None:
    assert filled.data
    (index,) = (repository / "index").iterdir()
    flip(index, 50)
    record = Record()
    run_restore(repository, tmp_path / "target", record=record)
    assert [notice.code for notice in record.notices] == ["index-damaged"]
    assert record.failures


@pytest.mark.parametrize("size", [6 << 20, 40 << 20])
@pytest.mark.interop
def test_a_large_file_with_a_damaged_blob_does_not_appear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(files, "LARGE_BYTES", 20 << 20)
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 8 << 20)
    new_repository(tmp_path / "repository")
    source = tmp_path / "source"
    source.mkdir()
    (source / "large").write_bytes(random.Random(1).randbytes(size))
    (source / "small").write_bytes(b"small")
    Restic(repository=tmp_path / "repository").run("backup", ".", cwd=source)
    packs = sorted((tmp_path / "repository" / "data").rglob("*"), key=lambda path: path.stat().st_size)
    flip(packs[-1], 3 << 20)
    record = Record()
    result = run_restore(tmp_path / "repository", tmp_path / "target", readers=3, record=record)
    assert set(record.failures) == {b"/large"}
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["small"]
    assert result.counters.bytes_done <= size + 5


@pytest.mark.parametrize("which", [0, 1])
def test_what_is_damaged_in_one_pack_comes_from_another_that_holds_it_too(tmp_path: Path, which: int) -> None:
    """Two copies that did not know of each other store everything twice; either half may be lost."""
    repository, source = tmp_path / "repository", tmp_path / "source"
    new_repository(repository)
    (source / "folder").mkdir(parents=True)
    (source / "folder" / "file").write_bytes(random.Random(1).randbytes(40_000))
    restic = Restic(repository=repository)
    halves: list[list[Path]] = []
    for _ in range(2):
        before = set((repository / "data").rglob("*"))
        restic.run("backup", "--force", ".", cwd=source)
        halves.append([path for path in (repository / "data").rglob("*") if path.is_file() and path not in before])
        for index in (repository / "index").iterdir():
            index.rename(tmp_path / index.name)
    for index in tmp_path.iterdir():
        if index.is_file():
            index.rename(repository / "index" / index.name)
    assert all(halves), "stored twice"
    for pack in halves[which]:
        pack.chmod(0o600)
        pack.write_bytes(bytes(pack.stat().st_size))
    record = Record()
    run_restore(repository, tmp_path / "target", record=record)
    assert record.failures == {}
    assert (tmp_path / "target" / "folder" / "file").read_bytes() == (source / "folder" / "file").read_bytes()


def test_a_medium_that_goes_away_ends_the_restore(
    repository: Path, filled: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert filled.data
    start = Coordinator.start

    def start_and_vanish(coordinator: Coordinator, *arguments: object) -> None:
        repository.rename(tmp_path / "elsewhere")
        start(coordinator, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Coordinator, "start", start_and_vanish)
    with pytest.raises(MediaUnavailable):
        run_restore(repository, tmp_path / "target", snapshot_file_id=filled.snapshot)
    assert leftovers(tmp_path / "target") == []


def test_refusals_before_anything_is_written(repository: Path, filled: Filled, tmp_path: Path) -> None:
    with pytest.raises(NotInCopy):
        run_restore(repository, tmp_path / "target", snapshot_file_id=FileId("0" * 64))
    (repository / "snapshots" / filled.snapshot).write_bytes(b"nonsense that is long enough to look like something")
    with pytest.raises(RepositoryDamaged):
        run_restore(repository, tmp_path / "target", snapshot_file_id=filled.snapshot)
    with pytest.raises(RepositoryMissing):
        run_restore(tmp_path, tmp_path / "target", snapshot_file_id=filled.snapshot)
    assert not (tmp_path / "target").exists()


def test_a_wrong_password_is_told(repository: Path, filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.engine.restores.PASSWORD", Secret("wrong"))
    with pytest.raises(WrongPassword):
        run_restore(repository, Path("/nowhere"), snapshot_file_id=filled.snapshot)


def test_a_killed_worker_ends_the_restore_with_a_reason(
    repository: Path, filled: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.Files, "flush", lambda _files: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(ReaderLost, match="signal 9"):
        run_restore(repository, tmp_path / "target", snapshot_file_id=filled.snapshot)
    assert not list((repository / "locks").iterdir())


def test_a_defect_in_a_worker_is_told_with_its_traceback(
    repository: Path, filled: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_files: files.Files) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(files.Files, "flush", broken)
    with pytest.raises(EngineError) as caught:
        run_restore(repository, tmp_path / "target", snapshot_file_id=filled.snapshot)
    assert "ZeroDivisionError: a defect" in str(caught.value.__cause__)


def test_a_restore_can_be_stopped_while_the_repository_opens(
    repository: Path, filled: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = threading.Event()
    monkeypatch.setattr(restore, "load_index", lambda *_arguments, **_options: never.wait(20))
    with pytest.raises(Killed):
        run_restore(repository, tmp_path / "target", snapshot_file_id=filled.snapshot, control=StopAfter(6))
    never.set()
    assert not list((repository / "locks").iterdir())
    assert not (tmp_path / "target").exists()
