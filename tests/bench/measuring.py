"""Running one command and what it took: wall time, processor time and peak memory of it and all it started."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SAMPLE_SECONDS: Final = 0.05
_SAMPLE_SHARE: Final = 0.02
"""Looking at memory holds up the processes that are looked at, the more of them there are: so much of the time."""
_LOOK_SECONDS: Final = 0.5
_QUIET_SHARE: Final = 0.12


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Seconds, and the largest sum of proportional set sizes seen in samples, in bytes (shared pages count once)."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int


class CommandFailed(Exception):
    """The command's own words."""


class _Sampler(threading.Thread):
    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._over = threading.Event()
        self.peak_bytes = 0

    def run(self) -> None:
        """``ru_maxrss`` would not do: it keeps what the process was before ``exec``, and knows only one process."""
        pause = _SAMPLE_SECONDS
        while not self._over.wait(pause):
            began = time.perf_counter()
            self.peak_bytes = max(self.peak_bytes, sum(map(_proportional_bytes, _family(self._pid))))
            pause = max(_SAMPLE_SECONDS, (time.perf_counter() - began) / _SAMPLE_SHARE)

    def stop(self) -> None:
        self._over.set()
        self.join()


def drop_caches() -> None:
    """Nothing of the file systems stays in memory. Needs root."""
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("3")


def wait_until_quiet(patience_seconds: float) -> None:
    """Wait until others use less than an eighth of the processors, or patience ends."""
    until = time.monotonic() + patience_seconds
    while time.monotonic() < until:
        busy, total = _processor_ticks()
        time.sleep(_LOOK_SECONDS)
        busy_then, total_then = _processor_ticks()
        if busy_then - busy < _QUIET_SHARE * (total_then - total):
            return


def _processor_ticks() -> tuple[int, int]:
    with open("/proc/stat") as file:
        ticks = [int(word) for word in file.readline().split()[1:]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def run(command: Sequence[str], environment: Mapping[str, str], *, cwd: Path | None = None) -> Figures:
    """Run to the end. Raises CommandFailed. What the system still has to write is waited for before, not after."""
    os.sync()
    begun = time.perf_counter()
    with subprocess.Popen(
        command, env={**os.environ, **environment}, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        sampler = _Sampler(process.pid)
        sampler.start()
        errors = process.stderr.read() if process.stderr else b""
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        sampler.stop()
    if process.returncode:
        raise CommandFailed(f"{' '.join(command)}: {errors.decode(errors='replace')[-2000:]}")
    return Figures(
        wall_seconds=wall,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_bytes=sampler.peak_bytes,
    )


def _family(pid: int) -> list[int]:
    """A process and its descendants; those that just ended are left out."""
    found, pending = [pid], [pid]
    while pending:
        at = pending.pop()
        try:
            text = Path(f"/proc/{at}/task/{at}/children").read_text()
        except OSError:
            continue
        children = [int(word) for word in text.split()]
        found += children
        pending += children
    return found


def _proportional_bytes(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        return 0
    return 0


def tree_bytes(path: Path) -> int:
    """Bytes a directory takes, as its files say."""
    return sum(
        os.lstat(os.path.join(directory, name)).st_size for directory, _, names in os.walk(path) for name in names
    )
