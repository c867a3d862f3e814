"""What only the engines that copy files must do: faults of the source and the area, and the table of origins."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jobs.engine.errors import EngineUnsupported, InvalidOptions, NoSpace, SnapshotMissing
from jobs.engine.events import FreeRun
from jobs.engine.snapshots.area import SnapshotArea
from jobs.engine.snapshots.directory import DirectoryEngine, DirectoryOptions
from jobs.engine.snapshots.file_copy import Cloner, SourceReadError
from jobs.engine.snapshots.origins import Origins
from jobs.engine.snapshots.tree_remove import remove_tree
from jobs.engine.snapshots.xfs import XfsEngine, XfsOptions
from tests.loopmounts import LoopMount, unmount
from tests.odd_tree import build_odd_tree, describe_tree

from .snapshot_drivers import INSTALL, named

RUN = FreeRun()
CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def content(tmp_path: Path) -> Path:
    path = tmp_path / "content"
    path.mkdir()
    return path


@pytest.fixture
def engine(tmp_path: Path) -> DirectoryEngine:
    return DirectoryEngine(DirectoryOptions(area=tmp_path / "area"), INSTALL)


def origins_of(engine: DirectoryEngine | XfsEngine, n: int, content: Path) -> tuple[Origins, Path]:
    ref = engine.create(named(n), [str(content)], RUN)
    with engine.open(ref) as (root,):
        assert root.origins is not None
        return Origins(root.origins), root.directory


def test_the_origins_of_an_unchanged_file_are_the_same_in_every_snapshot(
    engine: DirectoryEngine, content: Path
) -> None:
    (content / "folder").mkdir()
    (content / "folder" / "file").write_text("x")
    (content / "link").symlink_to("nowhere")
    for n in (1, 2):
        origins, directory = origins_of(engine, n, content)
        for path in ("", "folder", "folder/file", "link"):
            status = os.lstat(content / path)
            origin = origins.find(os.lstat(directory / path).st_ino)
            assert origin is not None
            assert (origin.inode, origin.ctime_ns, origin.mode) == (status.st_ino, status.st_ctime_ns, status.st_mode)
            assert (origin.uid, origin.gid, origin.error) == (status.st_uid, status.st_gid, 0)
        assert len(origins) == 4


def test_an_inode_that_is_not_in_the_snapshot_has_no_origin(engine: DirectoryEngine, content: Path) -> None:
    origins, directory = origins_of(engine, 1, content)
    known = os.stat(directory).st_ino
    assert origins.find(known) is not None
    assert origins.find(known + 1) is None
    assert origins.find(0) is None
    assert origins.find(2**63) is None


@pytest.mark.parametrize("damage", [b"", b"not numpy", None])
def test_a_damaged_table_of_origins_is_never_trusted(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "origins.npy"
    if damage is not None:
        path.write_bytes(damage)
    with pytest.raises(SnapshotMissing):
        Origins(path)
    path.unlink(missing_ok=True)
    np.save(path, np.zeros(3, dtype="<u8"))
    with pytest.raises(SnapshotMissing):
        Origins(path)


def test_a_file_that_changes_while_it_is_copied_is_a_warning(
    engine: DirectoryEngine, content: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (content / "busy").write_text("before")
    (content / "calm").write_text("calm")
    transfer = Cloner.transfer

    def disturbed(self: Cloner, source: int, target: int, status: os.stat_result) -> int:
        if os.readlink(f"/proc/self/fd/{source}").endswith("busy"):
            (content / "busy").write_text("while it is copied")
        return transfer(self, source, target, status)

    monkeypatch.setattr(Cloner, "transfer", disturbed)
    ref = engine.create(named(1), [str(content)], RUN)
    assert len(ref.warnings) == 1
    assert "busy” changed while it was copied" in ref.warnings[0]
    assert engine.list()[0].warnings == ref.warnings


def test_a_file_that_cannot_be_read_stays_visible_as_an_error(
    engine: DirectoryEngine, content: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (content / "bad sector").write_text("half of it is copied")
    (content / "good").write_text("good")
    preadv = os.preadv

    def failing(fd: int, buffers: list[memoryview], offset: int) -> int:
        if os.readlink(f"/proc/self/fd/{fd}").endswith("bad sector"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return preadv(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", failing)
    monkeypatch.setattr(Cloner, "_clone", lambda *_arguments: False)
    ref = engine.create(named(1), [str(content)], RUN)
    assert len(ref.warnings) == 1
    assert "bad sector” could not be read: input/output error" in ref.warnings[0]
    with engine.open(ref) as (root,):
        assert root.origins is not None
        origins = Origins(root.origins)
        status = os.stat(root.directory / "bad sector")
        assert (status.st_size, stat.S_IMODE(status.st_mode)) == (0, 0)
        origin = origins.find(status.st_ino)
        assert origin is not None
        assert (origin.error, origin.mode) == (errno.EIO, os.stat(content / "bad sector").st_mode)
        assert (root.directory / "good").read_text() == "good"


def test_a_file_locked_by_its_writer_is_an_error_even_for_root(engine: DirectoryEngine, content: Path) -> None:
    """A write lease keeps everybody from opening a file at once, whoever asks."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    path = content / "leased"
    path.write_text("x")
    with open(path, "r+") as holder:
        fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        ref = engine.create(named(1), [str(content)], RUN)
    signal.signal(signal.SIGIO, before)
    assert "leased” could not be read" in ref.warnings[0]


def test_warnings_are_bounded(engine: DirectoryEngine, content: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(250):
        (content / f"file {number}").write_text("x")

    def vanishing(name: str, *, directory: int, flags: int = 0) -> int:
        raise SourceReadError(errno.ENOENT)

    monkeypatch.setattr("jobs.engine.snapshots.entry_copy.open_source", vanishing)
    ref = engine.create(named(1), [str(content)], RUN)
    assert len(ref.warnings) == 101
    assert ref.warnings[-1] == "There were 150 more warnings."
    with engine.open(ref) as (root,):
        assert os.listdir(root.directory) == []


@pytest.mark.system
def test_a_full_area_is_told_and_left_empty(loop_mount: LoopMount, content: Path) -> None:
    small = loop_mount("ext4", size_bytes=8 * 2**20)
    (content / "large").write_bytes(os.urandom(16 * 2**20))
    engine = DirectoryEngine(DirectoryOptions(area=small / "area"), INSTALL)
    with pytest.raises(NoSpace):
        engine.create(named(1), [str(content)], RUN)
    assert os.listdir(small / "area") == []


@pytest.mark.system
def test_other_file_systems_below_are_left_out_unless_asked_for(
    loop_mount: LoopMount, engine: DirectoryEngine, content: Path, tmp_path: Path
) -> None:
    (content / "mounted").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(content / "mounted")], check=True)
    try:
        (content / "mounted" / "file").write_text("x")
        ref = engine.create(named(1), [str(content)], RUN)
        with engine.open(ref) as (root,):
            assert os.listdir(root.directory / "mounted") == []
        assert "is the root of another file system" in ref.warnings[0]
        crossing = DirectoryEngine(DirectoryOptions(area=tmp_path / "area", cross_file_systems=True), INSTALL)
        ref = crossing.create(named(2), [str(content)], RUN)
        with crossing.open(ref) as (root,):
            assert os.listdir(root.directory / "mounted") == ["file"]
        assert ref.warnings == ()
    finally:
        unmount(content / "mounted")


@pytest.mark.parametrize("where", ["area in content", "content in area"])
def test_content_and_area_may_not_hold_each_other(tmp_path: Path, where: str) -> None:
    outer, inner = tmp_path / "outer", tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    area, content = (inner, outer) if where == "area in content" else (outer, inner)
    engine = DirectoryEngine(DirectoryOptions(area=area), INSTALL)
    with pytest.raises(InvalidOptions) as refusal:
        engine.validate_content([str(content)])
    assert refusal.value.field == "content_paths"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that an ordinary user reaches; pytest's own are closed to him."""
    folder = Path(tempfile.mkdtemp(prefix="sc-open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


AS_NOBODY = """
import json, mmap, os, pwd, sys
from pathlib import Path
from jobs.engine.events import FreeRun
from jobs.engine.snapshots.directory import DirectoryEngine, DirectoryOptions
from jobs.engine.snapshots.origins import Origins
os.setgroups([])
os.setgid(pwd.getpwnam("nobody").pw_gid)
os.setuid(pwd.getpwnam("nobody").pw_uid)
area, install, name, content = json.loads(sys.argv[1])
engine = DirectoryEngine(DirectoryOptions(area=Path(area)), install)
ref = engine.create(name, [content], FreeRun())
with engine.open(ref) as (root,):
    origins = Origins(root.origins)
    found = {}
    for path in root.directory.rglob("*"):
        origin = origins.find(path.lstat().st_ino)
        found[str(path.relative_to(root.directory))] = [origin.mode, origin.uid, origin.gid, origin.error]
engine.delete(ref)
print(json.dumps({"warnings": ref.warnings, "found": found, "left": [ref.name for ref in engine.list()]}))
"""


@pytest.mark.system
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become an ordinary user")
def test_an_ordinary_user_snaps_what_he_can_read_and_sees_what_he_cannot(open_folder: Path) -> None:
    content, area = open_folder / "content", open_folder / "area"
    content.mkdir()
    area.mkdir()
    shutil.chown(area, "nobody", "nogroup")
    (content / "foreign but readable").write_text("x")
    (content / "secret").write_text("x")
    (content / "secret").chmod(0o600)
    (content / "closed").mkdir(0o700)
    (content / "closed" / "inside").write_text("x")
    os.mknod(content / "device", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    arguments = json.dumps([str(area), INSTALL, named(1), str(content)])
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, arguments],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    expected = {
        "foreign but readable": 0,
        "secret": errno.EACCES,
        "closed": errno.EACCES,
        "device": errno.EPERM,
    }
    assert {name: row[3] for name, row in told["found"].items()} == expected
    for name in expected:
        status = os.lstat(content / name)
        assert told["found"][name][:3] == [status.st_mode, status.st_uid, status.st_gid]
    assert len([warning for warning in told["warnings"] if "could not be read" in warning]) == 3
    assert told["left"] == []


def test_leftovers_of_a_killed_job_are_swept_but_not_those_of_a_living_one(tmp_path: Path) -> None:
    area = SnapshotArea(tmp_path / "area", INSTALL)
    area.prepare()
    (area.path / f".{named(1)}.new" / "half").mkdir(parents=True)
    (area.path / f".{named(2)}.old" / "half").mkdir(parents=True)
    with area.staged(named(3)) as staging:
        assert {entry.name for entry in area.path.iterdir()} == {staging.name}
        assert SnapshotArea(tmp_path / "area", INSTALL).sweep() == 0
        assert staging.exists()
        assert area.names() == []
    assert area.names() == [named(3)]


@pytest.mark.skipif(os.geteuid() != 0, reason="the odd tree needs root")
def test_a_tree_of_any_shape_is_removed_whole(tmp_path: Path) -> None:
    victim, bystander = tmp_path / "victim", tmp_path / "bystander"
    victim.mkdir()
    bystander.mkdir()
    build_odd_tree(victim)
    (victim / ".1").mkdir()
    (victim / ".2").write_text("in the way of a number")
    build_odd_tree(bystander)
    (victim / "link out").symlink_to(bystander)
    before = describe_tree(bystander)
    remove_tree(str(victim))
    remove_tree(str(victim))
    assert not victim.exists()
    assert describe_tree(bystander) == before


@pytest.mark.system
def test_xfs_without_reflink_is_refused_with_the_remedy(xfs_without_reflink: Path) -> None:
    (xfs_without_reflink / "content").mkdir()
    engine = XfsEngine(XfsOptions(volume=xfs_without_reflink), INSTALL)
    with pytest.raises(EngineUnsupported) as refusal:
        engine.validate_content([str(xfs_without_reflink / "content")])
    assert "reflink=1" in refusal.value.hint
    report = engine.test()
    assert [step.name for step in report.steps if not step.ok] == ["storage"]


@pytest.mark.system
def test_another_file_system_is_not_taken_for_xfs(ext4_mount: Path) -> None:
    engine = XfsEngine(XfsOptions(volume=ext4_mount), INSTALL)
    with pytest.raises(EngineUnsupported, match="is ext4, not XFS"):
        engine.create(named(1), [str(ext4_mount)], RUN)


@pytest.mark.system
def test_xfs_content_and_area_must_be_on_the_volume(xfs_mount: Path, tmp_path: Path) -> None:
    engine = XfsEngine(XfsOptions(volume=xfs_mount), INSTALL)
    with pytest.raises(InvalidOptions, match="is not on the volume") as refusal:
        engine.validate_content([str(tmp_path)])
    assert refusal.value.field == "content_paths"
    engine = XfsEngine(XfsOptions(volume=xfs_mount, area=tmp_path / "area"), INSTALL)
    with pytest.raises(InvalidOptions) as refusal:
        engine.validate_content([str(xfs_mount)])
    assert refusal.value.field == "area"


@pytest.mark.system
def test_an_xfs_snapshot_shares_its_blocks(xfs_mount: Path) -> None:
    content = xfs_mount / "content"
    content.mkdir()
    (content / "large").write_bytes(os.urandom(64 * 2**20))
    os.sync()
    before = shutil.disk_usage(xfs_mount).free
    engine = XfsEngine(XfsOptions(volume=xfs_mount), INSTALL)
    ref = engine.create(named(1), [str(content)], RUN)
    assert before - shutil.disk_usage(xfs_mount).free < 4 * 2**20
    assert ref.exclusive_bytes == 0
