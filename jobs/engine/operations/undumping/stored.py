"""Dumps as they lie in a repository: for each content path an image, its environment and its file history.

::

    /ndmp/vol/vol1/1.image       the stream
    /ndmp/vol/vol1/1.env.json    {"type", "level", "profile", "file_system", "environment": [[name, value], ...]}
    /ndmp/vol/vol1/1.history     the file history; not there if the file server gave none
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ...errors import NotInCopy, RepositoryDamaged
from ...ids import FileId
from ...ndmp.values import Pair
from ...repository.layout import damaged
from ...repository.reader import BlobReader
from ...repository.snapshot_file import SnapshotFile, read_snapshot_file
from ...repository.stored_file import StoredFile
from ...repository.tree import Node, NodeKind
from ..browse import Browser
from ..restoring.selection import split_path

TOP: Final = b"/ndmp"
_IMAGE: Final = re.compile(rb"([0-9]{1,3})\.image\Z")
_LARGEST_ENVIRONMENT: Final = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDump:
    """One dump of one content path. ``profile`` is the key of the kind of file server that made it."""

    content: bytes
    level: int
    type: str
    profile: str
    environment: tuple[Pair, ...]
    image: Node
    history: Node | None

    @property
    def label(self) -> str:
        """For people: “/vol/vol1, level 2”."""
        return f"{self.content.decode('utf-8', 'backslashreplace')}, level {self.level}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundDumps:
    """What a snapshot file says of itself: dumps of ``file_systems``, all of one ``level``."""

    file_systems: tuple[str, ...]
    level: int


def dumps_in(reader: BlobReader, file: SnapshotFile) -> FoundDumps | None:
    """The dumps that a snapshot file consists of, for who knows nothing else of it; None = it holds no dumps.

    Raises RepositoryDamaged.
    """
    if not file.paths or not all(path.startswith(TOP + b"/") for path in file.paths):
        return None
    browser = Browser(reader, file)
    try:
        dumps = [_dump_of(browser, path[len(TOP) :]) for path in file.paths]
    except NotInCopy:
        return None
    levels = {dump.level for dump in dumps}
    if len(levels) != 1:
        return None
    return FoundDumps(file_systems=tuple(os.fsdecode(dump.content) for dump in dumps), level=levels.pop())


def chain_of(reader: BlobReader, files: Sequence[FileId], content: bytes) -> tuple[StoredDump, ...]:
    """The dumps of one content path in the order of restoring, one of each snapshot file.

    Raises NotInCopy if one is missing or they make no chain (RULES L1), RepositoryDamaged.
    """
    chain = tuple(_dump_of(Browser(reader, read_snapshot_file(reader.repository, file)), content) for file in files)
    levels = [dump.level for dump in chain]
    if not levels or levels[0] != 0 or levels != sorted(set(levels)):
        told = ", ".join(map(str, levels))
        raise NotInCopy(
            f"The dumps of “{content.decode('utf-8', 'backslashreplace')}” make no chain: their levels are {told}.",
            hint="Restore another point in time.",
        )
    return chain


def read_whole(reader: BlobReader, node: Node, *, largest: int) -> bytes:
    """A small file. Raises RepositoryDamaged also for one that is no small file."""
    if node.size > largest:
        raise damaged(f"file “{node.name.decode('utf-8', 'backslashreplace')}”", f"it has {node.size} bytes")
    return StoredFile(reader, node).read(0, node.size)


def _dump_of(browser: Browser, content: bytes) -> StoredDump:
    shown = content.decode("utf-8", "backslashreplace")
    try:
        nodes = browser.nodes(b"".join([TOP, *(b"/" + part for part in split_path(content))]))
    except NotInCopy:
        nodes = []
    files = {node.name: node for node in nodes if node.kind is NodeKind.FILE}
    levels = [int(match[1]) for name in files if (match := _IMAGE.match(name))]
    if len(levels) != 1:
        raise NotInCopy(f"The backup copy holds {len(levels) or 'no'} dump{'s' * (len(levels) > 1)} of “{shown}”.")
    level = levels[0]
    about = files.get(b"%d.env.json" % level)
    if about is None:
        raise damaged(f"dump of “{shown}”, level {level}", "its environment is missing")
    kind, profile, environment = _parsed(read_whole(browser.reader, about, largest=_LARGEST_ENVIRONMENT), shown)
    return StoredDump(
        content=content,
        level=level,
        type=kind,
        profile=profile,
        environment=environment,
        image=files[b"%d.image" % level],
        history=files.get(b"%d.history" % level),
    )


def _parsed(text: bytes, shown: str) -> tuple[str, str, tuple[Pair, ...]]:
    try:
        given = json.loads(text)
        pairs: Iterable[tuple[str, str]] = given["environment"]
        return str(given["type"]), str(given["profile"]), tuple(Pair(str(name), str(value)) for name, value in pairs)
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(shown) from error


def _unreadable(shown: str) -> RepositoryDamaged:
    return damaged(f"environment of the dump of “{shown}”", "it is not the JSON document it should be")
