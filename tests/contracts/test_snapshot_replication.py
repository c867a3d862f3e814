"""What every engine that takes over snapshots of another storage must do, from one real loop mount to another."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.engine.errors import EngineError, EngineUnsupported, InvalidOptions, Killed, NoSpace, SnapshotMissing
from jobs.engine.events import FreeRun
from jobs.engine.snapshots.base import Capability, Replicated, Replicator, SnapshotEngine, SnapshotRef
from jobs.engine.snapshots.origins import Origins
from jobs.engine.snapshots.registry import ENGINES
from tests.loopmounts import LoopMount
from tests.odd_tree import build_odd_tree, describe_tree

from .snapshot_drivers import DRIVERS, Driver, Place, named, place_of

pytestmark = pytest.mark.system

RUN = FreeRun()
ABLE = [driver for driver in DRIVERS if Capability.REPLICATE in ENGINES[driver.engine].capabilities]


@pytest.fixture(params=ABLE, ids=str)
def places(request: pytest.FixtureRequest, loop_mount: LoopMount) -> tuple[Place, Place]:
    driver: Driver = request.param
    return place_of(driver, loop_mount(driver.mount)), place_of(driver, loop_mount(driver.mount))


@pytest.fixture
def source(places: tuple[Place, Place]) -> Place:
    return places[0]


@pytest.fixture
def target(places: tuple[Place, Place]) -> Iterator[Place]:
    yield places[1]
    left = {entry for entry in os.listdir(places[1].area) if entry.startswith(".")} if places[1].area.exists() else []
    assert not left, "nothing half is left behind"


@pytest.fixture
def btrfs(loop_mount: LoopMount) -> tuple[Place, Place]:
    driver = next(driver for driver in ABLE if driver.engine == "btrfs")
    return place_of(driver, loop_mount("btrfs")), place_of(driver, loop_mount("btrfs"))


def take(place: Place, n: int) -> SnapshotRef:
    return place.engine().create(named(n), [str(place.content)], RUN)


def replicate(source: Place, target: Place, ref: SnapshotRef, base: SnapshotRef | None = None) -> Replicated:
    engine = target.engine()
    assert isinstance(engine, Replicator)
    return engine.replicate(ref, source.engine(), base, RUN)


SENT_BY_BTRFS = frozenset({"btrfs", "ontap"})
"""The emulated SnapMirror is a btrfs stream, too."""
DEEP = "00 " + "d" * 120
"""Leads to a path of more than PATH_MAX bytes, which no btrfs stream can hold."""


class StopsWhen:
    """A control whose job is killed as soon as something lies in the target's area."""

    def __init__(self, area: Path) -> None:
        self._area = area

    def check(self) -> None:
        if self._area.exists() and any(entry.startswith((".sc-", "sc-")) for entry in os.listdir(self._area)):
            raise Killed("The job was killed.")


def test_every_engine_that_says_so_takes_over_snapshots() -> None:
    assert {driver.engine for driver in ABLE} == {"btrfs", "xfs", "directory", "ontap", "zfs"}


def test_O1_a_replica_is_identical_keeps_its_name_and_time_and_outlives_its_source(
    source: Place, target: Place
) -> None:
    build_odd_tree(source.content)
    if source.driver.engine in SENT_BY_BTRFS:
        shutil.rmtree(source.content / DEEP)
    expected = describe_tree(source.content)
    ref = take(source, 1)
    done = replicate(source, target, ref)
    assert (done.ref.name, done.ref.taken_at_ns, done.ref.content) == (ref.name, ref.taken_at_ns, ref.content)
    assert done.sent_bytes > 0
    source.engine().delete(ref)
    engine = target.engine()
    if source.driver.engine == "ontap":  # what a comment becomes with SnapMirror is not documented
        assert [one.name for one in engine.list()] == [done.ref.name]
    else:
        assert engine.list() == [done.ref]
    with engine.open(done.ref) as (root,):
        assert describe_tree(root.directory) == expected
        assert root.content_path == str(source.content)
    if source.driver.engine == "ontap":
        with pytest.raises(EngineUnsupported, match="read/write"):
            engine.delete(done.ref)
        return
    engine.delete(done.ref)
    assert engine.list() == []


def test_O1_a_replica_tells_the_inodes_and_times_of_the_first_source(source: Place, target: Place) -> None:
    """Without that the next backup copy, made from the replica, would take every file for a new one."""
    (source.content / "file").write_text("text")
    status = os.stat(source.content / "file")
    done = replicate(source, target, take(source, 1))
    with target.engine().open(done.ref) as (root,):
        inside = os.stat(root.directory / "file")
        if root.origins is None:
            assert inside.st_ino == status.st_ino
            return
        found = Origins(root.origins).find(inside.st_ino)
    assert found is not None
    assert (found.inode, found.ctime_ns, found.mode) == (status.st_ino, status.st_ctime_ns, status.st_mode)


def test_O1_the_second_replica_is_right_with_the_first_as_its_base(source: Place, target: Place) -> None:
    (source.content / "large").write_bytes(os.urandom(3 << 20))
    (source.content / "gone").write_text("soon")
    first = take(source, 1)
    replicate(source, target, first)
    (source.content / "gone").unlink()
    (source.content / "new").write_text("new")
    second = take(source, 2)
    done = replicate(source, target, second, first)
    with target.engine().open(done.ref) as (root,):
        assert describe_tree(root.directory) == describe_tree(source.content)
    if Capability.SENDS_DIFFERENCE in source.engine().capabilities:
        assert done.base == first.name
        assert done.sent_bytes < 100_000


def test_O1_a_replica_that_is_there_is_not_sent_again(source: Place, target: Place) -> None:
    (source.content / "file").write_text("text")
    ref = take(source, 1)
    done = replicate(source, target, ref)
    again = replicate(source, target, ref)
    assert (again.ref, again.sent_bytes) == (done.ref, 0)


def test_O1_a_stopped_replication_leaves_nothing_and_the_next_succeeds(source: Place, target: Place) -> None:
    if source.driver.engine == "ontap":
        return  # nothing of it is seen before it is whole: test_snapshot_ontap.py aborts one
    for number in range(200):
        (source.content / f"file{number}").write_bytes(os.urandom(200_000))
    ref = take(source, 1)
    engine = target.engine()
    assert isinstance(engine, Replicator)
    with pytest.raises(Killed):
        engine.replicate(ref, source.engine(), None, StopsWhen(target.area))
    assert engine.list() == []
    done = replicate(source, target, ref)
    with engine.open(done.ref) as (root,):
        assert describe_tree(root.directory) == describe_tree(source.content)


def test_O1_a_snapshot_that_is_gone_or_a_target_that_is_the_source_is_refused(source: Place, target: Place) -> None:
    (source.content / "file").write_text("text")
    ref = take(source, 1)
    with pytest.raises(InvalidOptions, match="lies in"):
        replicate(source, source, ref)
    source.engine().delete(ref)
    with pytest.raises(SnapshotMissing):
        replicate(source, target, ref)
    assert target.engine().list() == []


@pytest.mark.parametrize("lost", ["at the source", "at the target"])
def test_O1_where_one_side_lost_the_base_everything_is_sent(btrfs: tuple[Place, Place], lost: str) -> None:
    source, target = btrfs
    (source.content / "large").write_bytes(os.urandom(2 << 20))
    first = take(source, 1)
    there = replicate(source, target, first)
    second = take(source, 2)
    if lost == "at the source":
        source.engine().delete(first)
    else:
        target.engine().delete(there.ref)
    done = replicate(source, target, second, first)
    assert done.base is None
    assert done.sent_bytes > 2 << 20


def test_O1_a_replica_can_be_sent_on_and_stays_a_base(btrfs: tuple[Place, Place], loop_mount: LoopMount) -> None:
    source, target = btrfs
    third = place_of(target.driver, loop_mount("btrfs"))
    (source.content / "large").write_bytes(os.urandom(2 << 20))
    refs = [replicate(source, target, take(source, 1)).ref]
    (source.content / "more").write_text("more")
    refs.append(replicate(source, target, take(source, 2), refs[0]).ref)
    replicate(target, third, refs[0])
    done = replicate(target, third, refs[1], refs[0])
    assert done.base == refs[0].name
    with third.engine().open(done.ref) as (root,):
        assert describe_tree(root.directory) == describe_tree(source.content)


def test_O1_what_a_killed_job_received_is_hidden_then_swept(btrfs: tuple[Place, Place]) -> None:
    source, target = btrfs
    (source.content / "file").write_text("text")
    first, second = take(source, 1), take(source, 2)
    done = replicate(source, target, first)
    marker = target.area / f".{first.name}.receiving"
    marker.touch()
    engine: SnapshotEngine = target.engine()
    assert engine.list() == []
    assert not engine.exists(done.ref)
    with pytest.raises(SnapshotMissing, match="not arrived"), engine.open(done.ref):
        pytest.fail("an incomplete snapshot must not be read")
    with open(marker, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        replicate(source, target, second)
        assert (target.area / first.name).exists(), "what is being received stays"
    replicate(source, target, second)
    assert [ref.name for ref in engine.list()] == [second.name]
    assert not marker.exists()


def test_O1_a_target_that_is_full_is_told_and_left_clean(loop_mount: LoopMount) -> None:
    driver = next(driver for driver in ABLE if driver.engine == "btrfs")
    source, target = place_of(driver, loop_mount("btrfs", size_bytes=1 << 30)), place_of(driver, loop_mount("btrfs"))
    (source.content / "large").write_bytes(os.urandom(400 << 20))
    with pytest.raises(NoSpace):
        replicate(source, target, take(source, 1))
    assert target.engine().list() == []


def test_O1_a_path_that_no_stream_can_hold_is_told_in_words(btrfs: tuple[Place, Place]) -> None:
    source, target = btrfs
    build_odd_tree(source.content)
    with pytest.raises(EngineUnsupported, match="4,095 bytes"):
        replicate(source, target, take(source, 1))
    assert target.engine().list() == []


def test_O1_another_engine_cannot_feed_a_btrfs(loop_mount: LoopMount) -> None:
    by_name = {driver.engine: driver for driver in reversed(ABLE)}
    source = place_of(by_name["xfs"], loop_mount("xfs"))
    target = place_of(by_name["btrfs"], loop_mount("btrfs"))
    with pytest.raises(EngineUnsupported, match="XFS"):
        replicate(source, target, take(source, 1))


def test_O1_a_replication_beside_another_of_the_same_snapshot_waits(btrfs: tuple[Place, Place]) -> None:
    source, target = btrfs
    (source.content / "file").write_text("text")
    first, second = take(source, 1), take(source, 2)
    replicate(source, target, first)
    marker = target.area / f".{second.name}.receiving"
    with open(marker, "wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(EngineError, match="Another job"):
            replicate(source, target, second)
