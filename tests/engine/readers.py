"""Readers of a copy as processes: which there are, what they have open, and when they are gone."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path


def readers_of(pid: int) -> list[int]:
    """Forks of a process: children that were never given a program of their own."""
    command = _command(pid)
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [child for child in map(int, children.read().split()) if command and _command(child) == command]


def descriptors_of(pid: int) -> set[str]:
    """What it has open, but for what it closes at this moment."""
    names: set[str] = set()
    for entry in os.scandir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            names.add(os.readlink(entry.path))
    return names


def ignores_interrupts(pid: int) -> bool:
    """It has settled: signals are its own."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigIgn:"))
    return bool(int(line.split()[1], 16) >> (signal.SIGINT - 1) & 1)


def wait_for_the_end_of(readers: list[int]) -> None:
    wait_for(lambda: not any(map(_command, readers)))


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def _command(pid: int) -> bytes:
    """The command line; empty for a process that ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
