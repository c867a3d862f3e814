"""Static files by content: the address of a file changes when its content does, without a build step."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache

from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage


class FingerprintedStorage(StaticFilesStorage):
    """``/static/css/app.css?v=1a2b3c4d``, so that browsers may keep it for long."""

    def url(self, name: str | None) -> str:
        address = super().url(name)
        found = finders.find(name) if name else None
        if not isinstance(found, str):
            return address
        return f"{address}?v={_fingerprint(found, os.stat(found).st_mtime_ns)}"


@lru_cache(maxsize=1024)
def _fingerprint(path: str, _mtime_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:8]
