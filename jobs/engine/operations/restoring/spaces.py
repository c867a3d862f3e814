"""Bytes a restore would write, by file system, against what is free there. For the dry run."""

from __future__ import annotations

import os

from ...plan import Space


class Spaces:
    """Adds up. A file system is known by its device number, once a directory of it was seen."""

    def __init__(self) -> None:
        self._free: dict[int, int] = {}
        self._where: dict[int, bytes] = {}
        self._needed: dict[int, int] = {}

    def see(self, fd: int, path: bytes) -> int:
        """An open directory of the target, at ``path``; returns its device number. Raises OSError."""
        device = os.fstat(fd).st_dev
        if device not in self._free:
            status = os.fstatvfs(fd)
            self._free[device] = status.f_bavail * status.f_frsize
            self._where[device] = path
        return device

    def add(self, device: int, size: int) -> None:
        self._needed[device] = self._needed.get(device, 0) + size

    def found(self) -> tuple[Space, ...]:
        """Those that would be written to, the one with least to spare first."""
        spaces = [
            Space(
                where=self._where[device].decode("utf-8", "backslashreplace") or "/",
                needed_bytes=needed,
                free_bytes=self._free[device],
            )
            for device, needed in self._needed.items()
            if device in self._free
        ]
        return tuple(sorted(spaces, key=lambda space: space.free_bytes - space.needed_bytes))


def nearest_directory(target: bytes) -> bytes:
    """The target, or the nearest directory above it that exists: where it would be made."""
    path = target
    while path not in {b"/", b""} and not os.path.isdir(path):
        path = os.path.dirname(path)
    return path or b"/"
