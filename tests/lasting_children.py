"""Child processes that end with this process, however that ends, and not before.

The kernel ends them with the *thread* that started them (prctl(2), PR_SET_PDEATHSIG), so one that stays starts all.
"""

from __future__ import annotations

import atexit
import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

_START_SECONDS: Final = 60


def start(command: Sequence[str | Path], **options: Any) -> subprocess.Popen[Any]:
    """As ``subprocess.Popen``, from whichever thread."""
    words = ["setpriv", "--pdeathsig", "KILL", *map(str, command)]
    child = _starter(os.getpid()).submit(partial(subprocess.Popen, words, **options)).result(_START_SECONDS)
    atexit.register(_end, child)
    return child


@cache
def _starter(_pid: int) -> ThreadPoolExecutor:
    """Of one process: a forked child has none of its parent's threads."""
    return ThreadPoolExecutor(1, thread_name_prefix="lasting-children")


def _end(child: subprocess.Popen[Any]) -> None:
    child.kill()
    child.wait()
