"""moto's S3 service for tests: the only one here that knows Object Lock. It takes any key, so it judges no login.

Its packages want an older python-dateutil than ours, so they are installed apart, from ``tests/moto.lock``.
"""

from __future__ import annotations

import os
import re
import sys
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from hashlib import md5
from pathlib import Path
from typing import Final
from urllib.request import Request, urlopen

from tests import installed_apart, loopback_servers

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
        with urlopen(request, timeout=60) as answer:
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
    packages = str(installed_apart.python_packages("moto", _LOCK))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": packages, "PYTHONUNBUFFERED": "1"}
    server = LockingS3(url=loopback_servers.start(command, said=_LISTENING, environment=environment), days=days)
    server.ask("PUT", "", headers={"x-amz-bucket-object-lock-enabled": "true"})
    server.ask("PUT", "?object-lock", body=_RULE.format(days=days))
    return server
