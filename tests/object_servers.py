"""Servers of S3 and WebDAV for tests: rclone on loopback, one of each per test process, ended with it.

The files lie in a directory here, so that a test can look at them and damage them.
"""

from __future__ import annotations

import atexit
import re
import shutil
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.request import Request, urlopen

from tests import lasting_children
from tests.rclone_servers import RCLONE

ACCESS_KEY = "TESTACCESSKEY0000001"
SECRET_KEY = "a-secret-key-of-tests-0000000000"
USER = "backup"
PASSWORD = "a-password-of-tests"
BUCKET = "bucket"

_LISTENING = re.compile(r"remote control on (http\S+)/\n|started on \[(\S+)/\]|s3 server on \[(\S+)/\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class RcloneServer:
    """``root`` is the directory it serves, ``url`` its address without trailing slash."""

    url: str
    root: Path
    control: str

    def forget(self) -> None:
        """Let it notice what was done to its files behind its back: it remembers folders."""
        urlopen(Request(f"{self.control}/vfs/forget", method="POST"), timeout=60).close()


@cache
def serve_s3() -> RcloneServer:
    """An S3 service with one bucket."""
    server = start("s3", "--dir-cache-time", "1ms", "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}")
    (server.root / BUCKET).mkdir()
    return server


@cache
def serve_webdav() -> RcloneServer:
    """A WebDAV server with one user."""
    return start("webdav", "--user", USER, "--pass", PASSWORD)


def start(protocol: str, *arguments: str) -> RcloneServer:
    """A server of its own, ended with this process however that ends."""
    root = Path(tempfile.mkdtemp(prefix=f"sc-{protocol}-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    command = [RCLONE, "serve", protocol, str(root), "--addr", "127.0.0.1:0"]
    command += ["--rc", "--rc-addr", "127.0.0.1:0", "--rc-no-auth", "--config", "", *arguments]
    child = lasting_children.start(command, stderr=subprocess.PIPE, text=True)
    said = ""
    control = url = ""
    for line in child.stderr or ():
        said += line
        if found := _LISTENING.search(line):
            control = found[1] or control
            url = found[2] or found[3] or url
        if control and url:
            threading.Thread(target=_drain, args=(child,), daemon=True).start()
            return RcloneServer(url=url, root=root, control=control)
    raise AssertionError(f"rclone serve {protocol} did not start: {said}")


def _drain(child: subprocess.Popen[str]) -> None:
    """It logs every odd request, and waits until somebody reads that."""
    for _line in child.stderr or ():
        pass
