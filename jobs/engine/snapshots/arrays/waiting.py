"""Pauses between two looks at a job of an array: short at first, and never deaf to a stop."""

from __future__ import annotations

import time
from typing import Final

from ...events import Control

_FIRST_SECONDS: Final = 0.02
_LONGEST_SECONDS: Final = 2.0
_STEP_SECONDS: Final = 0.2


class Waiting:
    """One wait. ``control`` is asked at least every 0.2 s."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._seconds = _FIRST_SECONDS

    def pause(self) -> None:
        """Raises what the control raises."""
        left = self._seconds
        self._seconds = min(self._seconds * 1.5, _LONGEST_SECONDS)
        while left > 0:
            self._control.check()
            time.sleep(min(left, _STEP_SECONDS))
            left -= _STEP_SECONDS
        self._control.check()
