"""Temporary files of the disk medium: how they are named, and which ones a killed writer left behind.

The name tells who writes: a token of the running system and its process namespace, and the process id. A leftover is
removed when its writer is known dead, or when nobody has touched it for a day.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from functools import cache
from typing import Final

from ..processes import is_running

STALE_AFTER_SECONDS: Final = 24 * 3600
_OURS: Final = re.compile(rb"\..+\.([0-9a-f]{8})-([0-9]{1,10})-[0-9a-f]{12}\.tmp\Z", re.DOTALL)
_RESTIC: Final = re.compile(rb".+-tmp-[0-9]+\Z", re.DOTALL)
"""Stock restic's own temporary files in a local repository: hidden, never removed here."""


def temporary_name(base: bytes) -> bytes:
    """A name beside ``base`` that no other writer uses."""
    return b".%s.%s-%d-%s.tmp" % (base, _system_token(), os.getpid(), secrets.token_hex(6).encode())


def is_temporary(base: bytes) -> bool:
    """Whether a directory entry is a file being written, or the rest of one."""
    return _OURS.match(base) is not None or _RESTIC.match(base) is not None


def sweep_directory(directory: bytes) -> int:
    """Remove our dead writers' files from one directory; what cannot be removed stays. Returns how many went."""
    removed = 0
    try:
        with os.scandir(directory) as entries:
            found = [entry for entry in entries if _OURS.match(entry.name) is not None]
    except OSError:
        return 0
    for entry in found:
        try:
            if is_abandoned(entry.name, entry.stat(follow_symlinks=False)):
                os.unlink(entry.path)
                removed += 1
        except OSError:
            continue
    return removed


def is_abandoned(base: bytes, status: os.stat_result) -> bool:
    """Whether an entry is a temporary file of ours that nobody will finish. ``status`` is its ``lstat``."""
    match = _OURS.match(base)
    if match is None:
        return False
    if match[1] == _system_token() and not is_running(int(match[2])):
        return True
    return time.time() - status.st_mtime > STALE_AFTER_SECONDS


@cache
def _system_token() -> bytes:
    """Eight digits for this boot of this machine and this process namespace: where a process id means something."""
    identity = b""
    for path in (b"/proc/sys/kernel/random/boot_id", b"/etc/machine-id"):
        try:
            with open(path, "rb") as file:
                identity += file.read()
        except OSError:
            continue
    try:
        identity += os.readlink(b"/proc/self/ns/pid")
    except OSError:
        identity += os.uname().nodename.encode()
    return hashlib.sha256(identity).hexdigest()[:8].encode()
