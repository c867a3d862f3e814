"""REST and other servers of rclone for tests.

``rclone serve restic`` serves the whole file system: a directory of a test is a path on it.
Each is started once for a test process, on a port of the system's choice, and dies with the thread that
started it.
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
from typing import Final

from tests import lasting_children

RCLONE: Final = str(Path(sys.executable).parent / "rclone")
USER: Final = "snapcopy"
PASSWORD: Final = "of the REST server"
_SERVING: Final = re.compile(r"Serving restic REST API on \[(https?://127\.0\.0\.1:\d+)/\]")
_SFTP: Final = re.compile(r"SFTP server listening on 127\.0\.0\.1:(\d+)")


@cache
def rest_server(*arguments: str) -> str:
    """The address of a server with these arguments, without a slash at its end."""
    return _serve("restic", "--cache-objects=false", *arguments, "/", said=_SERVING)


@cache
def password_sftp(host_key: Path) -> int:
    """The port of an SFTP server with USER and PASSWORD that keeps its files in memory and cannot sync."""
    arguments = ("--user", USER, "--pass", PASSWORD, "--key", str(host_key), "--vfs-cache-mode", "writes", ":memory:")
    return int(_serve("sftp", *arguments, said=_SFTP))


def _serve(kind: str, *arguments: str, said: re.Pattern[str]) -> str:
    """Start ``rclone serve`` and wait until it tells where it listens."""
    command = [RCLONE, "serve", kind, "--addr", "127.0.0.1:0", "--config", ""]
    log = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 - open as long as the server
    atexit.register(log.close)
    child = lasting_children.start([*command, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    ends_at = time.monotonic() + 60
    while True:
        log.seek(0)
        told = log.read()
        if found := said.search(told):
            return found[1]
        assert child.poll() is None, f"rclone ended: {told}"
        assert time.monotonic() < ends_at, f"rclone does not serve: {told}"
        time.sleep(0.02)


def with_password() -> str:
    return rest_server("--user", USER, "--pass", PASSWORD)


def append_only() -> str:
    return rest_server("--append-only")
