"""Mending: whatever is damaged, what is lost comes back under the same ids, and stock restic finds nothing wrong."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.events import Control, FreeRun, NullSink
from jobs.engine.ids import FileId
from jobs.engine.operations import check, mend, repository_copy
from jobs.engine.operations.check import CheckPlan, CheckResult
from jobs.engine.operations.copy_pipeline.process import fork_worker
from jobs.engine.operations.mend import MendPlan, MendResult
from jobs.engine.operations.mending.held_files import HeldFiles
from jobs.engine.operations.mending.sources import BlobSource, OtherRepository
from jobs.engine.operations.repository_copy import RepositoryCopyPlan
from jobs.engine.operations.rotation import Pace
from jobs.engine.operations.touching import Root
from jobs.engine.plan import Secret, SourceRoot, StoredPath
from jobs.engine.repository.index_load import load_index
from jobs.engine.repository.layout import BlobKind
from jobs.engine.repository.repository import Repository
from jobs.engine.repository.snapshot_file import SnapshotFile, list_snapshot_files

from ..interop.restic import Restic
from .copying import Copier, Recorder
from .repositories import PASSWORD, disk_at, new_repository

pytestmark = pytest.mark.interop
OTHER, HELD = "the medium other", "the snapshot"
DATA, TREE = BlobKind.DATA, BlobKind.TREE


class QuickClock(SystemClock):
    """Does not wait."""

    def sleep(self, seconds: float) -> None:
        return None


@dataclass(frozen=True, kw_only=True)
class Place:
    """A repository with two copies of a tree, another one with the same, and the tree as it was last copied."""

    path: Path
    other: Path
    tree: Path
    files: tuple[SnapshotFile, ...]

    @property
    def held(self) -> HeldFiles:
        newest = self.files[-1]
        root = SourceRoot(directory=self.tree, stored_as=StoredPath(b"/tree"))
        return HeldFiles(label=HELD, file=_id(newest), tree=newest.tree, roots=(root,))

    @property
    def elsewhere(self) -> OtherRepository:
        return OtherRepository(label=OTHER, media=disk_at(self.other), password=PASSWORD)

    @property
    def expected(self) -> tuple[Root, ...]:
        return tuple(Root(file=_id(file), tree=file.tree) for file in self.files)

    def packs(self, kind: BlobKind) -> list[Path]:
        """Packs with blobs of a kind, those with the most first."""
        index = load_index(Repository.open(disk_at(self.path), PASSWORD))
        counts: dict[str, int] = {}
        for first, table in index.tables(kind):
            for number in table.places[:, 0].tolist():
                name = index.pack_id(first + number).hex()
                counts[name] = counts.get(name, 0) + 1
        return [self.path / "data" / name[:2] / name for name in sorted(counts, key=lambda name: -counts[name])]

    def check(self, *suspects: FileId) -> CheckResult:
        plan = CheckPlan(pace=Pace(percent=100), suspects=frozenset(suspects), expected=self.expected)
        return check.run(plan, disk_at(self.path), PASSWORD, NullSink(), FreeRun(), QuickClock())

    def mend(self, *sources: BlobSource, control: Control | None = None, **plan: object) -> MendResult:
        suspects = frozenset(self.check().damaged_packs)
        values = MendPlan(suspects=suspects, expected=self.expected, **plan)  # type: ignore[arg-type]
        given = (disk_at(self.path), PASSWORD, Recorder(), control or FreeRun(), QuickClock())
        return mend.run(values, *given, sources=sources)

    def judge(self) -> None:
        """Clean for restic, with the same snapshot files and trees as before."""
        Restic(repository=self.path, password=PASSWORD.reveal()).judge()
        there = list_snapshot_files(Repository.open(disk_at(self.path), PASSWORD))
        assert {(one.id, one.tree) for one in there} == {(one.id, one.tree) for one in self.files}


def _id(file: SnapshotFile) -> FileId:
    return file.id or FileId("")


def _grow(tree: Path) -> None:
    for number in range(6):
        folder = tree / f"folder-{number}" / "below"
        folder.mkdir(parents=True)
        for name in range(12):
            (folder / f"file-{name}").write_bytes(os.urandom(2000 + 100 * name))
    (tree / "large").write_bytes(os.urandom(5 << 20))
    # What a file is before it is changed stays in another one, so that the newest snapshot has every content.
    shutil.copyfile(tree / "folder-1" / "below" / "file-1", tree / "file-as-it-was")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Place:
    base = tmp_path_factory.mktemp("pristine")
    tree = base / "tree"
    _grow(tree)
    copier = Copier(base, at_top=True)
    copier.run(copier.plan(tree, pack_bytes=64 << 10, readers=1))
    (tree / "folder-1" / "below" / "file-1").write_bytes(os.urandom(3000))
    (tree / "folder-2" / "new").write_bytes(os.urandom(3000))
    copier.run(copier.plan(tree, parent=copier.last, pack_bytes=64 << 10, readers=1))
    new_repository(base / "other")
    files = tuple(list_snapshot_files(copier.repository))
    for file in files:
        plan = RepositoryCopyPlan(snapshot_file_id=_id(file), readers=1)
        ends = (disk_at(base / "repository"), PASSWORD, disk_at(base / "other"), PASSWORD)
        repository_copy.run(plan, *ends, NullSink(), FreeRun(), QuickClock())
    return Place(path=base / "repository", other=base / "other", tree=tree, files=files)


@pytest.fixture
def place(pristine: Place, tmp_path: Path) -> Place:
    shutil.copytree(pristine.path, tmp_path / "repository")
    return Place(path=tmp_path / "repository", other=pristine.other, tree=pristine.tree, files=pristine.files)


def flip(pack: Path) -> None:
    raw = bytearray(pack.read_bytes())
    for at in range(40, len(raw) // 2, 5000):
        raw[at] ^= 4
    pack.write_bytes(raw)


def cut(pack: Path) -> None:
    os.truncate(pack, pack.stat().st_size // 3)


Damage = Callable[[Path], None]


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
def test_contents_come_back_from_the_held_snapshot_by_ranges(place: Place, damage: Damage) -> None:
    for victim in (place.packs(DATA)[0], max(place.packs(DATA), key=lambda pack: pack.stat().st_size)):
        damage(victim)
    (place.tree / "large").touch()  # reading must not go by times
    found = place.check()
    assert len(found.damaged) == 2
    assert b"/tree/large" in {one.path for one in found.touched}
    result = place.mend(place.held)
    assert (result.packs_removed, result.blobs_lost) == (2, 0)
    assert result.brought[HELD] == found.lost_blobs
    assert place.check().ok
    place.judge()


@pytest.mark.parametrize("damage", [flip, Path.unlink])
def test_trees_come_back_from_another_repository_and_what_they_show_to_be_lost_too(
    place: Place, damage: Damage
) -> None:
    for victim in place.packs(TREE):
        damage(victim)
    damage(place.packs(DATA)[0])
    assert any(one.is_folder for one in place.check().touched)
    result = place.mend(place.elsewhere)
    assert (list(result.brought), result.blobs_lost) == ([OTHER], 0)
    assert place.check().ok
    place.judge()


@pytest.mark.parametrize("loss", ["gone", "noise"])
def test_lost_index_files_are_made_anew_and_a_pack_that_is_gone_with_them_comes_back(place: Place, loss: str) -> None:
    place.packs(DATA)[0].unlink()
    for file in (place.path / "index").iterdir():
        if loss == "gone":
            file.unlink()
        else:
            file.write_bytes(b"noise")
    result = place.mend(place.elsewhere)
    assert result.index_rebuilt
    assert place.check().ok
    place.judge()


def test_without_any_source_the_whole_is_saved_and_the_rest_is_named(place: Place) -> None:
    victim = place.packs(DATA)[0]
    flip(victim)
    found = place.check()
    result = place.mend()
    assert (result.packs_removed, result.blobs_lost, result.blobs_back) == (1, found.lost_blobs, 0)
    assert result.blobs_saved > 0
    after = place.check()
    assert not victim.exists()
    assert [one.path for one in after.touched] == [one.path for one in found.touched]
    assert after.damaged == ()
    assert place.mend(place.held).blobs_lost == 0, "what no index names can still be placed, one in a file"
    place.judge()


def test_a_changed_snapshot_gives_back_nothing_wrong(place: Place, tmp_path: Path) -> None:
    flip(place.packs(DATA)[0])
    shutil.copytree(place.tree, tmp_path / "tree")
    for file in (tmp_path / "tree").rglob("file-*"):
        file.write_bytes(os.urandom(file.stat().st_size))
    changed = Place(path=place.path, other=place.other, tree=tmp_path / "tree", files=place.files)
    assert place.mend(changed.held).blobs_back == 0


def test_snapshot_files_that_cannot_be_read_are_written_again(place: Place) -> None:
    first, second = place.files
    (place.path / "snapshots" / _id(first)).unlink()
    (place.path / "snapshots" / _id(second)).write_bytes(b"noise")
    result = place.mend(instead={_id(first): first, _id(second): second})
    assert set(result.renamed) == {_id(first), _id(second)}
    there = list_snapshot_files(Repository.open(disk_at(place.path), PASSWORD))
    assert [(one.id, one.tree) for one in there] == [
        (result.renamed[_id(first)], first.tree),
        (result.renamed[_id(second)], second.tree),
    ]
    Restic(repository=place.path, password=PASSWORD.reveal()).judge()


def test_a_source_that_fails_is_passed_over_and_told(place: Place) -> None:
    flip(place.packs(DATA)[0])
    wrong = OtherRepository(label=OTHER, media=disk_at(place.other), password=Secret("wrong"))
    result = place.mend(wrong, place.held)
    assert (list(result.brought), result.blobs_lost) == ([HELD], 0)
    place.judge()


class Dying:
    """A control that kills its process when it is asked for the n-th time."""

    def __init__(self, moment: int) -> None:
        self._moment = moment

    def check(self) -> None:
        self._moment -= 1
        if not self._moment:
            os.kill(os.getpid(), 9)


def mend_until(place: Place, moment: int) -> None:
    place.mend(place.held, place.elsewhere, control=Dying(moment))


def test_killed_at_any_moment_the_next_try_does_the_rest(place: Place) -> None:
    flip(place.packs(DATA)[0])
    place.packs(TREE)[0].unlink()
    for moment in (2, 6, 9, 12, 15, 18):
        fork_worker(partial(mend_until, place, moment), keep_fds=frozenset()).wait()
    assert place.mend(place.held, place.elsewhere).blobs_lost == 0
    assert place.check().ok
    Restic(repository=place.path, password=PASSWORD.reveal()).run("check", "--read-data")
