"""Which processes have something open below a directory, as far as this process may see others (proc(5))."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from .content import is_inside

_DELETED: Final = " (deleted)"
_NAMED: Final = 3
"""So many processes a sentence names; the rest is a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFile:
    """``path`` as the process has it; its working directory counts, too. ``is_written``: it may write to it."""

    pid: int
    command: str
    path: str
    is_written: bool


def open_below(folders: Sequence[str]) -> Iterator[OpenFile]:
    """What other processes have open at or below these directories (real paths); quick, and never raises."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            yield from _of_process(int(entry), folders)


def processes(found: Sequence[OpenFile]) -> str:
    """“postgres (pid 12), bash (pid 99) and 3 more”."""
    named = list(dict.fromkeys(f"{one.command} (pid {one.pid})" for one in found))
    more = len(named) - _NAMED
    return ", ".join(named[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _of_process(pid: int, folders: Sequence[str]) -> Iterator[OpenFile]:
    for link in (f"/proc/{pid}/cwd", f"/proc/{pid}/root"):
        with contextlib.suppress(OSError):
            path = os.readlink(link)
            if _is_below(path, folders):
                yield OpenFile(pid=pid, command=_command(pid), path=path, is_written=False)
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            path = os.readlink(f"/proc/{pid}/fd/{number}")
            if _is_below(path, folders):
                yield OpenFile(pid=pid, command=_command(pid), path=path, is_written=_is_written(pid, number))


def _is_below(path: str, folders: Sequence[str]) -> bool:
    path = path.removesuffix(_DELETED)
    return any(is_inside(path, folder) for folder in folders)


def _is_written(pid: int, number: str) -> bool:
    with open(f"/proc/{pid}/fdinfo/{number}", encoding="ascii") as file:
        flags = next((line.split()[1] for line in file if line.startswith("flags:")), "0")
    return int(flags, 8) & os.O_ACCMODE != os.O_RDONLY


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return "a process"
