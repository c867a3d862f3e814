"""Whether a process still runs: whoever left a lock, a place in a queue or a half-written file may be gone."""

from __future__ import annotations

import os
from typing import Final

_MOST_PID: Final = 1 << 30
"""Far above any kernel's limit (proc(5), pid_max): such a number was never a process."""
_ENDED: Final = (b"Z", b"X")


def is_running(pid: int) -> bool:
    """Of this machine. A zombie is not: its parent, or the container's first process, may take its time to say so."""
    if pid <= 0 or pid > _MOST_PID:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in _ENDED
    except (OSError, IndexError):
        return True
