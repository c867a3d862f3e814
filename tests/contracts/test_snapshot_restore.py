"""RULES V1: what every engine's snapshot gives back through a restore, from its own storage and from a replica."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.events import FreeRun
from jobs.engine.operations import restore
from jobs.engine.plan import Overwrite, RestorePlan, RestoreResult, SourceRoot, StoredPath
from jobs.engine.snapshots.base import Capability, Replicator, SnapshotEngine, SnapshotRef
from jobs.engine.snapshots.registry import ENGINES
from tests.engine.restores import Record
from tests.loopmounts import LoopMount
from tests.odd_tree import Described, build_odd_tree, describe_tree

from .snapshot_drivers import DRIVERS, Driver, named, place_of

pytestmark = pytest.mark.system

RUN = FreeRun()
TOO_DEEP_FOR_A_STREAM = "00 " + "d" * 120
ABLE = [driver for driver in DRIVERS if Capability.REPLICATE in ENGINES[driver.engine].capabilities]


def give_back(engine: SnapshotEngine, ref: SnapshotRef, target: Path, overwrite: Overwrite) -> RestoreResult:
    record = Record()
    with engine.open(ref) as roots:
        read = [
            SourceRoot(directory=root.directory, stored_as=StoredPath(root.content_path.encode()), origins=root.origins)
            for root in roots
        ]
        plan = RestorePlan(target=target, overwrite=overwrite, readers=2)
        result = restore.run_from_snapshot(plan, read, record, RUN, SystemClock())
    assert record.failures == {}
    return result


def without_sockets(root: Path) -> dict[bytes, Described]:
    return {path: entry for path, entry in describe_tree(root).items() if not stat.S_ISSOCK(entry.mode)}


@pytest.mark.parametrize("driver", DRIVERS, ids=str)
def test_V2_a_snapshot_restored_in_place_makes_the_content_what_it_was(driver: Driver, loop_mount: LoopMount) -> None:
    place = place_of(driver, loop_mount(driver.mount))
    build_odd_tree(place.content)
    before = without_sockets(place.content)
    ref = place.engine().create(named(1), [str(place.content)], RUN)
    shutil.rmtree(place.content / "kinds")
    (place.content / "data" / "one byte").write_bytes(b"2")
    (place.content / "data" / "linked").unlink()
    (place.content / "metadata" / "owned").chmod(0o600)
    give_back(place.engine(), ref, Path("/"), Overwrite.ALWAYS)
    assert without_sockets(place.content) == before


@pytest.mark.parametrize("driver", ABLE, ids=str)
def test_V1_a_replica_gives_back_what_the_source_has_lost(driver: Driver, loop_mount: LoopMount) -> None:
    source, secondary = place_of(driver, loop_mount(driver.mount)), place_of(driver, loop_mount(driver.mount))
    build_odd_tree(source.content)
    if driver.engine in ("btrfs", "ontap"):
        shutil.rmtree(source.content / TOO_DEEP_FOR_A_STREAM)
    expected = without_sockets(source.content)
    ref = source.engine().create(named(1), [str(source.content)], RUN)
    engine = secondary.engine()
    assert isinstance(engine, Replicator)
    replica = engine.replicate(ref, source.engine(), None, RUN).ref
    source.engine().delete(ref)
    back = secondary.mount / "back"
    give_back(secondary.engine(), replica, back, Overwrite.IF_NEWER)
    assert without_sockets(back / source.content.relative_to("/")) == expected
