"""Programs that listen on loopback for tests: started, waited for, heard out, and ended with this process."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests import lasting_children


def start(command: Sequence[str | Path], *, said: re.Pattern[str], environment: Mapping[str, str]) -> str:
    """What the program says in the first group of ``said`` once it serves. It dies with this process however that
    ends. Raises AssertionError with its words if it ends before.
    """
    child = lasting_children.start(
        command,
        env=environment,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    heard = ""
    for line in child.stdout or ():
        heard += line
        if found := said.search(line):
            threading.Thread(target=_drain, args=(child,), daemon=True).start()
            return found[1]
    raise AssertionError(f"{command[0]} does not serve: {heard}")


def _drain(child: subprocess.Popen[str]) -> None:
    """Some log every request, and wait until somebody reads that."""
    for _line in child.stdout or ():
        pass
