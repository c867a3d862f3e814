"""Check finds what is wrong, names it, and says which paths it touches."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.errors import Killed
from jobs.engine.events import Event, FreeRun, Level, Notice, NullSink
from jobs.engine.operations import check
from jobs.engine.operations.check import CheckPlan, CheckResult
from jobs.engine.operations.rotation import Pace
from jobs.engine.repository.layout import FileKind
from jobs.engine.repository.lock_file import list_locks
from jobs.engine.repository.repository import Repository

from .repositories import PASSWORD, Filled, append, disk_at, fill, new_repository, some_files

WHOLE = CheckPlan(pace=Pace(percent=100))


class QuickClock(SystemClock):
    """Does not wait."""

    def sleep(self, seconds: float) -> None:
        return None


class Recorder:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)


def checked(path: Path, plan: CheckPlan = WHOLE) -> CheckResult:
    return check.run(plan, disk_at(path), PASSWORD, NullSink(), FreeRun(), QuickClock())


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Filled]:
    path = tmp_path_factory.mktemp("pristine") / "r"
    return path, fill(new_repository(path))


@pytest.fixture
def path(pristine: tuple[Path, Filled], tmp_path: Path) -> Path:
    shutil.copytree(pristine[0], tmp_path / "r")
    return tmp_path / "r"


def packs(path: Path) -> list[Path]:
    return sorted(found for found in (path / "data").rglob("*") if found.is_file())


def test_a_sound_repository_has_no_problems(path: Path) -> None:
    result = checked(path)
    assert result.ok
    assert (result.snapshot_files, result.trees, result.touched) == (1, 2, ())
    assert result.packs == result.packs_read == len(packs(path))
    assert result.bytes_read == sum(pack.stat().st_size for pack in packs(path))
    assert list_locks(Repository.open(disk_at(path), PASSWORD)) == []


def test_only_the_asked_part_of_the_data_is_read(path: Path) -> None:
    total = sum(pack.stat().st_size for pack in packs(path))
    assert checked(path, CheckPlan()).packs_read == 0
    assert checked(path, CheckPlan(pace=Pace(percent=0.001))).packs_read == 1
    half = checked(path, CheckPlan(pace=Pace(percent=50)))
    assert total / 2 <= half.bytes_read < total


def test_a_flipped_bit_in_a_pack_is_found_by_reading_and_its_file_is_named(path: Path) -> None:
    source = random.Random(7)
    for _ in range(10):
        pack = source.choice(packs(path))
        original = pack.read_bytes()
        broken = bytearray(original)
        broken[source.randrange(len(broken))] ^= 1 << source.randrange(8)
        pack.write_bytes(broken)
        result = checked(path)
        pack.write_bytes(original)
        assert pack.name in set(result.damaged_packs) | {problem.name.rpartition("/")[2] for problem in result.problems}
    assert checked(path).ok


@pytest.mark.parametrize("damage", [Path.unlink, lambda pack: os.truncate(pack, 5000)])
def test_a_missing_or_short_pack_is_found_without_reading_data(path: Path, damage: Callable[[Path], object]) -> None:
    victim = max(packs(path), key=lambda pack: pack.stat().st_size)
    damage(victim)
    result = checked(path, CheckPlan())
    assert result.damaged_packs == (victim.name,)
    assert [problem.name for problem in result.problems] == [f"data/{victim.name[:2]}/{victim.name}"]
    assert result.problems[0].sentence.endswith(("blobs cannot be read.", "blob cannot be read."))
    assert result.touched
    assert all(touched.path.startswith(b"/d/f") for touched in result.touched)
    assert all(touched.packs == (victim.name,) for touched in result.touched)


def test_a_pack_that_lost_only_its_end_has_lost_no_blob(path: Path) -> None:
    victim = max(packs(path), key=lambda pack: pack.stat().st_size)
    os.truncate(victim, victim.stat().st_size - 1)
    result = checked(path, CheckPlan())
    assert (result.damaged_packs, result.lost_blobs, result.touched) == ((victim.name,), 0, ())
    assert "All of its blobs are whole" in result.problems[0].sentence


def test_lost_index_files_are_problems_that_name_the_blobs(path: Path) -> None:
    for index in (path / "index").iterdir():
        index.unlink()
    result = checked(path)
    assert not result.ok
    assert result.unreferenced_packs == len(packs(path))
    assert result.touched[0].path == b"/"


def test_damaged_snapshot_and_index_files_do_not_end_the_check(path: Path) -> None:
    for folder in ("index", "snapshots"):
        for file in (path / folder).iterdir():
            file.write_bytes(b"noise")
    names = {problem.name.partition("/")[0] for problem in checked(path).problems}
    assert names == {"index", "snapshots"}


def test_packs_of_an_interrupted_copy_are_no_problem(path: Path) -> None:
    repository = Repository.open(disk_at(path), PASSWORD)
    before = {file_id for file_id, _ in repository.list_files(FileKind.INDEX)}
    filled = append(repository, some_files(10, seed=5, prefix="g"))
    repository.delete_file(FileKind.SNAPSHOT, filled.snapshot)
    for file_id, _ in list(repository.list_files(FileKind.INDEX)):
        if file_id not in before:
            repository.delete_file(FileKind.INDEX, file_id)
    recorder = Recorder()
    result = check.run(WHOLE, disk_at(path), PASSWORD, recorder, FreeRun(), QuickClock())
    assert result.ok
    assert result.unreferenced_packs > 0
    assert [e.level for e in recorder.events if isinstance(e, Notice)] == [Level.INFO]


def test_a_stopped_check_leaves_no_lock(path: Path) -> None:
    class Stop:
        checks = 0

        def check(self) -> None:
            self.checks += 1
            if self.checks == 4:
                raise Killed("enough")

    with pytest.raises(Killed):
        check.run(WHOLE, disk_at(path), PASSWORD, NullSink(), Stop(), QuickClock())
    assert list_locks(Repository.open(disk_at(path), PASSWORD)) == []
