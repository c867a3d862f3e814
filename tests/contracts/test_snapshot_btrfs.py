"""What only btrfs must do: read-only snapshots, what is nested, rights of ordinary users, faults of btrfs-progs."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.errors import (
    EngineError,
    EngineUnsupported,
    InvalidOptions,
    Killed,
    NoSpace,
    SnapshotNotOurs,
    SourceUnavailable,
    StorageBusy,
)
from jobs.engine.events import FreeRun
from jobs.engine.snapshots.btrfs.engine import BtrfsEngine, BtrfsOptions
from jobs.engine.snapshots.btrfs.ioctl import nested_subvolumes, subvolume_info
from jobs.engine.snapshots.btrfs.progs import BtrfsProgs
from tests.loopmounts import LoopMount

from .snapshot_drivers import INSTALL, named
from .test_snapshot_copying import open_folder

__all__ = ["open_folder"]

RUN = FreeRun()
CHECKOUT = Path(__file__).parents[2]


def btrfs(*arguments: str | Path) -> None:
    subprocess.run(["btrfs", *map(str, arguments)], check=True, capture_output=True)


def make(volume: Path) -> BtrfsEngine:
    return BtrfsEngine(BtrfsOptions(volume=volume), INSTALL)


@pytest.mark.system
def test_a_snapshot_is_a_read_only_subvolume_of_that_name(btrfs_mount: Path) -> None:
    (btrfs_mount / "file").write_text("x")
    engine = make(btrfs_mount)
    ref = engine.create(named(1), [str(btrfs_mount)], RUN)
    listed = subprocess.run(
        ["btrfs", "subvolume", "list", "-r", str(btrfs_mount)], check=True, capture_output=True, text=True
    )
    assert listed.stdout.rstrip().endswith(f".snapcopy/{ref.name}")
    with engine.open(ref) as (root,), pytest.raises(OSError, match="Read-only") as refusal:
        (root.directory / "file").write_text("y")
    assert refusal.value.errno == errno.EROFS


@pytest.mark.system
def test_nested_subvolumes_and_mounts_are_told_and_the_area_is_not(btrfs_mount: Path) -> None:
    (btrfs_mount / "data" / "deep").mkdir(parents=True)
    (btrfs_mount / "other").mkdir()
    btrfs("subvolume", "create", btrfs_mount / "data" / "deep" / "nested ✓")
    btrfs("subvolume", "create", btrfs_mount / "other" / "beside")
    (btrfs_mount / "data" / "mounted").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(btrfs_mount / "data" / "mounted")], check=True)
    engine = make(btrfs_mount)
    narrow = engine.create(named(1), [str(btrfs_mount / "data")], RUN)
    assert len(narrow.warnings) == 2
    assert "data/deep/nested ✓” is a subvolume of its own" in narrow.warnings[0]
    assert "data/mounted” is another file system" in narrow.warnings[1]
    wide = engine.create(named(2), [str(btrfs_mount)], RUN)
    assert len(wide.warnings) == 3
    assert not any(".snapcopy" in warning for warning in wide.warnings)


@pytest.mark.system
def test_many_nested_subvolumes_are_all_found(btrfs_mount: Path) -> None:
    names = [f"nested {number}" for number in range(300)]
    for name in names:
        btrfs("subvolume", "create", btrfs_mount / name)
    fd = os.open(btrfs_mount, os.O_RDONLY)
    try:
        assert nested_subvolumes(fd) == sorted(names)
    finally:
        os.close(fd)


@pytest.mark.system
def test_content_of_a_nested_subvolume_is_refused_with_the_remedy(btrfs_mount: Path) -> None:
    btrfs("subvolume", "create", btrfs_mount / "nested")
    with pytest.raises(InvalidOptions, match="another subvolume") as refusal:
        make(btrfs_mount).validate_content([str(btrfs_mount / "nested")])
    assert refusal.value.field == "content_paths"
    make(btrfs_mount / "nested").validate_content([str(btrfs_mount / "nested")])


@pytest.mark.system
def test_content_outside_the_volume_is_refused(btrfs_mount: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidOptions, match="is not inside the volume"):
        make(btrfs_mount).validate_content([str(tmp_path)])


@pytest.mark.system
def test_a_plain_directory_is_no_volume(btrfs_mount: Path) -> None:
    (btrfs_mount / "plain").mkdir()
    with pytest.raises(InvalidOptions, match="not the top of a btrfs subvolume") as refusal:
        make(btrfs_mount / "plain").create(named(1), [str(btrfs_mount / "plain")], RUN)
    assert refusal.value.field == "volume"


@pytest.mark.system
def test_another_file_system_is_not_taken_for_btrfs(ext4_mount: Path) -> None:
    with pytest.raises(EngineUnsupported, match="is not on btrfs"):
        make(ext4_mount).create(named(1), [str(ext4_mount)], RUN)
    report = make(ext4_mount).test()
    assert [(step.name, step.ok) for step in report.steps] == [("storage", False)]
    assert report.steps[0].hint


@pytest.mark.system
def test_a_failed_test_with_a_wrong_area_leaves_no_directory(loop_mount: LoopMount, tmp_path: Path) -> None:
    volume = loop_mount("btrfs")
    area = tmp_path / "not" / "here" / "area"
    report = BtrfsEngine(BtrfsOptions(volume=volume, area=area), INSTALL).test()
    assert not report.ok
    assert not (tmp_path / "not").exists()


@pytest.mark.system
def test_the_area_must_be_on_the_same_btrfs(loop_mount: LoopMount) -> None:
    one, two = loop_mount("btrfs"), loop_mount("btrfs")
    engine = BtrfsEngine(BtrfsOptions(volume=one, area=two / "area"), INSTALL)
    with pytest.raises(InvalidOptions, match="not on the same btrfs") as refusal:
        engine.create(named(1), [str(one)], RUN)
    assert refusal.value.field == "area"


@pytest.mark.system
def test_a_plain_directory_of_our_name_is_never_removed(btrfs_mount: Path) -> None:
    engine = make(btrfs_mount)
    ref = engine.create(named(1), [str(btrfs_mount)], RUN)
    engine.delete(ref)
    (btrfs_mount / ".snapcopy" / ref.name / "somebody's").mkdir(parents=True)
    assert engine.list() == []
    with pytest.raises(SnapshotNotOurs):
        engine.delete(ref)
    assert (btrfs_mount / ".snapcopy" / ref.name / "somebody's").is_dir()


@pytest.mark.system
def test_a_snapshot_that_was_never_described_is_listed_and_can_be_deleted(btrfs_mount: Path) -> None:
    engine = make(btrfs_mount)
    ref = engine.create(named(1), [str(btrfs_mount)], RUN)
    (btrfs_mount / ".snapcopy" / f"{ref.name}.json").unlink()
    (found,) = engine.list()
    assert found.name == ref.name
    assert "before it could describe it" in found.warnings[0]
    with engine.open(found) as (root,):
        assert root.content_path == str(btrfs_mount)
    engine.delete(found)
    assert os.listdir(btrfs_mount / ".snapcopy") == []


@pytest.mark.system
def test_a_description_without_its_snapshot_is_swept(btrfs_mount: Path) -> None:
    engine = make(btrfs_mount)
    ref = engine.create(named(1), [str(btrfs_mount)], RUN)
    btrfs("subvolume", "delete", btrfs_mount / ".snapcopy" / ref.name)
    assert engine.list() == []
    engine.create(named(2), [str(btrfs_mount)], RUN)
    assert sorted(os.listdir(btrfs_mount / ".snapcopy")) == [named(2), f"{named(2)}.json"]


@pytest.mark.system
def test_a_snapshot_knows_the_subvolume_it_came_from(btrfs_mount: Path) -> None:
    engine = make(btrfs_mount)
    ref = engine.create(named(1), [str(btrfs_mount)], RUN)
    with engine.open(ref) as (root,):
        live, snapshot = (os.open(path, os.O_RDONLY) for path in (btrfs_mount, root.directory))
        try:
            assert subvolume_info(snapshot).parent == subvolume_info(live).identity
            assert subvolume_info(snapshot).is_read_only
            assert not subvolume_info(live).is_read_only
        finally:
            os.close(live)
            os.close(snapshot)


AS_NOBODY = """
import json, os, pwd, sys
from pathlib import Path
from jobs.engine.snapshots.btrfs.engine import BtrfsEngine, BtrfsOptions
os.setgroups([])
os.setgid(pwd.getpwnam("nobody").pw_gid)
os.setuid(pwd.getpwnam("nobody").pw_uid)
report = BtrfsEngine(BtrfsOptions(volume=Path(sys.argv[1])), sys.argv[2]).test()
print(json.dumps([[step.name, step.ok, step.detail, step.hint] for step in report.steps]))
"""


def probe_as_nobody(volume: Path) -> list[tuple[str, bool, str, str]]:
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(volume), INSTALL],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [tuple(step) for step in json.loads(done.stdout)]


@pytest.mark.system
@pytest.mark.parametrize("options", ["", "user_subvol_rm_allowed"])
def test_an_ordinary_user_is_told_what_he_lacks(open_folder: Path, options: str) -> None:
    from tests.loopmounts import CannotMount, mounted

    try:
        with mounted("btrfs", open_folder / "loop", options=options) as mount:
            (open_folder / "loop").chmod(0o755)
            btrfs("subvolume", "create", mount / "home")
            shutil.chown(mount / "home", "nobody", "nogroup")
            own = probe_as_nobody(mount / "home")
            foreign = probe_as_nobody(mount)
    except CannotMount as reason:
        pytest.skip(str(reason))
    failed = [step for step in own if not step[1]]
    if options:
        assert failed == []
    else:
        assert [step[0] for step in failed] == ["storage"]
        assert "user_subvol_rm_allowed" in failed[0][3]
    assert [step[0] for step in foreign if not step[1]] == ["area" if options else "storage"]


@pytest.fixture
def fake_btrfs(tmp_path: Path) -> Path:
    return tmp_path / "btrfs"


def says(program: Path, script: str, *, seconds: float = 60) -> BtrfsProgs:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return BtrfsProgs(seconds, SystemClock(), str(program))


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("ERROR: cannot snapshot '/x': No space left on device", NoSpace),
        ("ERROR: cannot snapshot '/x': Operation not permitted", InvalidOptions),
        ("ERROR: Could not destroy subvolume/snapshot: Permission denied", InvalidOptions),
        ("ERROR: cannot create subvolume: Device or resource busy", StorageBusy),
        ("ERROR: Not a Btrfs filesystem: Invalid argument", EngineUnsupported),
        ("ERROR: something never seen before", SourceUnavailable),
        ("", SourceUnavailable),
    ],
)
def test_what_btrfs_progs_complain_of_becomes_an_error_of_ours(
    fake_btrfs: Path, words: str, kind: type[EngineError]
) -> None:
    progs = says(fake_btrfs, f'echo "{words}" >&2; exit 1')
    with pytest.raises(kind) as failure:
        progs.snapshot("/volume", "/area/name", RUN)
    assert "btrfs subvolume snapshot" in failure.value.sentence
    assert words.removeprefix("ERROR: ") in failure.value.sentence


def test_a_child_that_hangs_is_given_up_after_the_time_limit(fake_btrfs: Path) -> None:
    progs = says(fake_btrfs, "exec sleep 60", seconds=0.3)
    with pytest.raises(StorageBusy, match="did not end within"):
        progs.delete("/area/name", RUN)


def test_a_child_ends_when_the_job_is_killed(fake_btrfs: Path) -> None:
    class Kills:
        def check(self) -> None:
            raise Killed("The job was killed.")

    with pytest.raises(Killed):
        says(fake_btrfs, "exec sleep 60").delete("/area/name", Kills())


def test_a_node_without_btrfs_progs_is_told_what_to_install() -> None:
    with pytest.raises(EngineUnsupported) as refusal:
        BtrfsProgs(1, SystemClock(), "/nowhere/btrfs").version(RUN)
    assert "btrfs-progs" in refusal.value.hint
