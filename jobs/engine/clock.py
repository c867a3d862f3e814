"""Time as the engine sees it: one small interface, so that a test can hold the clock."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """``now_ns`` is wall time (ns since the epoch, UTC); ``monotonic`` is seconds for measuring; ``sleep`` waits."""

    def now_ns(self) -> int: ...
    def monotonic(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
