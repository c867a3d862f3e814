"""Noticing a forked worker that waits for itself for ever, and ending it, so that the job fails and is tried again.

A lock that somebody held at the moment of a fork is never given back in the child. Such a worker is easy to tell from
one that waits for a slow disk or medium: every one of its threads waits for a lock, and none uses any CPU.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 5.0
STUCK_SECONDS: Final = 90.0
"""Longer than any wait for a lock that ends by itself."""
MOST_TICKS: Final = 90
"""CPU (1/100 s) that may be used meanwhile: a thread that waits for the interpreter wakes 200 times a second."""


@dataclass(slots=True)
class _Seen:
    """``waits``: where in the kernel each thread waits; the same for long, without CPU, is what makes it stuck."""

    since: float
    ticks: int
    waits: tuple[str, ...]
    is_told: bool = False


class Vigil:
    """Over some child processes. ``look`` may be called as often as one likes; it acts every few seconds."""

    def __init__(
        self,
        *,
        stuck_seconds: float = STUCK_SECONDS,
        look_seconds: float = LOOK_SECONDS,
        most_ticks: int = MOST_TICKS,
    ) -> None:
        self._stuck_seconds = stuck_seconds
        self._look_seconds = look_seconds
        self._most_ticks = most_ticks
        self._next_look = time.monotonic() + look_seconds
        self._seen: dict[int, _Seen] = {}

    def look(self, pids: Collection[int]) -> None:
        """End those of ``pids`` that have been stuck too long with SIGABRT, which writes where they are to stderr."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + self._look_seconds
        self._seen = {pid: seen for pid, seen in self._seen.items() if pid in pids}
        for pid in pids:
            found = _look_at(pid)
            if found is None:
                continue
            ticks, waits = found
            seen = self._seen.get(pid)
            if seen is None or ticks - seen.ticks > self._most_ticks or waits != seen.waits:
                self._seen[pid] = _Seen(since=now, ticks=ticks, waits=waits)
            elif now - seen.since >= self._stuck_seconds and not seen.is_told:
                seen.is_told = True
                self._tell(pid, now - seen.since, waits)

    def _tell(self, pid: int, seconds: float, waits: tuple[str, ...]) -> None:
        if all("futex" in wait for wait in waits):
            logger.error("Process %s waits for itself since %.0f s and is ended.", pid, seconds)
            os.kill(pid, signal.SIGABRT)
        else:
            logger.warning(
                "Process %s does nothing since %.0f s; its threads wait in: %s.", pid, seconds, ", ".join(waits)
            )


def _look_at(pid: int) -> tuple[int, tuple[str, ...]] | None:
    """CPU used by a process, and what in the kernel each of its threads waits in; None = it has ended."""
    try:
        waits = [_read(f"/proc/{pid}/task/{thread}/wchan") for thread in os.listdir(f"/proc/{pid}/task")]
        fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[11]) + int(fields[12]), tuple(sorted(waits))


def _read(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()
