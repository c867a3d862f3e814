"""Names and identifiers with a type of their own."""

from __future__ import annotations

import re
from typing import Final, NewType

from .errors import SnapshotNotOurs

BlobId = NewType("BlobId", bytes)
"""SHA-256 of a blob's plain text, 32 raw bytes."""

FileId = NewType("FileId", str)
"""Name of a repository file: SHA-256 of its stored bytes, 64 hexadecimal digits."""

SnapshotName = NewType("SnapshotName", str)
"""``sc-<install>-<job>-<n>`` (RULES O2)."""

_SNAPSHOT_NAME: Final = re.compile(r"sc-(?P<install>[0-9a-z]{4,16})-(?P<job>[0-9]{1,18})-(?P<n>[0-9]{1,6})\Z")


def snapshot_name(install: str, job: int, n: int) -> SnapshotName:
    """The name of the ``n``-th snapshot of a job in this installation (RULES O2)."""
    return owned_snapshot_name(f"sc-{install}-{job}-{n}", install)


def job_of_snapshot(name: SnapshotName) -> int:
    """The number of the job that took it."""
    return int(name.split("-")[2])


def owned_snapshot_name(name: str, install: str) -> SnapshotName:
    """Accept a name only if this installation made it; raises SnapshotNotOurs (RULES O2)."""
    match = _SNAPSHOT_NAME.match(name)
    if match is None or match["install"] != install:
        raise SnapshotNotOurs(
            f"“{name}” is not a snapshot of this installation (sc-{install}-…), so it is left alone.",
            hint="Delete it with the storage's own tools if it is really not needed.",
        )
    return SnapshotName(name)
