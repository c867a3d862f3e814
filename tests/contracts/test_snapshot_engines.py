"""What every snapshot engine must do, on real loop mounts. What only one engine does is in a file of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.engine.errors import (
    EngineError,
    InvalidOptions,
    Killed,
    SnapshotMissing,
    SnapshotNotOurs,
    SourceMissing,
    StorageBusy,
)
from jobs.engine.events import FreeRun
from jobs.engine.ids import SnapshotName
from jobs.engine.options import dump_options, parse_options
from jobs.engine.snapshots.base import Capability, SnapshotEngine, SnapshotRef
from jobs.engine.snapshots.registry import ENGINES
from tests.loopmounts import LoopMount
from tests.odd_tree import build_odd_tree, describe_tree

from .snapshot_drivers import DRIVERS, INSTALL, WHOLE_SECONDS, Driver, Place, named, place_of

pytestmark = pytest.mark.system

RUN = FreeRun()
OWN_STEPS = {
    "ontap": {"login", "storage VM", "volumes", "mount"},
    "powerstore": {"array", "NAS server", "mount"},
}
"""What a Test looks at before it takes its probe snapshot, where that is nothing on a disk of the node."""
FOREIGN_NAMES = ("daily-2026-01-01", "sc-otherone-7-1", "sc-contract-7", "../sc-contract-7-1", "sc-contract-7-1/..", "")


@pytest.fixture(params=DRIVERS, ids=str)
def place(request: pytest.FixtureRequest, loop_mount: LoopMount) -> Place:
    driver: Driver = request.param
    return place_of(driver, loop_mount(driver.mount))


@pytest.fixture
def engine(place: Place) -> SnapshotEngine:
    return place.engine()


def take(engine: SnapshotEngine, n: int, *content: Path) -> SnapshotRef:
    return engine.create(named(n), [str(path) for path in content], RUN)


def entries(area: Path) -> set[str]:
    return set(os.listdir(area)) if area.exists() else set()


class StopsAtOnce:
    """A control whose job is killed at the first look."""

    def check(self) -> None:
        raise Killed("The job was killed.")


def test_every_registered_engine_is_driven_by_the_contract() -> None:
    """But for those that have nothing to open: tests/engine/test_ndmp_engine.py drives them."""
    openable = {kind.name for kind in ENGINES.values() if Capability.DUMP_STREAM not in kind.capabilities}
    assert {driver.engine for driver in DRIVERS} | {"cephfs"} == openable, "CephFS needs a cluster"


def test_a_snapshot_holds_every_odd_thing_with_all_its_metadata(place: Place, engine: SnapshotEngine) -> None:
    build_odd_tree(place.content)
    before = describe_tree(place.content)
    ref = take(engine, 1, place.content)
    with engine.open(ref) as (root,):
        assert describe_tree(root.directory) == before
        sparse = os.stat(root.directory / "data" / "sparse")
        assert sparse.st_blocks * 512 < sparse.st_size or place.driver.mount == "cephfs", "CephFS tells no holes"
    assert ref.warnings == ()
    assert describe_tree(place.content) == before


def test_changes_of_the_source_do_not_reach_a_snapshot(place: Place, engine: SnapshotEngine) -> None:
    (place.content / "kept").write_text("before")
    (place.content / "deleted").write_text("was here")
    ref = take(engine, 1, place.content)
    with open(place.content / "kept", "r+") as file:
        file.write("AFTER!")
    (place.content / "deleted").unlink()
    (place.content / "new").write_text("later")
    with engine.open(ref) as (root,):
        assert {path.name: path.read_text() for path in root.directory.iterdir()} == {
            "kept": "before",
            "deleted": "was here",
        }


def test_roots_come_in_the_order_of_the_content_paths(place: Place, engine: SnapshotEngine) -> None:
    for name in ("b", "a", "c/d"):
        (place.content / name).mkdir(parents=True)
        (place.content / name / "name").write_text(name)
    content = [place.content / name for name in ("c/d", "b", "a")]
    ref = take(engine, 1, *content)
    assert ref.content == tuple(str(path) for path in content)
    with engine.open(ref) as roots:
        assert [root.content_path for root in roots] == list(ref.content)
        assert [(root.directory / "name").read_text() for root in roots] == ["c/d", "b", "a"]


def test_the_whole_volume_can_be_content_and_never_holds_the_snapshots(place: Place, engine: SnapshotEngine) -> None:
    if place.driver.engine == "directory":
        with pytest.raises(InvalidOptions) as refusal:
            engine.validate_content([str(place.mount)])
        assert refusal.value.field == "content_paths"
        return
    (place.content / "file").write_text("x")
    take(engine, 1, place.mount)
    ref = take(engine, 2, place.mount)
    with engine.open(ref) as (root,):
        assert (root.directory / "content" / "file").read_text() == "x"
        assert {path.suffix for path in (root.directory / ".snapcopy").glob("*")} <= {".json"}, "but descriptions"


def test_another_process_finds_exactly_what_was_taken(place: Place, engine: SnapshotEngine) -> None:
    refs = [take(engine, n, place.content) for n in (2, 1, 10)]
    assert sorted(place.engine().list(), key=lambda ref: ref.name) == sorted(refs, key=lambda ref: ref.name)
    assert all(place.engine().exists(ref) for ref in refs)


def test_an_empty_storage_lists_nothing(engine: SnapshotEngine) -> None:
    assert list(engine.list()) == []


def test_the_time_of_a_snapshot_is_never_later_than_its_content(place: Place, engine: SnapshotEngine) -> None:
    (place.content / "file").write_text("x")
    written = os.stat(place.content / "file").st_mtime_ns
    ref = take(engine, 1, place.content)
    (place.content / "later").write_text("x")
    grain = 1_000_000_000 if place.driver.mount in WHOLE_SECONDS else 10_000_000
    assert written <= ref.taken_at_ns + 10_000_000
    assert ref.taken_at_ns <= os.stat(place.content / "later").st_mtime_ns + grain


@pytest.mark.parametrize("name", FOREIGN_NAMES)
def test_O2_foreign_names_are_refused_by_every_method(place: Place, engine: SnapshotEngine, name: str) -> None:
    foreign = SnapshotName(name)
    ref = SnapshotRef(name=foreign, engine=engine.name, taken_at_ns=0, content=(str(place.content),))
    with pytest.raises(SnapshotNotOurs):
        engine.create(foreign, [str(place.content)], RUN)
    with pytest.raises(SnapshotNotOurs), engine.open(ref):
        pass
    with pytest.raises(SnapshotNotOurs):
        engine.delete(ref)
    with pytest.raises(SnapshotNotOurs):
        engine.exists(ref)


def test_what_others_keep_in_the_area_is_neither_listed_nor_removed(place: Place, engine: SnapshotEngine) -> None:
    ref = take(engine, 1, place.content)
    other = place.engine("otherone")
    other_ref = other.create(named(1, install="otherone"), [str(place.content)], RUN)
    (place.area / "my notes").mkdir(parents=True)
    (place.area / ".sc-elsewhere-1-1.new").mkdir()
    assert [found.name for found in engine.list()] == [ref.name]
    assert [found.name for found in other.list()] == [other_ref.name]
    engine.delete(ref)
    take(engine, 2, place.content)
    assert entries(place.area) >= {"my notes", ".sc-elsewhere-1-1.new"}
    assert other.exists(other_ref)


def test_a_snapshot_can_be_deleted_twice(place: Place, engine: SnapshotEngine) -> None:
    build_odd_tree(place.content)
    ref = take(engine, 1, place.content)
    engine.delete(ref)
    engine.delete(ref)
    assert not engine.exists(ref)
    assert list(engine.list()) == []
    assert entries(place.area) == set()


def test_a_snapshot_that_was_removed_outside_is_told_as_missing(place: Place, engine: SnapshotEngine) -> None:
    ref = take(engine, 1, place.content)
    place.engine().delete(ref)
    assert not engine.exists(ref)
    with pytest.raises(SnapshotMissing), engine.open(ref):
        pass


def test_a_snapshot_is_not_deleted_while_it_is_read(place: Place, engine: SnapshotEngine) -> None:
    (place.content / "file").write_text("still readable")
    ref = take(engine, 1, place.content)
    with engine.open(ref) as (root,), engine.open(ref):
        with pytest.raises(StorageBusy):
            place.engine().delete(ref)
        assert (root.directory / "file").read_text() == "still readable"
    engine.delete(ref)
    assert not engine.exists(ref)


def test_a_name_is_taken_once(place: Place, engine: SnapshotEngine) -> None:
    ref = take(engine, 1, place.content)
    with pytest.raises(StorageBusy):
        take(engine, 1, place.content)
    assert [found.name for found in engine.list()] == [ref.name]


def test_a_job_that_is_stopped_leaves_nothing(place: Place, engine: SnapshotEngine) -> None:
    """An instant snapshot may be faster than the first look; then it is there whole."""
    (place.content / "file").write_text("x")
    with contextlib.suppress(Killed):
        engine.create(named(1), [str(place.content)], StopsAtOnce())
        assert [ref.name for ref in engine.list()] == [named(1)]
        engine.delete(engine.list()[0])
    assert entries(place.area) == set()


KILLED_JOB = """
import json, os, signal, sys
from jobs.engine.options import parse_options
from jobs.engine.plan import Secret
from jobs.engine.snapshots.registry import ENGINES

class Dies:
    def check(self):
        os.kill(os.getpid(), signal.SIGKILL)

engine, values, secrets, install, name, content = json.loads(sys.argv[1])
kind = ENGINES[engine]
secrets = {name: Secret(text) for name, text in secrets.items()}
kind.build(parse_options(kind.options, values, secrets), install).create(name, [content], Dies())
"""


def test_a_job_killed_on_the_spot_leaves_no_half_snapshot_and_its_leftovers_go(
    place: Place, engine: SnapshotEngine
) -> None:
    build_odd_tree(place.content)
    values = place.driver.values(place.mount)
    secrets = dict(place.driver.secrets)
    arguments = json.dumps([place.driver.engine, values, secrets, INSTALL, named(1), str(place.content)])
    subprocess.run([sys.executable, "-c", KILLED_JOB, arguments], check=False, cwd=Path(__file__).parents[2])
    survivors = engine.list()
    assert Capability.INSTANT in engine.capabilities or not survivors
    for ref in survivors:
        with engine.open(ref) as (root, *_):
            # One that was not described yet is told as of the whole volume.
            inside = root.directory / place.content.relative_to(root.content_path)
            assert describe_tree(inside) == describe_tree(place.content)
    ref = take(engine, 2, place.content)
    for survivor in survivors:
        engine.delete(survivor)
    engine.delete(ref)
    assert entries(place.area) == set()


def test_content_that_is_gone_is_told(place: Place, engine: SnapshotEngine) -> None:
    with pytest.raises(SourceMissing):
        take(engine, 1, place.content / "nowhere")
    with pytest.raises(InvalidOptions) as refusal:
        engine.validate_content([str(place.content / "nowhere")])
    assert refusal.value.field == "content_paths"
    assert entries(place.area) == set()


def test_content_that_is_a_file_is_told(place: Place, engine: SnapshotEngine) -> None:
    (place.content / "file").write_text("x")
    with pytest.raises(SourceMissing):
        take(engine, 1, place.content / "file")


@pytest.mark.parametrize("content", [[], ["content"], ["/a/../b"], ["/a/"], ["//a"], ["/a\0b"]])
def test_content_paths_that_are_not_plain_are_refused(engine: SnapshotEngine, content: list[str]) -> None:
    with pytest.raises(InvalidOptions) as refusal:
        engine.validate_content(content)
    assert refusal.value.field == "content_paths"


def test_a_content_path_inside_another_is_refused(place: Place, engine: SnapshotEngine) -> None:
    (place.content / "below").mkdir()
    for content in ([place.content, place.content / "below"], [place.content, place.content]):
        with pytest.raises(InvalidOptions):
            engine.validate_content([str(path) for path in content])


def test_a_snapshot_is_no_content(place: Place, engine: SnapshotEngine) -> None:
    ref = take(engine, 1, place.content)
    with engine.open(ref) as (root,), pytest.raises(InvalidOptions):
        engine.validate_content([str(root.directory)])


def test_content_may_be_named_through_a_link(place: Place, engine: SnapshotEngine) -> None:
    (place.content / "real").mkdir()
    (place.content / "real" / "file").write_text("x")
    (place.mount / "link").symlink_to("content/real")
    ref = take(engine, 1, place.mount / "link")
    with engine.open(ref) as (root,):
        assert (root.directory / "file").read_text() == "x"


def test_pressing_test_takes_a_probe_snapshot_and_leaves_nothing(place: Place, engine: SnapshotEngine) -> None:
    before = entries(place.mount) | {".snapcopy"}
    report = engine.test()
    assert report.ok, report
    assert OWN_STEPS.get(engine.name, {"area", "storage", "write"}) | {"snapshot", "open", "list", "delete"} == {
        step.name for step in report.steps
    }
    assert all(step.seconds >= 0 and step.detail for step in report.steps)
    assert report.usage is not None
    assert report.usage.free_bytes
    assert entries(place.area) == set()
    assert entries(place.mount) | {".snapcopy"} == before


def test_pressing_test_on_an_unfit_place_tells_the_step_and_never_raises(place: Place) -> None:
    (place.mount / "file").write_text("in the way")
    driver = place.driver
    values = {name: str(place.mount / "file") for name in driver.values(place.mount)}
    if driver.unfit is not None:
        values = driver.unfit(place.mount)  # type: ignore[assignment]
    kind = ENGINES[driver.engine]
    report = kind.build(parse_options(kind.options, values, place.secrets), INSTALL).test()
    assert not report.ok
    assert [step.ok for step in report.steps] == [True] * (len(report.steps) - 1) + [False]
    assert report.steps[-1].detail


def test_errors_are_the_engines_own(place: Place, engine: SnapshotEngine) -> None:
    """A storage whose area cannot be reached gives no bare OSError."""
    take(engine, 1, place.content)
    ref = engine.list()[0]
    place.area.rename(place.area.with_name("moved"))
    place.area.write_text("a file where the area was")
    for action in (engine.list, lambda: engine.delete(ref), lambda: take(engine, 3, place.content)):
        with contextlib.suppress(EngineError):
            action()


def test_options_go_through_json_and_back(place: Place) -> None:
    kind = ENGINES[place.driver.engine]
    values = place.driver.values(place.mount)
    options: object = parse_options(kind.options, values, place.secrets)
    assert dump_options(options).items() >= values.items()
