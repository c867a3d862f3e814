"""A network that does not change under a browser: Chromium drops what it loads when an address comes or goes.

Tests of one run share this machine. Whoever drives a browser is counted; whoever adds or removes an interface waits
until no other process drives one, and keeps them from beginning meanwhile.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path


class _Sharing:
    """How often this process browses."""

    count = 0


@contextlib.contextmanager
def browsing() -> Iterator[None]:
    """No other process changes the network within the block."""
    fcntl.flock(_lock(), fcntl.LOCK_SH)
    _Sharing.count += 1
    try:
        yield
    finally:
        _Sharing.count -= 1
        fcntl.flock(_lock(), fcntl.LOCK_SH if _Sharing.count else fcntl.LOCK_UN)


@contextlib.contextmanager
def changing() -> Iterator[None]:
    """No other process drives a browser within the block. A share of this one is given up for that time."""
    fcntl.flock(_lock(), fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(_lock(), fcntl.LOCK_SH if _Sharing.count else fcntl.LOCK_UN)


@cache
def _lock() -> int:
    path = Path(tempfile.gettempdir(), f"snapcopy-tests-{os.geteuid()}.network")
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
