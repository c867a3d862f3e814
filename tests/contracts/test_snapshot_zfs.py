"""What only ZFS must do: datasets of one moment, holds, clones to read through, rollbacks, its words as our errors."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.errors import (
    EngineError,
    EngineUnsupported,
    InvalidOptions,
    NoSpace,
    SourceMissing,
    SourceUnavailable,
    StorageBusy,
)
from jobs.engine.events import FreeRun
from jobs.engine.snapshots.binding import bind_read_only, release
from jobs.engine.snapshots.zfs.command import Zfs
from jobs.engine.snapshots.zfs.engine import ZfsEngine, ZfsOptions
from jobs.engine.snapshots.zfs.reading import ReadingRoom
from tests.loopmounts import LoopMount
from tests.zfs_pool import another_pool, zfs

from .snapshot_drivers import INSTALL, named
from .zfs_world import World

RUN = FreeRun()
OTHERS_TAG = "others"


@pytest.fixture
def world(loop_mount: LoopMount) -> World:
    return World(loop_mount("zfs"))


@pytest.mark.system
def test_content_in_several_datasets_is_of_one_moment_and_no_other_is_snapped(world: World) -> None:
    one, two = world.child("one"), world.child("two")
    world.child("three")
    for place in (one, two):
        (place / "folder").mkdir()
        (place / "folder" / "file").write_text(place.name)
    single = world.take(1, two / "folder")
    assert world.snapshots() == [f"{world.dataset}/two@{single.name}"]
    both = world.take(2, one / "folder", two)
    created = {
        zfs("get", "-H", "-p", "-o", "value", "createtxg", f"{world.dataset}/{name}@{both.name}")
        for name in ("one", "two")
    }
    assert len(created) == 1
    with world.engine.open(both) as roots:
        assert [root.content_path for root in roots] == list(both.content)
        assert [(roots[0].directory / "file").read_text(), (roots[1].directory / "folder" / "file").read_text()] == [
            "one",
            "two",
        ]
    world.engine.delete(both)
    assert world.snapshots() == [f"{world.dataset}/two@{single.name}"]


@pytest.mark.system
def test_datasets_and_mounts_below_the_content_are_told(world: World) -> None:
    inner = world.child("inner")
    (world.mount / "mounted").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(world.mount / "mounted")], check=True)
    ref = world.take(1)
    assert len(ref.warnings) == 2
    assert f"“{inner}” is the dataset “{world.dataset}/inner” and is not in the snapshot" in ref.warnings[0]
    assert "another file system" in ref.warnings[1]
    assert world.engine.list() == [ref]


@pytest.mark.system
def test_a_snapshot_is_held_against_everybody_else_and_another_hold_is_respected(world: World) -> None:
    ref = world.take(1)
    whole = f"{world.dataset}@{ref.name}"
    assert "busy" in subprocess.run(["zfs", "destroy", whole], check=False, capture_output=True, text=True).stderr
    zfs("hold", OTHERS_TAG, whole)
    with pytest.raises(StorageBusy):
        world.engine.delete(ref)
    assert world.engine.exists(ref)
    zfs("release", OTHERS_TAG, whole)
    assert "busy" in subprocess.run(["zfs", "destroy", whole], check=False, capture_output=True, text=True).stderr, (
        "our own hold is back after a deletion that failed"
    )
    world.engine.delete(ref)
    assert world.snapshots() == []


@pytest.mark.system
def test_a_clone_to_read_through_cannot_be_written_to_and_goes_with_its_reader(world: World) -> None:
    (world.mount / "file").write_text("x")
    ref = world.take(1)
    with world.engine.open(ref) as (root,):
        assert (root.directory / "file").stat().st_ino == (world.mount / "file").stat().st_ino
        with pytest.raises(OSError, match="Read-only"):
            (root.directory / "file").write_text("y")
        with pytest.raises(InvalidOptions):
            world.engine.validate_content([str(root.directory)])
    assert not world.has_clones()
    assert os.listdir(world.area) == []


@pytest.mark.system
def test_what_a_killed_reader_left_is_taken_away(world: World) -> None:
    (world.mount / "file").write_text("x")
    ref = world.take(1)
    script = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from jobs.engine.snapshots.zfs.engine import ZfsEngine, ZfsOptions\n"
        f"engine = ZfsEngine(ZfsOptions(dataset={world.dataset!r}, area=Path({str(world.area)!r})), {INSTALL!r})\n"
        "with engine.open(engine.list()[0]):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([".venv/bin/python", "-c", script], check=False, cwd=Path(__file__).parents[2])
    assert world.has_clones()
    other = world.take(2)
    assert not world.has_clones()
    assert os.listdir(world.area) == []
    for one in (ref, other):
        world.engine.delete(one)


@pytest.mark.system
def test_a_clone_that_is_mounted_elsewhere_keeps_its_snapshot_until_it_is_not(world: World, tmp_path: Path) -> None:
    (world.mount / "file").write_text("x")
    ref = world.take(1)
    with world.engine.open(ref) as (root,):
        bind_read_only(root.directory, tmp_path / "shown")
    assert (tmp_path / "shown" / "file").read_text() == "x"
    with pytest.raises(StorageBusy):
        world.engine.delete(ref)
    release(tmp_path / "shown")
    world.engine.delete(ref)
    assert world.snapshots() == []
    assert not world.has_clones()


@pytest.mark.system
def test_a_whole_pool_can_be_the_dataset(world: World, tmp_path: Path) -> None:
    """A recursive snapshot then also takes the clones that are being read, and all of it goes again."""
    with another_pool(tmp_path) as pool:
        top = tmp_path / "pool"
        zfs("create", f"{pool}/below")
        (top / "file").write_text("x")
        (top / "below" / "file").write_text("y")
        engine = world.of(pool)
        (tmp_path / "link").symlink_to(top / "below")
        content = [str(tmp_path / "link"), str(top)]
        first = engine.create(named(1), content, RUN)
        with engine.open(first) as roots:
            assert [(root.directory / "file").read_text() for root in roots] == ["y", "x"]
            second = engine.create(named(2), content, RUN)
        for ref in (first, second):
            engine.delete(ref)
        assert "@" not in zfs("list", "-H", "-r", "-t", "snapshot", "-o", "name", pool)


@pytest.mark.system
def test_S6_a_whole_dataset_is_rolled_back_and_only_newer_snapshots_of_ours_are_lost(world: World) -> None:
    (world.mount / "file").write_text("before")
    refs = [world.take(number) for number in (1, 2, 3)]
    (world.mount / "file").write_text("after")
    (world.mount / "later").write_text("new")
    told = world.engine.plan_revert(refs[1], RUN, seconds=10)
    assert (told.is_exchanged, told.lost, told.removed) == (True, (refs[2].name,), 1)
    done = world.engine.revert(refs[1], RUN)
    assert (done.is_exchanged, done.lost) == (True, (refs[2].name,))
    assert [path.name for path in world.mount.iterdir()] == ["file"]
    assert (world.mount / "file").read_text() == "before"
    assert [ref.name for ref in world.engine.list()] == [refs[0].name, refs[1].name]


@pytest.mark.system
def test_O2_a_newer_snapshot_of_somebody_else_is_never_destroyed_by_a_revert(world: World) -> None:
    (world.mount / "file").write_text("before")
    ref = world.take(1)
    newer = world.take(2)
    zfs("snapshot", f"{world.dataset}@daily")
    (world.mount / "file").write_text("after")
    told = world.engine.plan_revert(ref, RUN, seconds=10)
    assert (told.is_exchanged, told.lost) == (False, ())
    assert "@daily” is newer and not ours" in told.warnings[0]
    assert not world.engine.revert(ref, RUN).is_exchanged
    assert (world.mount / "file").read_text() == "before"
    assert f"{world.dataset}@daily" in world.snapshots()
    assert world.engine.exists(newer)


@pytest.mark.system
def test_a_dataset_that_somebody_looks_at_is_reverted_file_by_file(world: World) -> None:
    (world.mount / "file").write_text("before")
    ref = world.take(1)
    newer = world.take(2)
    (world.mount / "file").write_text("after")
    with open(world.mount / "file", encoding="utf-8") as file:
        reader = subprocess.Popen(["sleep", "60"], stdin=file)
    try:
        assert not world.engine.revert(ref, RUN).lost
    finally:
        reader.kill()
        reader.wait()
    assert (world.mount / "file").read_text() == "before"
    assert world.engine.exists(newer)


@pytest.mark.system
def test_a_dataset_that_is_not_there_is_told_by_test(world: World) -> None:
    report = world.of(f"{world.dataset}/nowhere").test()
    assert [(step.name, step.ok) for step in report.steps] == [("storage", False)]
    assert "no dataset" in report.steps[0].detail


@pytest.mark.system
def test_the_working_directory_may_not_lie_in_the_dataset(world: World) -> None:
    engine = ZfsEngine(ZfsOptions(dataset=world.dataset, area=world.mount / "clones"), INSTALL)
    with pytest.raises(InvalidOptions, match="is inside the dataset") as refusal:
        engine.create(named(1), [str(world.mount)], RUN)
    assert refusal.value.field == "area"


@pytest.mark.system
def test_content_that_is_not_in_the_dataset_is_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(InvalidOptions, match="is not in the dataset") as refusal:
        world.engine.validate_content([str(tmp_path)])
    assert refusal.value.field == "content_paths"


@pytest.mark.parametrize("name", ["-r", "/tank/data", "tank/", "tank@daily", "tank//data", "tank/data ", "", "x" * 201])
def test_what_is_no_name_of_a_dataset_is_refused_before_it_reaches_a_command(name: str) -> None:
    with pytest.raises(InvalidOptions) as refusal:
        ZfsOptions(dataset=name)
    assert refusal.value.field == "dataset"


@pytest.fixture
def says(tmp_path: Path) -> Callable[..., Zfs]:
    """A fake zfs that says what its script says; the words are those of OpenZFS's and zfs-fuse's libzfs_util.c."""

    def make(script: str, *, seconds: float = 60) -> Zfs:
        program = tmp_path / "zfs"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return Zfs(seconds, SystemClock(), str(program))

    return make


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("cannot open 'tank/data': dataset does not exist", SourceMissing),
        ("cannot destroy 'tank/data@x': dataset is busy", StorageBusy),
        ("cannot destroy 'tank/data@x': snapshot has dependent clones", StorageBusy),
        ("cannot create snapshot 'tank/data@x': dataset already exists", StorageBusy),
        ("cannot create snapshot 'tank/data@x': out of space", NoSpace),
        ("cannot create 'tank/data': permission denied", InvalidOptions),
        ("internal error: failed to initialize ZFS library", SourceUnavailable),
        ("The ZFS modules are not loaded.", SourceUnavailable),
        ("unrecognized command 'hold'", EngineUnsupported),
        ("something never seen before", SourceUnavailable),
        ("", SourceUnavailable),
    ],
)
def test_what_zfs_complains_of_becomes_an_error_of_ours(
    says: Callable[..., Zfs], words: str, kind: type[EngineError]
) -> None:
    with pytest.raises(kind) as failure:
        says(f'echo "{words}" >&2; exit 1').clone("tank/data@x", "tank/y", RUN)
    assert type(failure.value) is kind


def test_a_command_that_hangs_is_given_up_after_the_time_limit(says: Callable[..., Zfs]) -> None:
    with pytest.raises(StorageBusy, match="did not end within"):
        says("sleep 60", seconds=0.3).exists("tank/data", RUN)


def test_a_clone_is_tried_again_however_long_the_first_try_took(says: Callable[..., Zfs], tmp_path: Path) -> None:
    tried = tmp_path / "tried"

    class Leaps(SystemClock):
        """The machine stops for a minute while the first try is told that the clone is busy."""

        def monotonic(self) -> float:
            return super().monotonic() + 60 * tried.exists()

    busy = "cannot destroy 'tank/clone': dataset is busy"
    zfs_once_busy = says(f'[ $1 != destroy ] || [ -e {tried} ] || {{ touch {tried}; echo "{busy}" >&2; exit 1; }}')
    ReadingRoom(tmp_path, INSTALL, zfs_once_busy, Leaps())._destroy_clone("tank/clone")
    assert tried.exists()


def test_a_node_without_zfs_is_told_what_to_install() -> None:
    with pytest.raises(EngineUnsupported) as refusal:
        Zfs(1, SystemClock(), "/nowhere/zfs").exists("tank/data", RUN)
    assert "zfsutils-linux" in refusal.value.hint
