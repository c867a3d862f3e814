"""Copies of real snapshots of every engine: an unchanged tree is not read again, a changed one is as a full copy."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from jobs.engine.events import FreeRun
from jobs.engine.plan import CopyResult, SourceRoot, StoredPath, Trust
from jobs.engine.snapshots.base import SnapshotEngine, SnapshotRef
from tests.contracts.snapshot_drivers import DRIVERS, WHOLE_SECONDS, Driver, Place, named, place_of
from tests.engine.copying import Copier, grow_tree
from tests.loopmounts import LoopMount
from tests.odd_tree import build_odd_tree

pytestmark = pytest.mark.system
FILES = 30 * 8


@pytest.fixture(params=DRIVERS, ids=str)
def place(request: pytest.FixtureRequest, loop_mount: LoopMount) -> Place:
    driver: Driver = request.param
    place = place_of(driver, loop_mount(driver.mount))
    grow_tree(place.content / "grown", directories=30, files=8)
    return place


@pytest.fixture
def engine(place: Place) -> SnapshotEngine:
    return place.engine()


@pytest.fixture
def copier(tmp_path: Path) -> Copier:
    return Copier(tmp_path)


def take(engine: SnapshotEngine, place: Place, n: int) -> SnapshotRef:
    """A snapshot whose files are older than the clock's grain: two seconds where times have no fraction."""
    is_coarse = n == 1 and place.driver.mount in WHOLE_SECONDS
    time.sleep(2.05 if is_coarse else 0.025)
    return engine.create(named(n), [str(place.content)], FreeRun())


def copy(copier: Copier, engine: SnapshotEngine, ref: SnapshotRef, *, full: bool = False) -> CopyResult:
    """What a job does: FULL trust where files are the source's own or there is a table of what they are there."""
    with engine.open(ref) as opened:
        roots = [
            SourceRoot(directory=root.directory, stored_as=StoredPath(b"/content"), origins=root.origins)
            for root in opened
        ]
        copied = any(root.origins is not None for root in roots)
        trust = Trust.MTIME_SIZE if copied else Trust.FULL
        plan = copier.plan(
            *roots,
            parent=None if full else copier.last,
            trust=trust,
            with_state=not full,
            taken_at_ns=ref.taken_at_ns,
        )
        return copier.run(plan)


def test_a_second_snapshot_of_an_unchanged_tree_is_not_read(
    place: Place, engine: SnapshotEngine, copier: Copier
) -> None:
    first = copy(copier, engine, take(engine, place, 1))
    second = copy(copier, engine, take(engine, place, 2))
    assert first.counters.files_new == FILES
    assert second.counters.files_unmodified == FILES
    assert second.counters.bytes_read == 0
    assert second.tree_id == first.tree_id
    assert second.counters.bytes_stored == 0


def test_the_odd_tree_in_a_second_snapshot_is_not_read(place: Place, engine: SnapshotEngine, copier: Copier) -> None:
    build_odd_tree(place.content)
    first = copy(copier, engine, take(engine, place, 1))
    second = copy(copier, engine, take(engine, place, 2))
    assert first.counters.exceptions == second.counters.exceptions == 0
    assert second.counters.bytes_read == 0
    assert second.counters.files_unmodified == first.counters.files_done
    assert second.tree_id == first.tree_id


def test_a_changed_snapshot_is_copied_as_a_full_copy_would(
    place: Place, engine: SnapshotEngine, copier: Copier
) -> None:
    copy(copier, engine, take(engine, place, 1))
    grown = place.content / "grown"
    (grown / "a1/b1/c1/f2").write_bytes(os.urandom(3000))
    (grown / "a2/b2/c2/f3").unlink()
    (grown / "a3/b0/c3").rename(grown / "moved")
    os.setxattr(grown / "a4/b1/c4/f1", "trusted.note", b"metadata only")
    os.utime(grown / "a5/b2/c5/f1", ns=(1, 1))
    ref = take(engine, place, 2)
    incremental = copy(copier, engine, ref)
    assert incremental.counters.bytes_read < 40_000
    assert copy(copier, engine, ref, full=True).tree_id == incremental.tree_id


def test_bytes_put_back_with_their_old_times_are_noticed(place: Place, engine: SnapshotEngine, copier: Copier) -> None:
    file = place.content / "grown/a1/b1/c1/f2"
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    copy(copier, engine, take(engine, place, 1))
    file.write_bytes(os.urandom(3000))
    os.utime(file, ns=times)
    second = copy(copier, engine, take(engine, place, 2))
    assert second.counters.files_changed == 1
