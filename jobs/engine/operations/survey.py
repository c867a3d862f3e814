"""Looking at a repository that others may have written: what lies there, by host and paths. Changes nothing on it.

No lock is taken: reading needs none, and whoever only looks leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from ..ids import BlobId
from ..repository.layout import FileKind
from ..repository.reader import BlobReader
from ..repository.repository import Repository
from ..repository.snapshot_file import SnapshotFile, list_snapshot_files
from ..repository.tree import Node

EVERYTHING: Final = b"/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """``files`` are the snapshot files that can be read, oldest first; ``damaged`` names those that cannot.

    ``packs_bytes`` is what the data takes on the medium.
    """

    repository_id: str
    version: int
    files: tuple[SnapshotFile, ...]
    damaged: tuple[str, ...]
    packs: int
    packs_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The snapshot files of one host and one set of paths, oldest first; at least one."""

    hostname: str
    paths: tuple[bytes, ...]
    files: tuple[SnapshotFile, ...]


def survey(repository: Repository, beat: Callable[[], None]) -> Survey:
    """Read every snapshot file and count the packs. ``beat`` is called now and then and may raise.

    Raises RepositoryDamaged for nothing: what is damaged is named. Raises the medium's errors.
    """
    damaged: list[str] = []
    beat()
    files = list_snapshot_files(repository, on_damaged=lambda error: damaged.append(error.name))
    packs = packs_bytes = 0
    for _, size in repository.list_files(FileKind.PACK):
        packs, packs_bytes = packs + 1, packs_bytes + size
        if packs % 1000 == 0:
            beat()
    return Survey(
        repository_id=repository.id,
        version=repository.config.version,
        files=tuple(files),
        damaged=tuple(damaged),
        packs=packs,
        packs_bytes=packs_bytes,
    )


def groups_of(files: Iterable[SnapshotFile]) -> list[Group]:
    """By host and paths, as restic groups them."""

    def key(file: SnapshotFile) -> tuple[str, tuple[bytes, ...]]:
        return file.hostname, tuple(sorted(file.paths))

    def place(file: SnapshotFile) -> tuple[object, ...]:
        return *key(file), file.time_ns, file.id or ""

    return [
        Group(hostname=hostname, paths=paths, files=tuple(found))
        for (hostname, paths), found in groupby(sorted(files, key=place), key=key)
    ]


def content_of(reader: BlobReader, file: SnapshotFile) -> tuple[bytes, ...]:
    """The absolute paths below which its files lie in the tree, without those inside another one.

    These are its ``paths`` where the tree holds them. A copy of a relative path, of another drive letter or of a
    stream lies elsewhere: then it is everything, ``b"/"``. Raises RepositoryDamaged.
    """
    paths = sorted({path.rstrip(b"/") or EVERYTHING for path in file.paths})
    outer = [path for path in paths if not any(_is_below(path, other) for other in paths)]
    if outer and all(path.startswith(b"/") and _holds(reader, file.tree, path) for path in outer):
        return tuple(outer)
    return (EVERYTHING,)


def _holds(reader: BlobReader, tree: BlobId, path: bytes) -> bool:
    at: BlobId | None = tree
    for name in (part for part in path.split(b"/") if part):
        found = _named(reader.read_tree(at), name) if at is not None else None
        if found is None:
            return False
        at = found.subtree
    return True


def _named(nodes: Sequence[Node], name: bytes) -> Node | None:
    return next((node for node in nodes if node.name == name), None)


def _is_below(path: bytes, other: bytes) -> bool:
    return path != other and path.startswith(other if other == EVERYTHING else other + b"/")
