"""A small file of our own kept in a repository: the configuration, so that the medium alone can rebuild it.

It is a snapshot file like any other, with a tag of its own, so that stock restic reads and checks it, and ``restore``
brings it back: ``/snapcopy-configuration/configuration.json``. Nothing that is the same again is stored again.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .. import VERSION
from ..clock import Clock
from ..errors import InvalidOptions, RepositoryDamaged
from ..events import Control
from ..ids import BlobId, FileId
from ..media.base import Media
from ..plan import Secret
from ..repository.blob import hash_blob
from ..repository.gojson import name_body
from ..repository.index import Index
from ..repository.index_load import load_index
from ..repository.layout import BlobKind, damaged
from ..repository.lock import locked
from ..repository.reader import BlobReader
from ..repository.repository import Repository
from ..repository.snapshot_file import SnapshotFile, list_snapshot_files, save_snapshot_file
from ..repository.tree import Node, join_tree
from ..source.node import content_suffix, node_prefix, subtree_suffix
from .mending.storing import Storing

CONFIGURATION_TAG: Final = "snapcopy-configuration"
FOLDER: Final = b"snapcopy-configuration"
FILE: Final = b"configuration.json"
MOST_BYTES: Final = 4 << 20
KEPT: Final = 3
"""So many of one installation stay: the newest, and those before it."""

_INSTALL_TAG: Final = "install="
_PIECE_BYTES: Final = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SealPlan:
    """``text`` is what is kept; it must hold no secret. ``install`` is the installation it is of.

    ``wait_seconds``: how long to wait for others to leave the repository.
    """

    text: bytes
    install: str
    repository_id: str | None = None
    index_cache: Path | None = None
    wait_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Status:
    """Of a file or folder that is nowhere: the same text for the same content, so that an equal one is seen."""

    st_mode: int
    st_size: int = 0
    st_ino: int = 0
    st_dev: int = 0
    st_nlink: int = 1
    st_uid: int = 0
    st_gid: int = 0
    st_rdev: int = 0
    st_mtime_ns: int = 0
    st_ctime_ns: int = 0


def seal(plan: SealPlan, media: Media, password: Secret, control: Control, clock: Clock) -> FileId | None:
    """Keep ``plan.text`` in the repository; None = the newest that is kept is the same already.

    Raises InvalidOptions for one that is too large, RepositoryLocked, the media's errors, Stopped.
    """
    if len(plan.text) > MOST_BYTES:
        raise InvalidOptions(f"It is {len(plan.text):,} bytes; at most {MOST_BYTES:,} are kept.")
    repository = Repository.open(media, password, clock=clock)
    blobs, tree = _blobs_of(plan.text)
    with locked(repository, exclusive=False, wait_seconds=plan.wait_seconds, control=control) as lock:
        mine = configurations(list_snapshot_files(repository, on_damaged=_pass_over), install=plan.install)
        if mine and mine[-1].tree == tree:
            return None
        _store(repository, load_index(repository, cache_directory=plan.index_cache), blobs)
        lock.check()
        return save_snapshot_file(
            repository,
            SnapshotFile(
                time_ns=clock.now_ns(),
                tree=tree,
                paths=(b"/" + FOLDER,),
                hostname="snapcopy",
                username="snapcopy",
                tags=(CONFIGURATION_TAG, f"{_INSTALL_TAG}{plan.install}"),
                program_version=f"snapcopy {VERSION}",
            ),
        )


def is_configuration(file: SnapshotFile) -> bool:
    """It is no copy of anybody's files: lists for people leave it out."""
    return CONFIGURATION_TAG in file.tags


def install_of(file: SnapshotFile) -> str:
    """The installation a kept configuration is of; empty if it does not say."""
    return next((tag.removeprefix(_INSTALL_TAG) for tag in file.tags if tag.startswith(_INSTALL_TAG)), "")


def configurations(files: Iterable[SnapshotFile], *, install: str | None = None) -> list[SnapshotFile]:
    """The kept configurations among ``files``, oldest first; of one installation, or of all."""
    found = [file for file in files if is_configuration(file) and install in (None, install_of(file))]
    return sorted(found, key=lambda file: (file.time_ns, file.id or ""))


def outdated(files: Iterable[SnapshotFile], *, install: str) -> list[FileId]:
    """Those of this installation that newer ones replaced."""
    return [file.id for file in configurations(files, install=install)[:-KEPT] if file.id]


def read_sealed(reader: BlobReader, file: SnapshotFile) -> bytes:
    """The text of a kept configuration. Raises RepositoryDamaged, also for one that is too large to be ours."""
    name = f"snapshots/{file.id}"
    folder = _named(reader.read_tree(file.tree), FOLDER)
    found = _named(reader.read_tree(folder.subtree), FILE) if folder is not None and folder.subtree else None
    if found is None or found.size > MOST_BYTES:
        raise damaged(name, "it does not hold a configuration")
    text = bytearray()
    for blob in found.content:
        text += reader.read(BlobKind.DATA, blob)
        if len(text) > MOST_BYTES:
            raise damaged(name, "it does not hold a configuration")
    return bytes(text)


def _blobs_of(text: bytes) -> tuple[list[tuple[BlobKind, BlobId, bytes]], BlobId]:
    pieces = [text[start : start + _PIECE_BYTES] for start in range(0, len(text), _PIECE_BYTES)]
    blobs = [(BlobKind.DATA, hash_blob(piece), piece) for piece in pieces]
    file = node_prefix(name_body(FILE.decode()), _Status(stat.S_IFREG | 0o600, len(text)))
    inner = join_tree([file + content_suffix([blob.hex() for _, blob, _ in blobs])])
    folder = node_prefix(name_body(FOLDER.decode()), _Status(stat.S_IFDIR | 0o700))
    outer = join_tree([folder + subtree_suffix(hash_blob(inner))])
    trees = [(BlobKind.TREE, hash_blob(tree), tree) for tree in (inner, outer)]
    return [*blobs, *trees], trees[-1][1]


def _store(repository: Repository, index: Index, blobs: Sequence[tuple[BlobKind, BlobId, bytes]]) -> None:
    with Storing(repository) as storing:
        for kind, blob, plain in blobs:
            if index.missing(kind, (blob,)):
                storing.store(kind, blob, plain)


def _named(nodes: Sequence[Node], name: bytes) -> Node | None:
    return next((node for node in nodes if node.name == name), None)


def _pass_over(_error: RepositoryDamaged) -> None:
    """A verification names it."""
