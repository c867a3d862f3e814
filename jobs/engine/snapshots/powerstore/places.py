"""Where on this node the file systems of a NAS server are, and which of them a content path lies on.

::

    <mount>/<file system>                              the live file system, exported under its own name
    <mount>/<file system>/.snapshot/<snapshot>         a snapshot of it with access “Snapshot”
    <mount>/<export>                                   a snapshot with access “Protocol”, while it is exported

So it is where the root of the NAS server is mounted once by NFSv4, and each export is entered by its name.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...errors import InvalidOptions
from ..arrays.description import Part
from ..content import is_inside

SNAPSHOTS: Final = ".snapshot"
_HINT: Final = "Give paths of file systems as this node sees them, below “Mounted at” of the file server."


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A content path: its place in the subclient, and the file system it is on."""

    file_system: str
    part: Part


def place_content(mount: Path, content: Sequence[str]) -> tuple[Placed, ...]:
    """Only by names and links. Raises InvalidOptions (``content_paths``)."""
    top = os.path.realpath(mount)
    placed = []
    for number, path in enumerate(content):
        real = os.path.realpath(path)
        if not is_inside(real, top) or real == top:
            raise InvalidOptions(
                f"“{path}” is not a file system below “{mount}”, nor in one.", field="content_paths", hint=_HINT
            )
        file_system, _, below = os.path.relpath(real, top).partition("/")
        if SNAPSHOTS in (file_system, below.split("/")[0]):
            raise InvalidOptions(
                f"“{path}” is in a snapshot.", field="content_paths", hint="Give the path of the live data."
            )
        placed.append(Placed(file_system=file_system, part=Part(number=number, path=path, below=below)))
    return tuple(placed)


def by_file_system(placed: Sequence[Placed]) -> dict[str, tuple[Part, ...]]:
    """In the order in which the file systems come first."""
    found: dict[str, tuple[Part, ...]] = {}
    for one in placed:
        found[one.file_system] = (*found.get(one.file_system, ()), one.part)
    return found
