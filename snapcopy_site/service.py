"""One supervised child: started, watched, started again after it died, stopped.

How long to wait before the next start grows with every quick death and is forgotten after a minute of good running.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from snapcopy_site import children

FIRST_WAIT_SECONDS: Final = 0.5
LONGEST_WAIT_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 60.0
LOG_BYTES: Final = 10 * 1024 * 1024


@dataclass(slots=True, kw_only=True)
class Service:
    """``stop_seconds`` is how long it may take to stop before it is killed."""

    name: str
    log: Path
    launch: Callable[[], subprocess.Popen[bytes]]
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0
    child: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    _started_at: float = field(default=0.0)
    _start_again_at: float = field(default=0.0)

    def start(self) -> subprocess.Popen[bytes]:
        """Start the child now. Raises OSError."""
        self._started_at = time.monotonic()
        self.child = self.launch()
        return self.child

    def look(self) -> str | None:
        """Notice a death and, when its wait is over, start again. Returns a sentence when something changed."""
        keep_short(self.log)
        if self.child is not None:
            code = self.child.poll()
            return None if code is None else self._note_death(code)
        if time.monotonic() < self._start_again_at:
            return None
        self.start()
        return f"{self.name} started again"

    def ask_to_stop(self) -> None:
        """Send the stop signal; returns at once. Idempotent."""
        if self.child is not None and self.child.poll() is None:
            self.child.send_signal(self.stop_signal)

    def wait_until_stopped(self, *, hurry: Callable[[], bool]) -> bool:
        """Wait, then kill what is left of its session. ``hurry`` ends the wait early. True when it ended by itself."""
        child, self.child = self.child, None
        if child is None:
            return True
        ends_at = time.monotonic() + self.stop_seconds
        while child.poll() is None and time.monotonic() < ends_at and not hurry():
            time.sleep(0.02)
        by_itself = child.poll() is not None
        children.kill_session(child)
        return by_itself

    def _note_death(self, code: int) -> str:
        now = time.monotonic()
        self.child = None
        self.deaths = 1 if now - self._started_at > STEADY_SECONDS else self.deaths + 1
        wait = min(FIRST_WAIT_SECONDS * 2 ** (self.deaths - 1), LONGEST_WAIT_SECONDS)
        self._start_again_at = now + wait
        how = f"by signal {-code}" if code < 0 else f"with code {code}"
        return f"{self.name} ended {how}; starting it again in {wait:g} s (log: {self.log})"


def keep_short(log: Path) -> None:
    """Move a long log to ``NAME.log.1``. The writers append, so they go on in the emptied file."""
    try:
        if log.stat().st_size <= LOG_BYTES:
            return
        log.with_name(log.name + ".1").write_bytes(log.read_bytes())
        with open(log, "r+b") as file:
            file.truncate(0)
    except FileNotFoundError:
        return
