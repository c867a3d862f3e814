"""Drills: chosen by a seed within bounds, compared with the snapshot or the hashes, and nothing is left behind."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.errors import Killed
from jobs.engine.events import Control, FileFailed, FreeRun, NullSink
from jobs.engine.ids import FileId
from jobs.engine.operations import drill
from jobs.engine.operations.drill import DrillPlan, DrillResult
from jobs.engine.operations.drilling import choice
from jobs.engine.plan import SourceRoot, StoredPath
from jobs.engine.repository.index_load import load_index
from jobs.engine.repository.reader import BlobReader
from jobs.engine.repository.repository import Repository
from jobs.engine.repository.snapshot_file import list_snapshot_files

from .copying import Copier, Recorder
from .repositories import PASSWORD, disk_at

FILES = 60


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("pristine")
    for number in range(FILES):
        folder = base / "tree" / f"folder-{number % 6}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file-{number}").write_bytes(os.urandom(1000 + number))
    (base / "tree" / "large").write_bytes(os.urandom(5 << 20))
    (base / "tree" / "link").symlink_to("large")
    (base / "tree" / "empty").touch()
    copier = Copier(base, at_top=True)
    copier.run(copier.plan(base / "tree", pack_bytes=1 << 20, readers=1))
    return base


@pytest.fixture
def base(pristine: Path, tmp_path: Path) -> Path:
    shutil.copytree(pristine, tmp_path / "base", symlinks=True)
    return tmp_path / "base"


def plan_for(base: Path, **values: object) -> DrillPlan:
    (file,) = list_snapshot_files(Repository.open(disk_at(base / "repository"), PASSWORD))
    given = DrillPlan(
        snapshot_file_id=FileId(file.id or ""),
        scratch=base / "scratch",
        seed=1,
        files=10,
        most_bytes=1 << 30,
        expected=FILES,
    )
    return replace(given, **values)  # type: ignore[arg-type]


def drilled(plan: DrillPlan, base: Path, sink: Recorder | NullSink | None = None) -> DrillResult:
    return drill.run(plan, disk_at(base / "repository"), PASSWORD, sink or NullSink(), FreeRun(), SystemClock())


def held(base: Path) -> tuple[SourceRoot, ...]:
    return (SourceRoot(directory=base / "tree", stored_as=StoredPath(b"/tree")),)


@pytest.mark.parametrize("with_snapshot", [True, False])
def test_what_was_restored_is_compared_and_the_scratch_directory_is_gone(base: Path, *, with_snapshot: bool) -> None:
    plan = plan_for(base, files=1000, roots=held(base) if with_snapshot else ())
    result = drilled(plan, base)
    assert (result.files, result.problems) == (FILES + 2, {})
    assert result.compared_bytes == sum(1000 + number for number in range(FILES)) + (5 << 20)
    assert not plan.scratch.exists()
    assert b"/tree/link" not in result.paths


def test_the_same_seed_takes_the_same_files_and_another_takes_others(base: Path) -> None:
    first, again = drilled(plan_for(base), base), drilled(plan_for(base), base)
    assert (len(first.paths), first.paths) == (10, again.paths)
    assert drilled(plan_for(base, seed=2), base).paths != first.paths


def test_the_bytes_bound_what_is_restored_and_what_does_not_fit_is_counted(base: Path) -> None:
    result = drilled(plan_for(base, files=FILES + 2, most_bytes=10_000), base)
    assert 0 < result.files < 20
    assert result.compared_bytes <= 10_000
    assert result.too_large > 0
    assert b"/tree/large" not in result.paths


def test_every_file_has_the_same_chance(base: Path) -> None:
    repository = Repository.open(disk_at(base / "repository"), PASSWORD)
    reader = BlobReader(repository, load_index(repository))
    (file,) = list_snapshot_files(repository)
    counts: Counter[bytes] = Counter()
    for seed in range(600):
        given = {"files": 6, "most_bytes": 1 << 30, "expected": FILES, "control": FreeRun()}
        counts.update(choice.choose_files(reader, file.tree, seed=seed, **given).files.keys())  # type: ignore[arg-type]
    assert len(counts) == FILES + 2
    assert min(counts.values()) > 25, "58 each on average"
    assert max(counts.values()) < 100


def test_a_copy_too_large_to_be_walked_is_entered_at_random(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "MOST_WALKED", 5)
    first = drilled(plan_for(base), base)
    assert (len(first.paths), first.problems) == (10, {})
    assert drilled(plan_for(base), base).paths == first.paths
    assert len({os.path.dirname(path) for path in first.paths}) > 2


def test_a_file_that_is_other_than_in_the_snapshot_is_named(base: Path) -> None:
    (base / "tree" / "folder-1" / "file-7").write_bytes(b"other")
    same_size = base / "tree" / "folder-2" / "file-8"
    same_size.write_bytes(os.urandom(same_size.stat().st_size))
    (base / "tree" / "folder-3" / "file-9").unlink()
    sink = Recorder()
    plan = plan_for(base, files=1000, roots=held(base))
    result = drilled(plan, base, sink)
    assert result.problems == {
        b"/tree/folder-1/file-7": "1,007 bytes were restored, the snapshot has 5",
        b"/tree/folder-2/file-8": "its bytes from 0 on are others than in the snapshot",
        b"/tree/folder-3/file-9": "it cannot be read in the snapshot: No such file or directory",
    }
    told = {event.path: event.code for event in sink.events if isinstance(event, FileFailed)}
    assert told == dict.fromkeys(result.problems, drill.DIFFERENT)
    assert not plan.scratch.exists()


def test_a_damaged_pack_makes_the_drill_name_the_files_it_could_not_restore(base: Path) -> None:
    packs = [path for path in (base / "repository" / "data").rglob("*") if path.is_file()]
    victim = max(packs, key=lambda path: path.stat().st_size)
    victim.chmod(0o600)
    with victim.open("r+b") as file:
        file.seek(100)
        file.write(b"damage")
    result = drilled(plan_for(base, files=1000), base)
    assert result.problems
    assert all(path.startswith(b"/tree/") for path in result.problems)
    assert result.problems.keys() <= set(result.paths)


def test_a_folder_that_is_lost_is_named(base: Path) -> None:
    for path in (base / "repository" / "data").rglob("*"):
        if path.is_file():
            path.unlink()
    plan = plan_for(base)
    result = drilled(plan, base)
    assert (result.files, list(result.problems)) == (0, [b"/"])


class AfterSome(Control):
    """Kills at the n-th time it is asked."""

    def __init__(self, moment: int) -> None:
        self._moment = moment

    def check(self) -> None:
        self._moment -= 1
        if self._moment <= 0:
            raise Killed("killed")


@pytest.mark.parametrize("moment", [2, 5, 9, 10, 12])
def test_a_drill_that_is_stopped_leaves_neither_scratch_nor_lock(base: Path, moment: int) -> None:
    plan = plan_for(base, files=1000)
    with pytest.raises(Killed):
        drill.run(plan, disk_at(base / "repository"), PASSWORD, NullSink(), AfterSome(moment), SystemClock())
    assert not plan.scratch.exists()
    assert not list((base / "repository" / "locks").iterdir())
