"""Random operations between snapshots: the diff copy must be a full walk's tree, byte for byte; restic must agree."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.engine.operations.copy_pipeline import coordinator
from tests.interop.restic import Restic
from tests.loopmounts import CannotMount, mounted
from tests.odd_tree import describe_tree

from .btrfs_world import World, btrfs, clone_range, punch_hole, write

pytestmark = [pytest.mark.system, pytest.mark.slow]

SIZES = (0, 5, 2_000, 3_000, 70_000, 700_000, 5_000_000)
_numbers = itertools.count()


class Vandal:
    """Does one random thing after another to a tree. Every choice comes from ``choose``."""

    def __init__(self, content: Path, choose: Callable[[int], int], *, with_subvolumes: bool = True) -> None:
        self.content = content
        self.with_subvolumes = with_subvolumes
        self.choose = choose
        self.names = (f"n{number}" for number in itertools.count())

    def act(self) -> str:
        acts = (
            self.create,
            self.create,
            self.make_directory,
            self.write,
            self.write,
            self.truncate,
            self.punch,
            self.clone,
            self.remove,
            self.remove_tree,
            self.move,
            self.move,
            self.move_directory,
            self.exchange,
            self.link,
            self.set_mode,
            self.set_owner,
            self.set_times,
            self.set_attribute,
            self.replace,
            self.make_special,
            self.nest,
            self.leave_and_come_back,
        )
        act = acts[self.choose(len(acts))]
        act()
        return act.__name__

    def directories(self) -> list[Path]:
        found = [self.content]
        for directory, names, _files in os.walk(self.content):
            found += [Path(directory, name) for name in names if not os.path.islink(os.path.join(directory, name))]
        return sorted(path for path in found if path.stat().st_ino != 2 and path.stat().st_ino != 256)

    def files(self) -> list[Path]:
        found = [Path(directory, name) for directory, _, names in os.walk(self.content) for name in names]
        return sorted(path for path in found if stat.S_ISREG(path.lstat().st_mode))

    def pick(self, paths: list[Path]) -> Path | None:
        return paths[self.choose(len(paths))] if paths else None

    def fresh(self, directory: Path | None = None) -> Path:
        """A name that was perhaps used before, and is free now."""
        folder = directory or self.pick(self.directories()) or self.content
        for _ in range(4):
            path = folder / f"{'äb c'[self.choose(4)]}{self.choose(6)}"
            if not os.path.lexists(path):
                return path
        return folder / next(self.names)

    def data(self) -> bytes:
        return random.Random(self.choose(50)).randbytes(SIZES[self.choose(len(SIZES))])

    def create(self) -> None:
        self.fresh().write_bytes(self.data())

    def make_directory(self) -> None:
        path = self.fresh()
        path.mkdir()
        for _ in range(self.choose(3)):
            self.fresh(path).write_bytes(b"in a new directory")

    def write(self) -> None:
        if path := self.pick(self.files()):
            size = path.stat().st_size
            write(path, self.data()[: 1 + self.choose(9000)], self.choose(size + 1))

    def truncate(self) -> None:
        if path := self.pick(self.files()):
            os.truncate(path, SIZES[self.choose(len(SIZES))] + self.choose(3))

    def punch(self) -> None:
        path = self.pick([path for path in self.files() if path.stat().st_size > 10_000])
        if path:
            punch_hole(path, start=self.choose(path.stat().st_size), length=1 + self.choose(900_000))

    def clone(self) -> None:
        big = [path for path in self.files() if path.stat().st_size >= 65_536]
        source, target = self.pick(big), self.pick(big)
        if source and target:
            block = 4096 * self.choose(8)
            try:
                clone_range(source, target, start=block, length=4096 * 4, to=4096 * self.choose(200))
            except OSError:
                return

    def remove(self) -> None:
        if path := self.pick(self.files()):
            path.unlink()

    def remove_tree(self) -> None:
        path = self.pick([path for path in self.directories() if path != self.content])
        if path and not any(below.is_dir() and below.stat().st_ino == 256 for below in path.rglob("*")):
            shutil.rmtree(path, ignore_errors=True)

    def move(self) -> None:
        if path := self.pick(self.files()):
            path.rename(self.fresh())

    def move_directory(self) -> None:
        directories = [path for path in self.directories() if path != self.content]
        if path := self.pick(directories):
            target = self.fresh(self.pick([to for to in self.directories() if not to.is_relative_to(path)]))
            path.rename(target)

    def exchange(self) -> None:
        directories = [path for path in self.directories() if path != self.content]
        one, two = self.pick(directories), self.pick(directories)
        if one and two and not one.is_relative_to(two) and not two.is_relative_to(one):
            aside = self.content.parent / "aside"
            one.rename(aside)
            two.rename(one)
            aside.rename(two)

    def link(self) -> None:
        if path := self.pick(self.files()):
            os.link(path, self.fresh())

    def set_mode(self) -> None:
        if path := self.pick(self.files() + self.directories()):
            path.chmod((0o644, 0o755, 0o4711, 0o1777)[self.choose(4)])

    def set_owner(self) -> None:
        if path := self.pick(self.files() + self.directories()):
            os.chown(path, self.choose(3), self.choose(3))

    def set_times(self) -> None:
        """Also back to what they were, so that a change hides."""
        if path := self.pick(self.files()):
            before = path.stat()
            write(path, b"hidden"[: max(1, min(6, before.st_size))])
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def set_attribute(self) -> None:
        if path := self.pick(self.files() + self.directories()):
            os.setxattr(path, f"user.{self.choose(2)}", b"v" * self.choose(300))

    def replace(self) -> None:
        """Another thing under the same name."""
        if path := self.pick(self.files()):
            path.unlink()
            kind = self.choose(3)
            if kind == 0:
                path.mkdir()
            elif kind == 1:
                path.symlink_to("somewhere")
            else:
                path.write_bytes(self.data())

    def make_special(self) -> None:
        kinds = (stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR)
        os.mknod(self.fresh(), kinds[self.choose(3)] | 0o600, os.makedev(1, 3))

    def nest(self) -> None:
        if self.with_subvolumes and self.choose(4) == 0:
            btrfs("subvolume", "create", self.fresh())

    def leave_and_come_back(self) -> None:
        """Out of the content, or in from there."""
        outside = self.content.parent / "outside"
        outside.mkdir(exist_ok=True)
        waiting = sorted(outside.iterdir())
        if waiting and self.choose(2):
            waiting[self.choose(len(waiting))].rename(self.fresh())
        elif path := self.pick([path for path in self.directories() if path != self.content] + self.files()):
            path.rename(outside / f"{len(waiting)} {self.choose(10**6)}")


@pytest.fixture(scope="module")
def mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    try:
        with mounted("btrfs", tmp_path_factory.mktemp("random"), size_bytes=4 << 30) as point:
            yield point
    except CannotMount as reason:
        pytest.skip(f"no btrfs loop mount here: {reason}")


def seeded(world: World, vandal: Vandal, acts: int = 25) -> None:
    for _ in range(acts):
        vandal.act()
    world.start()


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_random_operations_between_snapshots(
    mount: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    base = tmp_path_factory.mktemp("copies")
    world = World(mount, base, name=f"volume {next(_numbers)}")
    vandal = Vandal(world.content, random.Random(data.draw(st.integers(0, 10**9))).randrange)
    seeded(world, vandal)
    for _ in range(data.draw(st.integers(1, 4))):
        for _ in range(data.draw(st.integers(0, 12))):
            vandal.act()
        world.next()
    world.clean()


@pytest.mark.interop
@pytest.mark.parametrize("alone_seconds", [0.6, 0.0], ids=["in one process", "in several"])
def test_stock_restic_finds_two_hundred_operations_clean(
    mount: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone_seconds: float
) -> None:
    monkeypatch.setattr(coordinator, "_ALONE_WITH_CHANGES_SECONDS", alone_seconds)
    world = World(mount, tmp_path, name=f"volume {next(_numbers)}", readers=2)
    vandal = Vandal(world.content, random.Random(20260104).randrange, with_subvolumes=False)
    seeded(world, vandal, 60)
    for _ in range(20):
        for _ in range(10):
            vandal.act()
        world.next()
    restic = Restic(repository=world.copier.path)
    restic.run("check", "--read-data")
    with world.engine.open(world.refs[-1]) as (root,):
        restic.run("restore", str(world.parent), "--target", str(tmp_path / "restored"))
        expected = describe_tree(root.directory)
        sockets = {path for path, entry in expected.items() if stat.S_ISSOCK(entry.mode)}
        assert describe_tree(tmp_path / "restored" / "content") == {
            path: entry for path, entry in expected.items() if path not in sockets
        }
    world.clean()
