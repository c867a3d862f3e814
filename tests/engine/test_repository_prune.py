"""Prune: frees what nobody needs, keeps what anybody needs, and may be killed after every single step."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.errors import InvalidOptions, NotInCopy, RepositoryDamaged, RepositoryLocked
from jobs.engine.events import Event, FreeRun, Notice, NullSink
from jobs.engine.ids import FileId
from jobs.engine.media.base import Buffer
from jobs.engine.media.disk import DiskMedia, DiskOptions
from jobs.engine.operations import check, forget, prune
from jobs.engine.operations.check import CheckPlan
from jobs.engine.operations.forget import ForgetPlan
from jobs.engine.operations.prune import PrunePlan, PruneResult
from jobs.engine.operations.rotation import Pace
from jobs.engine.repository.index_load import load_index
from jobs.engine.repository.layout import BlobKind, FileKind
from jobs.engine.repository.lock import locked
from jobs.engine.repository.reader import BlobReader
from jobs.engine.repository.repository import Repository
from jobs.engine.repository.snapshot_file import find_snapshot_file, list_snapshot_files
from tests.forks import fork

from ..interop.restic import Restic
from .repositories import PASSWORD, append, disk_at, new_repository, some_files

PACK_BYTES = 16 << 10
EVERYTHING = PrunePlan(max_unused_percent=0, pack_bytes=PACK_BYTES)
Contents = dict[bytes, bytes]


class QuickClock(SystemClock):
    """Does not wait."""

    def sleep(self, seconds: float) -> None:
        return None


def pruned(media: DiskMedia, plan: PrunePlan = EVERYTHING) -> PruneResult:
    return prune.run(plan, media, PASSWORD, NullSink(), FreeRun(), QuickClock())


def forgotten(media: DiskMedia, *ids: FileId) -> None:
    forget.run(ForgetPlan(ids=ids), media, PASSWORD, NullSink(), FreeRun(), QuickClock())


def contents(path: Path) -> dict[FileId | None, Contents]:
    """Every file of every snapshot file, read through the index."""
    repository = Repository.open(disk_at(path), PASSWORD)
    reader = BlobReader(repository, load_index(repository))
    found = {}
    for snapshot in list_snapshot_files(repository):
        (top,) = reader.read_tree(snapshot.tree)
        assert top.subtree is not None
        files = reader.read_tree(top.subtree)
        found[snapshot.id] = {f.name: b"".join(reader.read(BlobKind.DATA, blob) for blob in f.content) for f in files}
    return found


def assert_sound(path: Path) -> check.CheckResult:
    plan = CheckPlan(pace=Pace(percent=100))
    result = check.run(plan, disk_at(path), PASSWORD, NullSink(), FreeRun(), QuickClock())
    assert result.problems == ()
    return result


def stored_bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in (path / "data").rglob("*") if file.is_file())


@pytest.fixture(scope="module")
def worn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four copies that share half of their files, two of them forgotten; and a pack that no index names."""
    path = tmp_path_factory.mktemp("worn") / "r"
    repository = new_repository(path)
    doomed = []
    for number in range(4):
        files = some_files(30, seed=9, prefix="same") | some_files(20, seed=number, prefix=f"own{number}-")
        filled = append(repository, files, pack_bytes=PACK_BYTES, time_ns=10**18 + number * 10**9)
        if number % 2 == 0:
            doomed.append(filled.snapshot)
    before = {file_id for file_id, _ in repository.list_files(FileKind.INDEX)}
    orphan = append(repository, some_files(5, seed=77, prefix="orphan"))
    repository.delete_file(FileKind.SNAPSHOT, orphan.snapshot)
    for file_id, _ in list(repository.list_files(FileKind.INDEX)):
        if file_id not in before:
            repository.delete_file(FileKind.INDEX, file_id)
    forgotten(disk_at(path), *doomed)
    return path


@pytest.fixture
def path(worn: Path, tmp_path: Path) -> Path:
    shutil.copytree(worn, tmp_path / "r")
    return tmp_path / "r"


@pytest.mark.interop
def test_what_is_needed_stays_and_what_is_not_goes(path: Path) -> None:
    before, size = contents(path), stored_bytes(path)
    result = pruned(disk_at(path))
    assert contents(path) == before
    assert stored_bytes(path) < size * 0.8
    assert result.freed_bytes == size - stored_bytes(path)
    assert result.bytes_before == size
    assert result.unreferenced_removed > 0
    assert result.packs_repacked > 0
    assert result.unused_bytes_left == 0
    assert assert_sound(path).unreferenced_packs == 0
    Restic(repository=path).judge()
    again = pruned(disk_at(path))
    assert (again.packs_removed, again.packs_repacked, again.freed_bytes) == (0, 0, 0)


@pytest.mark.interop
def test_stock_restic_finds_no_more_waste(path: Path) -> None:
    pruned(disk_at(path))
    said = Restic(repository=path).run("prune", "--dry-run", "--max-unused", "0")
    assert re.search(r"to delete:\s+0 blobs", said)
    assert re.search(r"total prune:\s+0 blobs", said)


@pytest.mark.interop
def test_everything_goes_when_everything_is_forgotten(path: Path) -> None:
    media = disk_at(path)
    forgotten(media, *[FileId(str(snapshot)) for snapshot in contents(path)])
    pruned(media)
    assert stored_bytes(path) == 0
    assert list(disk_at(path).list("index")) == []
    Restic(repository=path).judge()


def test_a_dry_run_touches_nothing_and_foretells_the_figures(path: Path) -> None:
    files = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    foretold = pruned(disk_at(path), PrunePlan(max_unused_percent=0, pack_bytes=PACK_BYTES, dry_run=True))
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == files
    real = pruned(disk_at(path))
    assert foretold.packs_removed == real.packs_removed
    assert foretold.packs_repacked == real.packs_repacked
    assert foretold.freed_bytes == pytest.approx(real.freed_bytes, rel=0.1)


def test_a_tolerance_saves_rewriting(path: Path) -> None:
    lazy = pruned(disk_at(path), PrunePlan(max_unused_percent=1000, pack_bytes=PACK_BYTES))
    assert lazy.packs_repacked <= 2
    assert lazy.unused_bytes_left > 0
    assert_sound(path)
    bounded = pruned(disk_at(path), PrunePlan(max_unused_percent=0, max_repack_bytes=40_000, pack_bytes=PACK_BYTES))
    assert 0 < bounded.packs_repacked <= 3
    assert_sound(path)


def test_many_small_packs_and_index_files_are_merged(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "r")
    for number in range(20):
        append(repository, {f"f{number}": bytes([number]) * 500}, time_ns=10**18 + number)
    before = contents(tmp_path / "r")
    pruned(repository.media, PrunePlan())  # type: ignore[arg-type]
    assert contents(tmp_path / "r") == before
    assert len(list(repository.list_files(FileKind.PACK))) == 2
    assert len(list(repository.list_files(FileKind.INDEX))) <= 2
    assert_sound(tmp_path / "r")


class KilledMedia(DiskMedia):
    """A disk whose process dies right after (or, for odd numbers, right before) its n-th change."""

    def __init__(self, path: Path, moment: int) -> None:
        super().__init__(DiskOptions(path=path, fsync=False))
        self._moment = moment

    def put(self, name: str, pieces: Sequence[Buffer]) -> None:
        self._tick()
        super().put(name, pieces)
        self._tick()

    def delete(self, name: str) -> None:
        self._tick()
        super().delete(name)
        self._tick()

    def _tick(self) -> None:
        self._moment -= 1
        if self._moment < 0:
            os.kill(os.getpid(), 9)


def survives(media: DiskMedia) -> bool:
    """Prune in a child; False if it was killed."""
    child = fork()
    if not child:
        try:
            pruned(media)
        except BaseException:  # noqa: BLE001 - a child must never return into the tests
            os._exit(3)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return not os.WIFSIGNALED(status)


@pytest.mark.slow
def test_killed_after_any_step_the_repository_is_whole_and_the_next_prune_finishes(worn: Path, tmp_path: Path) -> None:
    expected = contents(worn)
    reference = tmp_path / "reference"
    shutil.copytree(worn, reference)
    pruned(disk_at(reference))
    moment = 0
    while True:
        path = tmp_path / str(moment)
        shutil.copytree(worn, path)
        finished = survives(KilledMedia(path, moment))
        assert contents(path) == expected, moment
        assert_sound(path)
        pruned(disk_at(path))
        assert contents(path) == expected, moment
        assert assert_sound(path).unreferenced_packs == 0
        assert stored_bytes(path) <= stored_bytes(reference) * 1.02, moment
        shutil.rmtree(path)
        if finished:
            break
        moment += 1 if moment < 60 else 7
    assert moment > 25


class Executioner:
    """A sink that kills its process when it is told ``code``."""

    def __init__(self, code: str) -> None:
        self._code = code

    def emit(self, event: Event) -> None:
        if isinstance(event, Notice) and event.code == self._code:
            os.kill(os.getpid(), 9)


@pytest.mark.interop
@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "prune-unreferenced-removed",
        "prune-repacked",
        "prune-index-written",
        "prune-index-removed",
        "prune-packs-removed",
    ],
)
def test_killed_between_its_stages_stock_restic_finds_no_error(path: Path, code: str) -> None:
    expected = contents(path)
    child = fork()
    if not child:
        prune.run(EVERYTHING, disk_at(path), PASSWORD, Executioner(code), FreeRun(), QuickClock())
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    restic = Restic(repository=path)
    restic.run("unlock")
    restic.run("check", "--read-data")
    pruned(disk_at(path))
    restic.judge()
    assert contents(path) == expected


def test_a_damaged_pack_that_is_needed_stops_it_before_anything_is_removed(path: Path) -> None:
    for pack in (path / "data").rglob("*"):
        if pack.is_file():
            pack.write_bytes(pack.read_bytes()[:-5])
    files = {file for file in path.rglob("*") if file.is_file()}
    with pytest.raises(RepositoryDamaged):
        pruned(disk_at(path))
    assert {file for file in path.rglob("*") if file.is_file()} == files


def test_a_missing_tree_stops_it(path: Path) -> None:
    for file in (path / "index").iterdir():
        file.unlink()
    with pytest.raises(RepositoryDamaged, match="no index names"):
        pruned(disk_at(path))


def test_it_waits_for_nobody(path: Path) -> None:
    repository = Repository.open(disk_at(path), PASSWORD)
    with locked(repository, exclusive=False), pytest.raises(RepositoryLocked):
        pruned(disk_at(path))


def test_packs_named_by_two_index_files_are_one_pack(path: Path) -> None:
    repository = Repository.open(disk_at(path), PASSWORD)
    for file_id, _ in list(repository.list_files(FileKind.INDEX)):
        repository.write_file(FileKind.INDEX, repository.read_file(FileKind.INDEX, file_id))
    expected = contents(path)
    assert_sound(path)
    pruned(disk_at(path))
    assert contents(path) == expected
    assert_sound(path)
    assert pruned(disk_at(path)).packs_repacked == 0


@pytest.mark.interop
def test_we_prune_what_stock_restic_wrote_and_it_what_we_pruned(tmp_path: Path) -> None:
    restic = Restic(repository=tmp_path / "r")
    restic.run("init")
    source = tmp_path / "source"
    source.mkdir()
    for number in range(3):
        for name, data in (some_files(20, seed=number, prefix="a") | some_files(9, seed=9, prefix="b")).items():
            (source / name).write_bytes(data)
        restic.run("backup", str(source))
    media = disk_at(tmp_path / "r")
    newest = find_snapshot_file(Repository.open(media, PASSWORD), "latest")
    older = [s.id for s in list_snapshot_files(Repository.open(media, PASSWORD)) if s.id != newest.id]
    forgotten(media, *[FileId(str(file_id)) for file_id in older])
    pruned(media, PrunePlan(max_unused_percent=0))
    restic.judge()
    restic.run("restore", "latest", "--target", str(tmp_path / "out"))
    restored = {path.name: path.read_bytes() for path in (tmp_path / f"out{source}").iterdir()}
    assert restored == {path.name: path.read_bytes() for path in source.iterdir()}
    restic.run("backup", str(source))
    restic.run("prune", "--max-unused", "0")
    restic.judge()


def test_options_that_make_no_sense_are_refused(path: Path) -> None:
    with pytest.raises(InvalidOptions):
        PrunePlan(max_unused_percent=-1)
    with pytest.raises(NotInCopy):
        forgotten(disk_at(path), FileId("f" * 64))
