"""What every engine that reverts must do, on real loop mounts (RULES S6, V4). Exchanging subvolumes: ``exchange``."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobs.engine.errors import InvalidOptions, SnapshotMissing, SourceMissing, StorageBusy
from jobs.engine.events import FreeRun
from jobs.engine.snapshots import entry_copy
from jobs.engine.snapshots.base import Capability, Change, Reverter, RevertPlan, SnapshotEngine, SnapshotRef
from jobs.engine.snapshots.file_copy import SourceReadError, open_source
from jobs.engine.snapshots.registry import ENGINES
from tests.loopmounts import LoopMount, unmount
from tests.odd_tree import build_odd_tree, describe_tree

from .snapshot_drivers import DRIVERS, INSTALL, Driver, Place, leave_this_second, named, place_of

pytestmark = pytest.mark.system

RUN = FreeRun()
OTHER_INODES = frozenset({"cephfs"})
"""ceph-fuse gives a file another number in each snapshot (CINO_MAKE), so that every file is written anew."""
CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(params=DRIVERS, ids=str)
def place(request: pytest.FixtureRequest, loop_mount: LoopMount) -> Place:
    driver: Driver = request.param
    return place_of(driver, loop_mount(driver.mount))


@pytest.fixture
def engine(place: Place) -> SnapshotEngine:
    return place.engine()


def take(engine: SnapshotEngine, n: int, *content: Path) -> SnapshotRef:
    return engine.create(named(n), [str(path) for path in content], RUN)


def plan(engine: SnapshotEngine, ref: SnapshotRef) -> RevertPlan:
    assert isinstance(engine, Reverter)
    return engine.plan_revert(ref, RUN, seconds=20)


def spoil(place: Place) -> None:
    leave_this_second(place)
    spoil_content(place.content)


def spoil_content(content: Path) -> None:
    """Everything that can happen to a tree: made, changed, deleted, moved, linked, of another type or owner."""
    (content / "new directory" / "below").mkdir(parents=True)
    (content / "new directory" / "below" / "file").write_text("came later")
    (content / "names" / "plain").unlink()
    (content / "names" / "~").write_text("changed")
    (content / "names" / "with space").rename(content / "moved")
    shutil.rmtree(content / "kinds")
    (content / "kinds").write_text("a file where a directory was")
    status = os.stat(content / "data" / "one byte")
    (content / "data" / "one byte").write_bytes(b"2")
    os.utime(content / "data" / "one byte", ns=(status.st_atime_ns, status.st_mtime_ns))
    (content / "data" / "empty").unlink()
    (content / "data" / "empty").mkdir()
    (content / "data" / "empty" / "inside").write_text("a directory where a file was")
    (content / "data" / "deeper" / "name 3").unlink()
    (content / "data" / "deeper" / "name 3").write_text("several names")
    (content / "data" / "deeper" / "name 4").unlink()
    os.link(content / "data" / "one byte", content / "data" / "deeper" / "name 4")
    subprocess.run(["setfacl", "-d", "-m", "u:77:rwx", str(content / "data")], check=True)
    os.setxattr(content / "data", "user.later", b"set afterwards")
    os.chown(content / "metadata" / "owned", 5, 5)
    (content / "metadata" / "sticky").chmod(0o700)
    (content / "metadata" / "closed" / "inside").write_text("other")
    content.chmod(0o711)


def test_what_an_engine_declares_is_what_it_does() -> None:
    for kind in ENGINES.values():
        assert issubclass(kind.build, Reverter) == (Capability.REVERT in kind.capabilities)  # type: ignore[arg-type]


def test_S6_a_revert_makes_the_live_tree_what_it_was_to_the_last_bit(place: Place, engine: SnapshotEngine) -> None:
    build_odd_tree(place.content)
    before = describe_tree(place.content)
    untouched = os.stat(place.content / "data" / "two mebibytes").st_ino
    ref = take(engine, 1, place.content)
    spoil(place)
    spoilt = describe_tree(place.content)
    told = plan(engine, ref)
    assert describe_tree(place.content) == spoilt, "a look changes nothing"
    assert told.is_counted
    assert not told.lost
    assert (Change.REMOVED, os.fsencode(place.content / "new directory" / "below" / "file")) in told.examples
    assert isinstance(engine, Reverter)
    done = engine.revert(ref, RUN)
    assert describe_tree(place.content) == before
    assert not done.failed, done
    assert (done.removed, done.created, done.replaced) == (told.removed, told.created, told.replaced)
    assert done.removed >= 6
    assert done.replaced >= 5
    if place.driver.mount not in OTHER_INODES:
        assert os.stat(place.content / "data" / "two mebibytes").st_ino == untouched, "what was right is left alone"
    assert [one.name for one in engine.list()] == [ref.name]


def test_a_tree_that_is_as_it_was_is_not_touched(place: Place, engine: SnapshotEngine) -> None:
    if place.driver.mount in OTHER_INODES:
        return
    build_odd_tree(place.content)
    ref = take(engine, 1, place.content)
    changed_at = os.stat(place.content / "data").st_ctime_ns
    told = plan(engine, ref)
    assert isinstance(engine, Reverter)
    done = engine.revert(ref, RUN)
    assert (told.created, told.replaced, told.removed) == (0, 0, 0) == (done.created, done.replaced, done.removed)
    assert os.stat(place.content / "data").st_ctime_ns == changed_at


def test_content_that_is_gone_comes_back_and_the_look_doubts_it(place: Place, engine: SnapshotEngine) -> None:
    (place.content / "deep").mkdir()
    (place.content / "deep" / "file").write_text("x")
    other = place.mount / "other"
    other.mkdir()
    (other / "file").write_text("kept")
    before = describe_tree(place.content)
    ref = take(engine, 1, place.content, other)
    shutil.rmtree(place.content)
    told = plan(engine, ref)
    assert told.created == 2
    assert any("empty or missing now" in warning for warning in told.warnings)
    assert isinstance(engine, Reverter)
    engine.revert(ref, RUN)
    assert describe_tree(place.content) == before
    assert (other / "file").read_text() == "kept"


def test_content_whose_place_is_gone_is_refused(place: Place, engine: SnapshotEngine) -> None:
    inner = place.content / "volume" / "data"
    inner.mkdir(parents=True)
    ref = take(engine, 1, inner)
    shutil.rmtree(place.content / "volume")
    assert isinstance(engine, Reverter)
    for action in (lambda: plan(engine, ref), lambda: engine.revert(ref, RUN)):
        with pytest.raises((SourceMissing, InvalidOptions)):
            action()
    assert not (place.content / "volume").exists()


def test_a_snapshot_that_is_gone_cannot_be_gone_back_to(place: Place, engine: SnapshotEngine) -> None:
    (place.content / "file").write_text("x")
    ref = take(engine, 1, place.content)
    engine.delete(ref)
    assert isinstance(engine, Reverter)
    with pytest.raises(SnapshotMissing):
        engine.revert(ref, RUN)
    assert (place.content / "file").read_text() == "x"


def test_live_data_that_is_being_written_is_not_reverted(place: Place, engine: SnapshotEngine) -> None:
    (place.content / "log").write_text("first\n")
    ref = take(engine, 1, place.content)
    assert isinstance(engine, Reverter)
    with written(place.content / "log") as pid:
        for action in (lambda: plan(engine, ref), lambda: engine.revert(ref, RUN)):
            with pytest.raises(StorageBusy, match=f"open for writing, by sleep \\(pid {pid}\\)") as refusal:
                action()
            assert refusal.value.hint
    engine.revert(ref, RUN)


@contextmanager
def written(path: Path, mode: str = "a") -> Iterator[int]:
    """Another process that holds a file open."""
    with open(path, mode) as file:
        process = subprocess.Popen(["sleep", "600"], stdout=file)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def test_mounts_in_the_live_tree_are_never_touched(place: Place, engine: SnapshotEngine) -> None:
    (place.content / "known").mkdir()
    (place.content / "file").write_text("x")
    ref = take(engine, 1, place.content)
    (place.content / "new" / "later").mkdir(parents=True)
    points = (place.content / "known", place.content / "new" / "later")
    for point in points:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(point)], check=True)
        (point / "foreign").write_text("not ours")
    try:
        assert isinstance(engine, Reverter)
        done = engine.revert(ref, RUN)
        assert [(point / "foreign").read_text() for point in points] == ["not ours"] * 2
        assert sum("another file system" in warning for warning in done.warnings) == 2
        assert not done.failed
    finally:
        for point in points:
            unmount(point)


def test_the_whole_volume_is_reverted_and_its_snapshots_stay(place: Place, engine: SnapshotEngine) -> None:
    if place.driver.engine == "directory":
        return  # its area is never inside its content
    build_odd_tree(place.content)
    before = describe_tree(place.content)
    refs = [take(engine, 1, place.mount), take(engine, 2, place.mount)]
    spoil(place)
    assert isinstance(engine, Reverter)
    lost = (refs[1].name,) if Capability.REVERT_DELETES_NEWER in engine.capabilities else ()
    assert plan(engine, refs[0]).lost == lost
    done = engine.revert(refs[0], RUN)
    assert not done.failed
    assert done.lost == lost
    assert describe_tree(place.content) == before
    assert sorted(one.name for one in engine.list()) == [ref.name for ref in refs if ref.name not in lost]
    assert not any(".snapcopy" in warning for warning in done.warnings)


KILLED_REVERT = """
import json, os, signal, sys
from jobs.engine.options import parse_options
from jobs.engine.plan import Secret
from jobs.engine.snapshots.registry import ENGINES

class Dies:
    left = int(sys.argv[2])

    def check(self):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)

engine, values, secrets, install, name = json.loads(sys.argv[1])
kind = ENGINES[engine]
secrets = {name: Secret(text) for name, text in secrets.items()}
built = kind.build(parse_options(kind.options, values, secrets), install)
(ref,) = [ref for ref in built.list() if ref.name == name]
built.revert(ref, Dies())
"""


def run_until_killed(place: Place, ref: SnapshotRef, looks: int) -> int:
    driver = place.driver
    arguments = json.dumps([driver.engine, driver.values(place.mount), dict(driver.secrets), INSTALL, ref.name])
    command = [sys.executable, "-c", KILLED_REVERT, arguments, str(looks)]
    return subprocess.run(command, check=False, cwd=CHECKOUT).returncode


def test_S6_a_revert_killed_on_the_spot_is_finished_by_doing_it_again(place: Place, engine: SnapshotEngine) -> None:
    build_odd_tree(place.content)
    before = describe_tree(place.content)
    ref = take(engine, 1, place.content)
    spoil(place)
    spoilt = describe_tree(place.content)
    for looks in (20, 50):
        assert run_until_killed(place, ref, looks) == -signal.SIGKILL
    assert describe_tree(place.content) not in (before, spoilt)
    assert isinstance(engine, Reverter)
    engine.revert(ref, RUN)
    assert describe_tree(place.content) == before


def test_what_the_snapshot_could_not_read_stays_as_it_is(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines that copy have an empty file in its place; that must never overwrite the live one."""
    if Capability.INSTANT in place.engine().capabilities:
        return
    (place.content / "secret").write_text("still here")
    (place.content / "file").write_text("x")

    def refuses(name: str | bytes, *, directory: int, flags: int = 0) -> int:
        if name == "secret":
            raise SourceReadError(13)
        return open_source(name, directory=directory, flags=flags)

    with monkeypatch.context() as patched:
        patched.setattr(entry_copy, "open_source", refuses)
        ref = take(place.engine(), 1, place.content)
    assert [failed.path for failed in ref.unread] == [os.fsencode(place.content / "secret")]
    (place.content / "file").write_text("other")
    engine = place.engine()
    assert isinstance(engine, Reverter)
    done = engine.revert(ref, RUN)
    assert (place.content / "secret").read_text() == "still here"
    assert (place.content / "file").read_text() == "x"
    assert any("could not be read when the snapshot was taken" in warning for warning in done.warnings)


def test_a_link_in_the_way_leads_nowhere(place: Place, engine: SnapshotEngine) -> None:
    (place.content / "folder").mkdir()
    (place.content / "folder" / "file").write_text("x")
    outside = place.mount / "outside"
    outside.mkdir()
    (outside / "file").write_text("not content")
    ref = take(engine, 1, place.content)
    shutil.rmtree(place.content / "folder")
    (place.content / "folder").symlink_to(outside)
    assert isinstance(engine, Reverter)
    engine.revert(ref, RUN)
    assert (place.content / "folder" / "file").read_text() == "x"
    assert not (place.content / "folder").is_symlink()
    assert (outside / "file").read_text() == "not content"


def test_a_look_ends_in_time(place: Place, engine: SnapshotEngine) -> None:
    for number in range(50):
        (place.content / str(number)).write_text("x")
    ref = take(engine, 1, place.content)
    shutil.rmtree(place.content)
    assert isinstance(engine, Reverter)
    told = engine.plan_revert(ref, RUN, seconds=-1)
    assert not told.is_counted
    assert told.created < 50


def test_a_full_file_is_cloned_back_where_blocks_are_shared(loop_mount: LoopMount) -> None:
    mount = loop_mount("xfs")
    driver = next(driver for driver in DRIVERS if driver.engine == "xfs")
    place = Place(driver=driver, mount=mount, content=mount / "content", area=mount / ".snapcopy")
    place.content.mkdir()
    (place.content / "large").write_bytes(os.urandom(1 << 20) * 24)
    engine = place.engine()
    ref = take(engine, 1, place.content)
    (place.content / "large").unlink()
    os.sync()
    free = os.statvfs(mount).f_bavail
    assert isinstance(engine, Reverter)
    engine.revert(ref, RUN)
    os.sync()
    taken = (free - os.statvfs(mount).f_bavail) * os.statvfs(mount).f_bsize
    assert (place.content / "large").stat().st_size == 24 << 20
    assert taken < 4 << 20
