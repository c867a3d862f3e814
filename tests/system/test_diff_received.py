"""Snapshots that were sent to another btrfs, copied from there by what that one says has changed, judged by a walk."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.engine.events import FreeRun
from jobs.engine.snapshots.base import SnapshotRef
from jobs.engine.snapshots.btrfs.engine import BtrfsEngine, BtrfsOptions
from tests.engine.repositories import PASSWORD
from tests.interop.restic import Restic
from tests.loopmounts import LoopMount
from tests.odd_tree import describe_tree

from .btrfs_world import INSTALL, World, btrfs, require_diff
from .test_diff_random import Vandal

pytestmark = [pytest.mark.system, pytest.mark.interop]


class SentWorld(World):
    """Every snapshot is sent to another file system, as the difference from the last, and copied from there."""

    def __init__(self, mount: Path, there: Path, base: Path) -> None:
        super().__init__(mount, base)
        btrfs("subvolume", "create", there / "volume")
        self.here = self.engine
        self.engine = BtrfsEngine(BtrfsOptions(volume=there / "volume"), INSTALL)
        self._last: SnapshotRef | None = None

    def snap(self, engine: BtrfsEngine | None = None) -> SnapshotRef:
        ref = super().snap(self.here)
        done = self.engine.replicate(ref, self.here, self._last, FreeRun())
        assert (done.base is None) == (self._last is None)
        self._last = ref
        self.refs[-1] = done.ref
        return done.ref


@pytest.fixture
def world(loop_mount: LoopMount, tmp_path: Path) -> Iterator[SentWorld]:
    made = SentWorld(loop_mount("btrfs", size_bytes=1 << 30), loop_mount("btrfs", size_bytes=1 << 30), tmp_path)
    yield made
    made.clean()


@pytest.mark.parametrize("seed", range(3))
def test_B6_what_was_received_as_a_difference_is_copied_as_a_difference(
    world: SentWorld, tmp_path: Path, seed: int
) -> None:
    source = random.Random(seed)
    vandal = Vandal(world.content, source.randrange, with_subvolumes=False)
    for _ in range(40):
        vandal.act()
    world.start()
    for _ in range(6):
        for _ in range(source.randrange(12)):
            vandal.act()
        require_diff(world.next())
    restic = Restic(repository=world.copier.path, password=PASSWORD.reveal())
    restic.judge()
    with world.engine.open(world.refs[-1]) as (root,), world.here.open(world.refs[-1]) as (live,):
        assert describe_tree(root.directory) == describe_tree(live.directory)


def test_B6_where_nothing_was_sent_nothing_is_looked_at(world: SentWorld) -> None:
    (world.content / "file").write_bytes(b"text" * 1000)
    world.start()
    result = world.next()
    assert result.counters.bytes_read == 0
    assert result.counters.files_unmodified == 1
