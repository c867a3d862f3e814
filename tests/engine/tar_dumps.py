"""GNU tar's dumps of a tree in levels, with the history that the formatter of the test server tells of them.

Without a server: what it does to the lines on their way is done here.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tarfile
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from jobs.engine.ndmp.history import DirectoryRecord, NodeRecord, Status
from jobs.engine.ndmp.history_spool import HistorySpool
from jobs.engine.ndmp.history_values import EntryKind, NameKind
from tests import ndmp_formatter

from .dump_lists import content

_KINDS: Final = {"d": EntryKind.DIRECTORY, "-": EntryKind.FILE, "l": EntryKind.SYMLINK, "p": EntryKind.FIFO}
Truth = dict[bytes, tuple[str, int, int, int]]
"""By path relative to the tree: kind, size of a file, time in seconds, mode."""


@dataclass
class TarDumps:
    """Dumps of ``root`` as ``dumpdates`` orders them: a level is built on the newest one of a lower level."""

    root: Path
    state: Path
    patch: pytest.MonkeyPatch
    levels: list[int] = field(default_factory=list)
    lists: list[bytes] = field(default_factory=list)

    def dump(self, level: int) -> None:
        number, snapshot = len(self.levels), self.state / f"{len(self.levels)}.snapshot"
        lower = [index for index, other in enumerate(self.levels) if other < level]
        if lower:
            shutil.copy(self.state / f"{lower[-1]}.snapshot", snapshot)
        command: list[str | Path] = [
            "tar",
            "-c",
            "--format=gnu",
            f"--listed-incremental={snapshot}",
            "-f",
            self.image(number),
        ]
        subprocess.run([*command, "-C", self.root, "."], check=True)
        lines: list[str] = []
        self.patch.setattr(ndmp_formatter, "say", lines.append)
        order = ndmp_formatter.Order(environment={"FILESYSTEM": str(self.root), "HIST": "y"})
        ndmp_formatter.tell_history(order, self.image(number))
        self.lists.append(_spooled(lines))
        self.levels.append(level)

    def image(self, number: int) -> Path:
        return self.state / f"{number}.image"

    def member_at(self, number: int, place: int) -> tuple[bytes, bytes | None]:
        """The path of the member whose header is there, relative to the tree, and its content if it is a file."""
        with open(self.image(number), "rb") as file:
            file.seek(place)
            with tarfile.open(fileobj=file, mode="r:") as archive:
                member = archive.next()
                assert member is not None
                inner = archive.extractfile(member) if member.isreg() else None
                name = os.fsencode(ndmp_formatter.name_of(member))
                return name, inner.read() if inner is not None else None


def truth_of(root: Path) -> Truth:
    found = {}
    for path in [root, *root.rglob("*")]:
        status = path.lstat()
        kind = {stat.S_IFDIR: "d", stat.S_IFREG: "f", stat.S_IFLNK: "l"}[stat.S_IFMT(status.st_mode)]
        size = status.st_size if kind == "f" else 0
        name = os.fsencode(path.relative_to(root)) if path != root else b""
        found[name] = (kind, size, int(status.st_mtime), stat.S_IMODE(status.st_mode))
    return found


def _spooled(lines: list[str]) -> bytes:
    with HistorySpool() as spool:
        for line in lines:
            letter, first, second, *rest = line.split(" ")
            if letter == "HD":
                spool.directories([DirectoryRecord(urllib.parse.unquote_to_bytes(second), int(rest[0]), int(first))])
            else:
                spool.nodes([NodeRecord(_status(rest), int(first), int(second[1:]))])
        return content(spool)


def _status(words: list[str]) -> Status:
    kind, mode, links, size, owner, group, atime, mtime, ctime = words[:9]
    return Status(
        0,
        NameKind.UNIX,
        _KINDS[kind[1:]],
        int(mtime[2:]),
        int(atime[2:]),
        int(ctime[2:]),
        int(owner[1:]),
        int(group[1:]),
        int(mode[1:], 8),
        int(size[1:]),
        int(links[1:]),
    )
