"""Damage is named with the paths it touches, in every snapshot file, also below lost trees; and what another pack
holds as well is not lost."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.errors import Killed
from jobs.engine.events import Control, FreeRun, NullSink
from jobs.engine.ids import FileId
from jobs.engine.operations import check
from jobs.engine.operations.check import CheckPlan, CheckResult
from jobs.engine.operations.rotation import Entry, History, Pace, keys_of
from jobs.engine.operations.touching import Root
from jobs.engine.repository.claims import Claims
from jobs.engine.repository.index import Index
from jobs.engine.repository.index_file import IndexWriter
from jobs.engine.repository.index_load import load_index
from jobs.engine.repository.layout import BlobKind
from jobs.engine.repository.pack_writer import WrittenPack
from jobs.engine.repository.repository import Repository
from jobs.engine.repository.session import AppendSession
from jobs.engine.repository.snapshot_file import list_snapshot_files

from .repositories import PASSWORD, Filled, append, disk_at, new_repository, some_files


class QuickClock(SystemClock):
    """Does not wait."""

    def sleep(self, seconds: float) -> None:
        return None


@dataclass
class Book:
    """A ledger in memory."""

    turn: int = 0
    packs: list[FileId] = field(default_factory=list)
    read_packs: list[FileId] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)

    def open(self, packs: Sequence[FileId], stored_bytes: Sequence[int]) -> History:
        assert len(packs) == len(stored_bytes)
        self.packs = list(packs)
        return History(self.entries)

    def read(self, packs: Sequence[FileId]) -> None:
        self.read_packs += packs
        self.entries.append(Entry(at=0, turn=self.turn, was_read=True, keys=keys_of(packs).tobytes()))


def checked(path: Path, plan: CheckPlan, *, ledger: Book | None = None, control: Control | None = None) -> CheckResult:
    control = control or FreeRun()
    return check.run(plan, disk_at(path), PASSWORD, NullSink(), control, QuickClock(), ledger=ledger)


WHOLE = CheckPlan(pace=Pace(percent=100))


@dataclass(frozen=True, kw_only=True)
class Three:
    """Three snapshot files: the second has the files of the first and more, the third only others."""

    path: Path
    first: Filled
    second: Filled
    third: Filled


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Three:
    path = tmp_path_factory.mktemp("pristine") / "r"
    repository = new_repository(path)
    old = some_files(20, seed=1)
    return Three(
        path=path,
        first=append(repository, old, time_ns=10**18),
        second=append(repository, old | some_files(10, seed=2, prefix="g"), time_ns=10**18 + 1),
        third=append(repository, some_files(10, seed=3, prefix="h"), time_ns=10**18 + 2),
    )


@pytest.fixture
def three(pristine: Three, tmp_path: Path) -> Three:
    shutil.copytree(pristine.path, tmp_path / "r")
    return Three(path=tmp_path / "r", first=pristine.first, second=pristine.second, third=pristine.third)


def pack_of(path: Path, kind: BlobKind, blob: bytes) -> Path:
    found = load_index(Repository.open(disk_at(path), PASSWORD)).find(kind, blob)  # type: ignore[arg-type]
    assert found is not None
    return path / "data" / found[0].hex()[:2] / found[0].hex()


def flip(pack: Path, at: int) -> None:
    raw = bytearray(pack.read_bytes())
    raw[at] ^= 1
    pack.write_bytes(raw)


def test_a_path_is_named_once_with_every_snapshot_file_that_lost_it(three: Three) -> None:
    blob = next(iter(three.first.data))
    victim = pack_of(three.path, BlobKind.DATA, blob)
    victim.unlink()
    result = checked(three.path, CheckPlan())
    assert {one.files for one in result.touched} == {tuple(reversed((three.first.snapshot, three.second.snapshot)))}
    paths = [one.path for one in result.touched]
    assert paths == sorted(set(paths))
    assert all(path.startswith(b"/d/f") for path in paths)
    assert result.touched_count == len(paths) > 1
    assert result.files_touched == {three.first.snapshot: len(paths), three.second.snapshot: len(paths)}


def test_a_lost_tree_touches_the_folder_and_says_so(three: Three) -> None:
    repository = Repository.open(disk_at(three.path), PASSWORD)
    root = list_snapshot_files(repository)[2]
    pack_of(three.path, BlobKind.TREE, root.tree).unlink()
    result = checked(three.path, CheckPlan())
    assert [(one.path, one.is_folder, one.files) for one in result.touched] == [(b"/", True, (three.third.snapshot,))]


def test_what_a_later_pack_holds_as_well_is_not_lost(three: Three) -> None:
    blob, plain = next(iter(three.first.data.items()))
    victim = pack_of(three.path, BlobKind.DATA, blob)
    repository = Repository.open(disk_at(three.path), PASSWORD)
    index = load_index(repository)
    place = index.find(BlobKind.DATA, blob)
    assert place is not None
    written: list[WrittenPack] = []
    session = AppendSession(repository, Index(), Claims(), on_written=written.append)
    session.save(BlobKind.DATA, plain)
    session.close()
    writer = IndexWriter(repository)
    for pack in written:
        writer.add(pack)
    writer.flush()
    flip(victim, place[1].offset + 20)
    result = checked(three.path, WHOLE)
    assert result.damaged_packs == (victim.name,)
    assert (result.lost_blobs, result.touched) == (0, ())


def test_a_snapshot_file_that_should_be_there_is_missed(three: Three) -> None:
    repository = Repository.open(disk_at(three.path), PASSWORD)
    expected = tuple(Root(file=one.id or FileId(""), tree=one.tree) for one in list_snapshot_files(repository))
    assert checked(three.path, CheckPlan(expected=expected)).ok
    (three.path / "snapshots" / three.second.snapshot).unlink()
    (three.path / "snapshots" / three.first.snapshot).write_bytes(b"noise")
    result = checked(three.path, CheckPlan(expected=expected))
    assert set(result.unreadable_files) == {three.first.snapshot, three.second.snapshot}
    assert {problem.name.rpartition("/")[2] for problem in result.problems} == set(result.unreadable_files)
    assert result.touched == (), "their trees are still there"


def test_suspects_are_read_whatever_the_pace(three: Three) -> None:
    blob = next(iter(three.third.data))
    victim = pack_of(three.path, BlobKind.DATA, blob)
    flip(victim, 30)
    assert checked(three.path, CheckPlan()).ok, "nothing of it shows without reading"
    result = checked(three.path, CheckPlan(suspects=frozenset({FileId(victim.name)})))
    assert (result.damaged_packs, result.packs_read) == ((victim.name,), 1)


def test_good_packs_are_told_to_the_ledger_and_damaged_ones_are_not(three: Three) -> None:
    victim = pack_of(three.path, BlobKind.DATA, next(iter(three.first.data)))
    flip(victim, 30)
    book = Book()
    result = checked(three.path, WHOLE, ledger=book)
    assert set(book.read_packs) == set(book.packs) - {victim.name}
    assert len(book.packs) == result.packs == result.packs_read
    again = checked(three.path, CheckPlan(pace=Pace(percent=0.01)), ledger=book)
    assert again.damaged_packs == (victim.name,), "what was never found good has its turn first"


def test_a_check_that_is_stopped_keeps_what_it_read(three: Three) -> None:
    book = Book()

    class Stop:
        left = 3

        def check(self) -> None:
            self.left -= bool(book.packs)
            if self.left < 0:
                raise Killed("enough")

    with pytest.raises(Killed):
        checked(three.path, WHOLE, ledger=book, control=Stop())
    assert 0 < len(book.read_packs) < len(book.packs)
