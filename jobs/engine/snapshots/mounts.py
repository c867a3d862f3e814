"""What is mounted where, from ``/proc/self/mountinfo`` (proc(5)); nothing where that cannot be read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_MOUNTINFO: Final = "/proc/self/mountinfo"
_OCTAL: Final = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """``options`` are those of the mount and of the file system together; ``source`` is a device or a dataset."""

    device: int
    point: str
    kind: str
    source: str
    options: frozenset[str]


def mounts() -> Iterator[Mount]:
    """In the order mounted."""
    try:
        with open(_MOUNTINFO, "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return
    for line in lines:
        before, _, after = line.partition(b" - ")
        fields, tail = before.split(b" "), after.split(b" ")
        major, _, minor = fields[2].partition(b":")
        options = fields[5].split(b",") + tail[-1].split(b",")
        yield Mount(
            device=os.makedev(int(major), int(minor)),
            point=_plain(fields[4]),
            kind=tail[0].decode("ascii", "replace"),
            source=_plain(tail[1]) if len(tail) > 1 else "",
            options=frozenset(option.decode("utf-8", "replace") for option in options),
        )


def _plain(field: bytes) -> str:
    """Blanks and the like come as octal numbers."""
    return os.fsdecode(_OCTAL.sub(lambda match: bytes([int(match[1], 8)]), field))


def file_system_type(device: int) -> str:
    """“xfs”, “ext4” …; empty where no mount has that device number (as on btrfs subvolumes)."""
    return next((mount.kind for mount in mounts() if mount.device == device), "")
