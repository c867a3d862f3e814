"""Removing a directory tree of any depth, with any names, without recursion and without following a link."""

from __future__ import annotations

import os
import stat
from typing import Final

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: str) -> None:
    """Remove ``path`` and everything below it; a missing one is no error. Raises OSError.

    Every directory below is first moved up to ``path``, so a tree deeper than a path may be long is no difficulty,
    and a removal that was cut off can simply be repeated.
    """
    try:
        top = os.open(path, _DIRECTORY)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        os.unlink(path)
        return
    except PermissionError:
        os.chmod(path, 0o700)
        top = os.open(path, _DIRECTORY)
    try:
        _empty(top)
    finally:
        os.close(top)
    os.rmdir(path)


def _empty(top: int) -> None:
    os.fchmod(top, 0o700)
    moved = 0
    pending = _clear_files(top)
    while pending:
        name = pending.pop()
        child = _open_child(top, name)
        try:
            for below in _clear_files(child):
                _make_movable(child, below)
                moved = _free_number(top, moved)
                os.rename(below, f".{moved}", src_dir_fd=child, dst_dir_fd=top)
                pending.append(f".{moved}")
        finally:
            os.close(child)
        os.rmdir(name, dir_fd=top)


def _clear_files(directory: int) -> list[str]:
    """Unlink all but directories; their names."""
    below: list[str] = []
    with os.scandir(directory) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        if is_directory:
            below.append(name)
        else:
            os.unlink(name, dir_fd=directory)
    return below


def _open_child(top: int, name: str) -> int:
    _make_movable(top, name)
    return os.open(name, _DIRECTORY, dir_fd=top)


def _make_movable(parent: int, name: str) -> None:
    """An ordinary user may only change a directory whose mode lets him, even his own."""
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode) and status.st_mode & 0o700 != 0o700:
        os.chmod(name, 0o700, dir_fd=parent)


def _free_number(top: int, last: int) -> int:
    number = last + 1
    while True:
        try:
            os.stat(f".{number}", dir_fd=top, follow_symlinks=False)
        except FileNotFoundError:
            return number
        number += 1
