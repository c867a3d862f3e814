"""REST servers for tests: ``rclone serve restic`` over the whole file system: a directory of a test is a path on it.

Each is started once for a test process, on a port of the system's choice, and dies with it.
"""

from __future__ import annotations

import atexit
import re
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import IO, Final

RCLONE: Final = str(Path(sys.executable).parent / "rclone")
USER: Final = "snapcopy"
PASSWORD: Final = "of the REST server"
_SERVING: Final = re.compile(r"Serving restic REST API on \[(https?://127\.0\.0\.1:\d+)/\]")


@cache
def rest_server(*arguments: str) -> str:
    """The address of a server with these arguments, without a slash at its end."""
    command = [RCLONE, "serve", "restic", "--addr", "127.0.0.1:0", "--config", "", "--cache-objects=false"]
    log = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 - open as long as the server
    child = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *command, *arguments, "/"],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )
    atexit.register(_end, child, log)
    ends_at = time.monotonic() + 20
    while True:
        log.seek(0)
        said = log.read()
        if found := _SERVING.search(said):
            return found[1]
        assert child.poll() is None, f"rclone ended: {said}"
        assert time.monotonic() < ends_at, f"rclone does not serve: {said}"
        time.sleep(0.02)


def with_password() -> str:
    return rest_server("--user", USER, "--pass", PASSWORD)


def append_only() -> str:
    return rest_server("--append-only")


def _end(child: subprocess.Popen[bytes], log: IO[str]) -> None:
    child.kill()
    child.wait()
    log.close()
