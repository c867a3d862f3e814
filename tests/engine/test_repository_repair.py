"""Repair: the index from the packs, and damaged packs replaced by what is whole in them, without another source."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.events import FreeRun, NullSink
from jobs.engine.ids import FileId
from jobs.engine.operations import check, mend, repair
from jobs.engine.operations.check import CheckPlan, CheckResult
from jobs.engine.operations.mend import MendPlan, MendResult
from jobs.engine.operations.repair import RebuildPlan, RebuildResult
from jobs.engine.operations.rotation import Pace
from jobs.engine.repository.layout import FileKind
from jobs.engine.repository.repository import Repository
from tests.forks import fork

from ..interop.restic import Restic
from .repositories import PASSWORD, append, disk_at, new_repository, some_files


class QuickClock(SystemClock):
    """Does not wait."""

    def sleep(self, seconds: float) -> None:
        return None


def checked(path: Path) -> CheckResult:
    return check.run(CheckPlan(pace=Pace(percent=100)), disk_at(path), PASSWORD, NullSink(), FreeRun(), QuickClock())


def rebuilt(path: Path, *, read_all: bool = False) -> RebuildResult:
    plan = RebuildPlan(read_all_packs=read_all)
    return repair.rebuild_index(plan, disk_at(path), PASSWORD, NullSink(), FreeRun(), QuickClock())


def mended(path: Path, *packs: FileId) -> MendResult:
    plan = MendPlan(suspects=frozenset(packs))
    return mend.run(plan, disk_at(path), PASSWORD, NullSink(), FreeRun(), QuickClock())


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pristine") / "r"
    repository = new_repository(path)
    for number in range(3):
        append(repository, some_files(30, seed=number, prefix=f"s{number}-"), time_ns=10**18 + number)
    return path


@pytest.fixture
def path(pristine: Path, tmp_path: Path) -> Path:
    shutil.copytree(pristine, tmp_path / "r")
    return tmp_path / "r"


def packs(path: Path) -> list[Path]:
    return sorted((p for p in (path / "data").rglob("*") if p.is_file()), key=lambda pack: pack.stat().st_size)


@pytest.mark.interop
@pytest.mark.parametrize("read_all", [False, True])
@pytest.mark.parametrize("loss", ["all", "one", "noise", "nothing"])
def test_the_index_comes_back_from_the_packs(path: Path, loss: str, read_all: bool) -> None:
    indexes = sorted((path / "index").iterdir())
    for index in indexes if loss == "all" else indexes[:1]:
        if loss == "noise":
            index.write_bytes(b"noise")
        elif loss != "nothing":
            index.unlink()
    result = rebuilt(path, read_all=read_all)
    assert result.packs == len(packs(path))
    if loss == "nothing" and not read_all:
        assert result.packs_read == 0
    assert checked(path).ok
    Restic(repository=path).judge()


def test_packs_that_are_gone_leave_the_index(path: Path) -> None:
    victim = packs(path)[-1]
    victim.unlink()
    assert not checked(path).ok
    rebuilt(path)
    result = checked(path)
    assert all("no index names" in problem.sentence for problem in result.problems)
    assert victim.name not in result.damaged_packs


def test_a_pack_whose_header_is_damaged_is_told_and_left_in_place(path: Path) -> None:
    victim = packs(path)[-1]
    victim.write_bytes(victim.read_bytes()[:-1])
    result = rebuilt(path)
    assert result.damaged == (victim.name,)
    assert victim.exists()


@pytest.mark.interop
def test_what_is_whole_in_a_damaged_pack_is_saved_and_the_source_brings_back_the_rest(path: Path) -> None:
    victim = packs(path)[-1]
    broken = bytearray(victim.read_bytes())
    broken[random.Random(1).randrange(len(broken) // 2)] ^= 1
    victim.write_bytes(broken)
    found = checked(path)
    assert found.damaged_packs == (victim.name,)
    result = mended(path, *found.damaged_packs)
    assert (result.packs_removed, result.blobs_lost) == (1, 1)
    assert result.blobs_saved > 1
    after = checked(path)
    assert len(after.problems) == 1
    assert len(after.touched) == 1
    assert not victim.exists()
    repository = Repository.open(disk_at(path), PASSWORD)
    for number in range(3):
        append(repository, some_files(30, seed=number, prefix=f"s{number}-"), time_ns=10**18 + 10 + number)
    assert checked(path).ok
    Restic(repository=path).judge()


def test_a_missing_pack_can_be_salvaged_too(path: Path) -> None:
    victim = packs(path)[-1]
    victim.unlink()
    result = mended(path, FileId(victim.name))
    assert result.blobs_saved == 0
    assert result.blobs_lost > 0
    assert checked(path).damaged_packs == ()


class Dying:
    """A control that kills its process when it is asked for the n-th time."""

    def __init__(self, moment: int) -> None:
        self._moment = moment

    def check(self) -> None:
        self._moment -= 1
        if not self._moment:
            os.kill(os.getpid(), 9)


@pytest.mark.interop
def test_killed_in_the_middle_of_a_rebuild_nothing_is_lost(path: Path) -> None:
    for moment in (3, 9, 100, 101):
        child = fork()
        if not child:
            plan = RebuildPlan(read_all_packs=True)
            repair.rebuild_index(plan, disk_at(path), PASSWORD, NullSink(), Dying(moment), QuickClock())
            os._exit(0)
        os.waitpid(child, 0)
        assert checked(path).ok
    rebuilt(path)
    assert len(list(Repository.open(disk_at(path), PASSWORD).list_files(FileKind.INDEX))) <= 4
    Restic(repository=path).judge()
