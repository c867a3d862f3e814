"""Azurite, Microsoft's own emulator of Azure Blob Storage, for tests: its blob service alone, kept in memory.

It judges logins, and what a token may do. Installed apart, from ``tests/azurite``.
"""

from __future__ import annotations

import hmac
import os
import re
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

from tests import installed_apart, loopback_servers

ACCOUNT: Final = "testaccount"
ACCOUNT_KEY: Final = b64encode(b"an account key of tests, 32 bytes").decode()
ANOTHER_KEY: Final = b64encode(b"another key that opens nothing...").decode()
CONTAINER: Final = "container"
EVERYTHING: Final = "racwdl"
_HOUR: Final = 3600
_VERSION: Final = "2018-11-09"
_MEMORY_MIB: Final = 1024
_LISTENING: Final = re.compile(r"successfully listens on (http://127\.0\.0\.1:\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobService:
    """A service with one account and one container. ``url`` is the service's, ``endpoint`` the account's."""

    url: str

    @property
    def endpoint(self) -> str:
        return f"{self.url}/{ACCOUNT}"

    def upload(self, blobs: Mapping[str, bytes]) -> None:
        """Put blobs past the driver, by names in the container."""
        with closing(HTTPConnection(self.url.removeprefix("http://"), timeout=60)) as connection:
            for name, content in blobs.items():
                _put(connection, f"/{CONTAINER}/{quote(name)}?{_account_token()}", content)

    def create_container(self) -> None:
        with closing(HTTPConnection(self.url.removeprefix("http://"), timeout=60)) as connection:
            _put(connection, f"/{CONTAINER}?restype=container&{_account_token()}", b"")


def container_token(*, may: str = EVERYTHING, ends_in_seconds: int = _HOUR) -> str:
    """A shared access signature of the container (Microsoft, “Create a service SAS”, version 2018-11-09)."""
    ends_at = _time(ends_in_seconds)
    what = f"/blob/{ACCOUNT}/{CONTAINER}"
    fields = [may, "", ends_at, what, "", "", "", _VERSION, "c", "", "", "", "", "", ""]
    return urlencode({"sp": may, "se": ends_at, "sv": _VERSION, "sr": "c", "sig": _signature("\n".join(fields))})


@cache
def serve_azurite() -> BlobService:
    """Started once for a test process, ended with it."""
    node, modules = installed_apart.node_packages("azurite", Path(__file__).with_name("azurite"))
    command: list[str | Path] = [
        node,
        modules / "azurite/dist/src/blob/main.js",
        "--blobPort",
        "0",
        "--silent",
        "--disableTelemetry",
    ]
    command += ["--inMemoryPersistence", "--extentMemoryLimit", str(_MEMORY_MIB), "--skipApiVersionCheck"]
    environment = {"PATH": os.environ["PATH"], "AZURITE_ACCOUNTS": f"{ACCOUNT}:{ACCOUNT_KEY}"}
    service = BlobService(url=loopback_servers.start(command, said=_LISTENING, environment=environment))
    service.create_container()
    return service


def _put(connection: HTTPConnection, what: str, content: bytes) -> None:
    headers = {"x-ms-blob-type": "BlockBlob", "x-ms-version": _VERSION}
    connection.request("PUT", f"/{ACCOUNT}{what}", body=content, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    assert answer.status == 201, f"{answer.status}: {text}"


@cache
def _account_token() -> str:
    """Of the whole account, for what tests do themselves (Microsoft, “Create an account SAS”, the same version)."""
    ends_at = _time(24 * _HOUR)
    text = f"{ACCOUNT}\nrwdlac\nb\nsco\n\n{ends_at}\n\n\n{_VERSION}\n"
    fields = {"sv": _VERSION, "ss": "b", "srt": "sco", "sp": "rwdlac", "se": ends_at, "sig": _signature(text)}
    return urlencode(fields)


def _signature(text: str) -> str:
    return b64encode(hmac.digest(b64decode(ACCOUNT_KEY), text.encode(), "sha256")).decode()


def _time(ends_in_seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + ends_in_seconds))
