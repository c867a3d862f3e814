"""Faults of directories and mounts: killed writers, full, read-only, denied and vanished file systems."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.engine.errors import EngineError, FileMissing, MediaRefused, MediaUnavailable, NoSpace
from jobs.engine.media.disk import DiskMedia, DiskOptions
from jobs.engine.media.disk_errors import media_error
from jobs.engine.media.disk_leftovers import is_temporary, sweep_directory, temporary_name

PACK = "data/ab/" + "ab" * 32
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")

KILLED_BEFORE_RENAME = """
import os, signal, sys
from pathlib import Path
from jobs.engine.media.disk import DiskMedia, DiskOptions
os.rename = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
DiskMedia(DiskOptions(path=Path(sys.argv[1]))).put(sys.argv[2], [b"new" * 1000])
"""


def medium(path: Path, **options: object) -> DiskMedia:
    return DiskMedia(DiskOptions(path=path, **options))  # type: ignore[arg-type]


def files_below(path: Path) -> list[str]:
    return sorted(str(found.relative_to(path)) for found in path.rglob("*") if found.is_file())


@pytest.fixture
def small_mount(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    point = tmp_path / "small"
    point.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(point)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.decode().strip()}")
    yield point
    subprocess.run(["umount", str(point)], check=True)


def kill_before_rename(path: Path, name: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED_BEFORE_RENAME, str(path), name], check=False)
    assert done.returncode == -signal.SIGKILL


def test_a_writer_killed_before_the_rename_changes_nothing(tmp_path: Path) -> None:
    disk = medium(tmp_path)
    disk.put(PACK, [b"old"])
    kill_before_rename(tmp_path, PACK)
    assert len(files_below(tmp_path)) == 2
    assert list(disk.list("")) == [(PACK, 3)]
    assert disk.get(PACK) == b"old"


def test_what_a_killed_writer_left_goes_with_the_next_write_there(tmp_path: Path) -> None:
    kill_before_rename(tmp_path, PACK)
    medium(tmp_path).put(PACK, [b"again"])
    assert files_below(tmp_path) == [PACK]


def test_a_sweep_removes_leftovers_everywhere(tmp_path: Path) -> None:
    kill_before_rename(tmp_path, PACK)
    kill_before_rename(tmp_path, "index/" + "cd" * 32)
    assert medium(tmp_path).sweep() == 2
    assert files_below(tmp_path) == []


def test_a_living_writers_file_is_left_alone(tmp_path: Path) -> None:
    being_written = tmp_path / os.fsdecode(temporary_name(b"x"))
    being_written.touch()
    assert sweep_directory(os.fsencode(tmp_path)) == 0
    assert list(medium(tmp_path).list("")) == []
    os.utime(being_written, (0, 0))
    assert sweep_directory(os.fsencode(tmp_path)) == 1


def test_a_writer_of_another_machine_gets_a_day(tmp_path: Path) -> None:
    other = tmp_path / ".x.00000000-1-000000000000.tmp"
    other.touch()
    assert sweep_directory(os.fsencode(tmp_path)) == 0
    os.utime(other, (0, 0))
    assert sweep_directory(os.fsencode(tmp_path)) == 1


def test_temporary_files_of_stock_restic_are_hidden_and_kept(tmp_path: Path) -> None:
    foreign = tmp_path / ("ab" * 32 + "-tmp-123456")
    foreign.touch()
    assert is_temporary(os.fsencode(foreign.name))
    assert list(medium(tmp_path).list("")) == []
    assert medium(tmp_path).sweep() == 0


@needs_root
@pytest.mark.system
def test_a_full_file_system_is_no_space_and_leaves_no_rest(small_mount: Path) -> None:
    disk = medium(small_mount)
    disk.put("config", [b"kept"])
    with pytest.raises(NoSpace) as caught:
        disk.put(PACK, [os.urandom(2 * 2**20)])
    assert PACK in caught.value.sentence
    assert files_below(small_mount) == ["config"]
    disk.put(PACK, [b"small enough"])


@needs_root
@pytest.mark.system
def test_the_space_to_keep_free_is_kept(small_mount: Path) -> None:
    disk = medium(small_mount, min_free_bytes=600_000)
    disk.put("config", [b"x" * 100_000])
    with pytest.raises(NoSpace):
        disk.put(PACK, [b"x" * 500_000])


@needs_root
@pytest.mark.system
def test_a_read_only_file_system_is_refused_and_still_readable(small_mount: Path) -> None:
    disk = medium(small_mount)
    disk.put("config", [b"kept"])
    subprocess.run(["mount", "-o", "remount,ro", str(small_mount)], check=True)
    with pytest.raises(MediaRefused, match="read-only"):
        disk.put(PACK, [b"x"])
    with pytest.raises(MediaRefused):
        disk.delete("config")
    assert disk.get("config") == b"kept"
    report = disk.test()
    assert [(step.name, step.ok) for step in report.steps] == [("reach", True), ("write", False), ("free space", True)]
    assert report.steps[1].hint


@needs_root
@pytest.mark.system
def test_a_mount_that_goes_away_is_unavailable_and_nothing_is_written_below_it(small_mount: Path) -> None:
    disk = medium(small_mount, must_be_mountpoint=True)
    disk.put("config", [b"kept"])
    subprocess.run(["umount", str(small_mount)], check=True)
    try:
        with pytest.raises(MediaUnavailable, match="mounted"):
            disk.put(PACK, [b"x"])
        lenient = medium(small_mount)
        lenient.put("config", [b"on the disk below"])
        assert files_below(small_mount) == ["config"]
    finally:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small_mount)], check=True)
    with pytest.raises(MediaUnavailable, match="Another directory"):
        lenient.put(PACK, [b"x"])


def test_a_plain_directory_is_not_a_mount_point(tmp_path: Path) -> None:
    with pytest.raises(MediaUnavailable) as caught:
        medium(tmp_path, must_be_mountpoint=True).put("config", [b"x"])
    assert "Mount it" in caught.value.hint


def test_a_missing_root_is_unavailable_and_never_made(tmp_path: Path) -> None:
    disk = medium(tmp_path / "gone")
    for call in (disk.get, disk.size, disk.exists, disk.delete):
        with pytest.raises(MediaUnavailable):
            call("config")
    with pytest.raises(MediaUnavailable):
        disk.put("config", [b"x"])
    with pytest.raises(MediaUnavailable):
        list(disk.list(""))
    report = disk.test()
    assert not report.ok
    assert [step.name for step in report.steps] == ["reach"]
    assert not (tmp_path / "gone").exists()


def test_a_root_is_made_only_when_the_options_say_so(tmp_path: Path) -> None:
    disk = medium(tmp_path / "new" / "place", create_directory=True)
    assert disk.test().ok
    assert (tmp_path / "new" / "place").stat().st_mode & 0o777 == 0o700


def test_a_root_that_disappears_later_is_not_made_again(tmp_path: Path) -> None:
    disk = medium(tmp_path / "place", create_directory=True)
    disk.put("config", [b"x"])
    (tmp_path / "place").rename(tmp_path / "elsewhere")
    with pytest.raises(MediaUnavailable):
        disk.put(PACK, [b"x"])
    assert not (tmp_path / "place").exists()


def test_a_root_that_is_a_file_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MediaUnavailable):
        medium(tmp_path / "file").put("config", [b"x"])


def test_a_directory_in_the_place_of_a_file_is_an_error_of_the_tree(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    with pytest.raises(EngineError):
        medium(tmp_path).put("config", [b"x"])
    with pytest.raises(EngineError):
        medium(tmp_path).get("config")
    assert files_below(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, NoSpace),
        (errno.EDQUOT, NoSpace),
        (errno.EFBIG, NoSpace),
        (errno.EACCES, MediaRefused),
        (errno.EPERM, MediaRefused),
        (errno.EROFS, MediaRefused),
        (errno.EIO, MediaUnavailable),
        (errno.ESTALE, MediaUnavailable),
        (errno.ETIMEDOUT, MediaUnavailable),
        (errno.EHOSTDOWN, MediaUnavailable),
        (errno.ENOENT, FileMissing),
    ],
)
def test_each_errno_has_its_place_in_the_tree(tmp_path: Path, number: int, kind: type[EngineError]) -> None:
    error = media_error(OSError(number, "x"), action="read", name="config", root=os.fsencode(tmp_path), medium="disk")
    assert type(error) is kind
    assert "config" in error.sentence


def test_an_unsynced_medium_stores_the_same(tmp_path: Path) -> None:
    disk = medium(tmp_path, fsync=False)
    disk.put(PACK, [b"x"])
    disk.delete(PACK)
    assert files_below(tmp_path) == []


def test_every_file_and_its_folders_are_synced_before_put_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def record(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}").removeprefix(str(tmp_path)).split(".")[0])
        real(fd)

    monkeypatch.setattr(os, "fsync", record)
    medium(tmp_path).put(PACK, [b"x"])
    assert synced == ["", "/data", "/data/ab/", "/data/ab"]
