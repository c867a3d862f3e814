"""How much there is to copy, counted by a quiet thread beside the workers. What the parent held would be a guess that
jumps when it is replaced."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Final

from .context import RootContext
from .pulse import Pulse

_NICE: Final = 10
_BEGIN_AFTER_SECONDS: Final = 2.0
"""A copy that is over by then needs no total; counting would have cost it a good part of its time."""


class TotalsScan:
    """Counts files and bytes on a low-priority thread and tells the pulse at the end. ``close`` ends it early."""

    def __init__(self, roots: Sequence[RootContext], pulse: Pulse) -> None:
        self._pending = [root.directory or "/" for root in roots]
        self._pulse = pulse
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="totals-scan", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        if self._stop.wait(_BEGIN_AFTER_SECONDS):
            return
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        files = size = 0
        while self._pending:
            if self._stop.is_set():
                return
            try:
                with os.scandir(self._pending.pop()) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            self._pending.append(entry.path)
                        elif entry.is_file(follow_symlinks=False):
                            files += 1
                            size += entry.stat(follow_symlinks=False).st_size
            except OSError:
                continue
        self._pulse.files_total, self._pulse.bytes_total = files, size
