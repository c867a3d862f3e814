"""moto's S3 service for tests: the only one here that knows Object Lock. It takes any key, so it judges no login.

Its packages want an older python-dateutil than ours, so they are installed apart, from ``tests/moto.lock``, into a
cache folder that is kept between runs (``XDG_CACHE_HOME``, else ``~/.cache``). Nothing of it is imported here.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from hashlib import md5, sha256
from pathlib import Path
from typing import Final
from urllib.request import Request, urlopen

BUCKET: Final = "locked"
_LOCK: Final = Path(__file__).with_name("moto.lock")
_LISTENING: Final = re.compile(r"Running on (http://127\.0\.0\.1:\d+)")
_SOMEBODY: Final = (
    "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=unchecked"
)
_RULE: Final = (
    "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>"
    "<Mode>GOVERNANCE</Mode><Days>{days}</Days></DefaultRetention></Rule></ObjectLockConfiguration>"
)
_RETENTION: Final = "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockingS3:
    """A service with one bucket, whose objects are locked for ``days`` from when they are put."""

    url: str
    days: int

    def ask(self, method: str, path: str, *, body: str = "", headers: dict[str, str] | None = None) -> str:
        """A request past the driver. Raises HTTPError."""
        data = body.encode()
        given = {
            "Content-Type": "application/xml",
            "Content-MD5": b64encode(md5(data, usedforsecurity=False).digest()).decode(),
            "Authorization": _SOMEBODY,
        }
        request = Request(f"{self.url}/{BUCKET}{path}", method=method, data=data, headers=given | (headers or {}))
        with urlopen(request, timeout=20) as answer:
            return str(answer.read().decode())

    def versions(self, name: str) -> list[str]:
        """Of one object, the newest first; markers of deletions are none."""
        listed = self.ask("GET", f"/?versions&prefix={name}")
        return re.findall(r"<Version>.*?<VersionId>([^<]+)</VersionId>", listed, re.DOTALL)

    def names(self, prefix: str) -> list[str]:
        """Of all objects that are not hidden by a marker."""
        return re.findall(r"<Key>([^<]+)</Key>", self.ask("GET", f"?list-type=2&prefix={prefix}"))

    def end_lock(self, name: str) -> None:
        """As time does: the retention of every version is over. Only GOVERNANCE lets anybody do that."""
        for version in self.versions(name):
            self.ask(
                "PUT",
                f"/{name}?retention&versionId={version}",
                body=_RETENTION.format(until="2020-01-01T00:00:00Z"),
                headers={"x-amz-bypass-governance-retention": "true"},
            )


@cache
def serve_locking_s3(*, days: int = 30) -> LockingS3:
    """Started once for a test process, ended with it."""
    command = [sys.executable, "-S", "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", "0"]
    child = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *command],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(_installed()), "PYTHONUNBUFFERED": "1"},
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    atexit.register(_end, child)
    said = ""
    for line in child.stderr or ():
        said += line
        if found := _LISTENING.search(line):
            threading.Thread(target=_drain, args=(child,), daemon=True).start()
            server = LockingS3(url=found[1], days=days)
            server.ask("PUT", "", headers={"x-amz-bucket-object-lock-enabled": "true"})
            server.ask("PUT", "?object-lock", body=_RULE.format(days=days))
            return server
    raise AssertionError(f"moto does not serve: {said}")


def _installed() -> Path:
    """Where the packages of the lock file are; installed by the first who asks, whole or not at all."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "snapcopy-tests"
    wanted = sha256(_LOCK.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = caches / f"moto-{wanted}"
    if not folder.exists():
        caches.mkdir(parents=True, exist_ok=True)
        apart = Path(tempfile.mkdtemp(prefix="moto-", suffix=".new", dir=caches))
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--no-compile"]
        subprocess.run([*command, "--target", str(apart), "-r", str(_LOCK)], check=True, timeout=240)
        try:
            apart.rename(folder)
        except OSError:
            shutil.rmtree(apart)
    return folder


def _drain(child: subprocess.Popen[str]) -> None:
    """It logs every request, and waits until somebody reads that."""
    for _line in child.stderr or ():
        pass


def _end(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait()
