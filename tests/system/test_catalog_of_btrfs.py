"""The four ways to catalogue tell the same: the storage or the repository, all of it or what changed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from jobs.engine.events import FileFailed
from jobs.engine.ids import BlobId, FileId
from jobs.engine.operations.catalog import (
    Change,
    Eyes,
    Found,
    Gone,
    list_snapshot,
    list_trees,
    snapshot_changes,
    tree_changes,
)
from jobs.engine.plan import SourceRoot, StoredPath
from jobs.engine.repository.index_load import load_index
from jobs.engine.repository.reader import BlobReader
from jobs.engine.repository.repository import Repository
from jobs.engine.repository.snapshot_file import read_snapshot_file
from jobs.engine.snapshots.base import SnapshotRef
from tests.engine.repositories import PASSWORD, disk_at
from tests.loopmounts import LoopMount

from .btrfs_changes import CHANGES, furnish
from .btrfs_world import STORED, World
from .test_diff_random import Vandal

pytestmark = pytest.mark.system

Paths = dict[bytes, Found]
_numbers = itertools.count()


def test_random_operations_are_told_the_same_by_storage_and_repository(btrfs_mount: Path, tmp_path: Path) -> None:
    world = World(btrfs_mount, tmp_path, name=f"volume {next(_numbers)}")
    vandal = Vandal(world.content, random.Random(20261126).randrange)
    for _ in range(40):
        vandal.act()
    tree = tree_of(world, world.start().snapshot_file_id)
    held = paths_of(listed(world, world.refs[-1]))
    for step in range(12):
        for _ in range(step):
            vandal.act()
        tree_before = tree
        tree = tree_of(world, world.next().snapshot_file_id)
        expect_the_same(world, held, (tree_before, tree))
        held = paths_of(listed(world, world.refs[-1]))
    world.clean()


def test_each_kind_of_change_is_told_by_the_storage(loop_mount: LoopMount, tmp_path: Path) -> None:
    mount = loop_mount("btrfs", size_bytes=2 << 30)
    for number, change in enumerate(CHANGES):
        (tmp_path / change.__name__).mkdir()
        world = World(mount, tmp_path / change.__name__, name=f"volume {number}")
        furnish(world.content)
        (world.volume / "outside").mkdir()
        (world.volume / "outside" / "stranger").mkdir()
        (world.volume / "outside" / "stranger" / "file").write_bytes(b"from outside")
        (world.volume / "outside" / "lonely").write_bytes(b"alone")
        held = paths_of(listed(world, world.snap()))
        change(world.content)
        expected = paths_of(listed(world, world.snap()))
        assert applied(held, changed(world)) == expected, change.__name__


def expect_the_same(world: World, held: Paths, trees: tuple[BlobId, BlobId]) -> None:
    """All four answers for the newest snapshot, given what the one before held."""
    reader, roots = reader_of(world), [bytes(STORED)]
    expected = paths_of(listed(world, world.refs[-1]))
    assert paths_of(list_trees(reader, trees[1], roots, nothing)) == expected
    assert applied(held, tree_changes(reader, (trees[0], roots), (trees[1], roots), nothing)) == expected
    assert applied(held, changed(world)) == expected


def listed(world: World, ref: SnapshotRef) -> Iterator[Found]:
    with world.engine.open(ref) as (root,):
        yield from list_snapshot([SourceRoot(directory=root.directory, stored_as=StoredPath(STORED))], eyes())


def changed(world: World) -> Iterator[Change]:
    """By the storage, since the snapshot before the newest."""
    with ExitStack() as stack:
        previous, now = [stack.enter_context(world.engine.open(ref))[0].directory for ref in world.refs[-2:]]
        yield from snapshot_changes([SourceRoot(directory=now, stored_as=STORED, previous=previous)], eyes())


def paths_of(found: Iterable[Change]) -> Paths:
    return applied({}, found)


def applied(held: Paths, changes: Iterable[Change]) -> Paths:
    """What a catalog makes of them: whatever is found is there, whatever is gone and not found is not."""
    told = list(changes)
    lost = [path_of(change) for change in told if isinstance(change, Gone)]
    kept = {
        path: one
        for path, one in held.items()
        if not any(path == gone or path.startswith(gone + b"/") for gone in lost)
    }
    found = [change for change in told if isinstance(change, Found)]
    assert len({path_of(one) for one in found}) == len(found), "a path is told twice"
    return kept | {path_of(one): one for one in found}


def path_of(change: Change) -> bytes:
    return change.folder.rstrip(b"/") + b"/" + change.name


def eyes() -> Eyes:
    def failed(event: FileFailed) -> None:
        raise AssertionError(event)

    return Eyes(beat=nothing, failed=failed)


def nothing() -> None:
    return


def reader_of(world: World) -> BlobReader:
    repository = Repository.open(disk_at(world.copier.path), PASSWORD)
    return BlobReader(repository, load_index(repository))


def tree_of(world: World, snapshot_file: FileId) -> BlobId:
    return read_snapshot_file(reader_of(world).repository, snapshot_file).tree
