"""Files written past the page cache hold exactly what was given, whether or not a file system takes it."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from jobs.engine.media.disk import DiskMedia, DiskOptions
from jobs.engine.media.disk_direct import DIRECT_FROM_BYTES, write_direct

LENGTHS = [1, 4095, 4096, 4097, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, (9 << 20) + 511]


def _write(path: Path, pieces: list[bytes | memoryview]) -> bytes:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        write_direct(fd, pieces)
        assert not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT
    finally:
        os.close(fd)
    return path.read_bytes()


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("place", ["disk", "memory"])
def test_every_length_is_written_whole(tmp_path: Path, length: int, place: str) -> None:
    directory = tmp_path if place == "disk" else Path("/dev/shm")
    content = os.urandom(length)
    path = directory / f"direct-{os.getpid()}-{length}"
    try:
        assert _write(path, [content[:7], memoryview(content)[7:], b""]) == content
    finally:
        path.unlink()


def test_many_small_pieces_are_one_file(tmp_path: Path) -> None:
    pieces: list[bytes | memoryview] = [os.urandom(size % 5000) for size in range(1500)]
    assert _write(tmp_path / "file", pieces) == b"".join(pieces)


def test_a_file_system_that_refuses_in_the_middle_is_written_as_usual(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, refused = os.write, []

    def write(fd: int, data: memoryview) -> int:
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT:
            refused.append(len(data))
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(fd, data[:100_000])

    monkeypatch.setattr(os, "write", write)
    content = os.urandom(5 << 20)
    assert _write(tmp_path / "file", [content]) == content
    assert len(refused) <= 1


def test_a_full_disk_is_still_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(_fd: int, _data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space"):
        _write(tmp_path / "file", [bytes(5 << 20)])


def test_large_files_of_the_disk_medium_come_back(tmp_path: Path) -> None:
    media = DiskMedia(DiskOptions(path=tmp_path / "medium", create_directory=True))
    content = os.urandom(DIRECT_FROM_BYTES + 12345)
    media.put("data/aa/file", [content[:70_000], content[70_000:]])
    assert media.get("data/aa/file") == content
