"""Frozen values that say what an operation is to do. Rows become plans in ``jobs.runner``; nothing touches disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NewType

from .events import Counters
from .ids import FileId

StoredPath = NewType("StoredPath", bytes)
"""Absolute path inside a backup copy, raw bytes, ``/`` separated, no trailing slash: ``b"/srv/data"``."""


class Secret:
    """A secret whose ``repr`` is ``***``. ``reveal()`` is the only way to the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRoot:
    """One content path: ``directory`` is where its files are readable now, ``stored_as`` the path kept in the copy.

    ``previous`` is the same content path in the older snapshot that the plan's parent was made from, where that still
    exists and the engine can tell what changed between the two; None = walk. ``origins`` is the snapshot's table of
    what its files are at the source (:mod:`jobs.engine.snapshots.origins`), for engines that copy.
    """

    directory: Path
    stored_as: StoredPath
    previous: Path | None = None
    origins: Path | None = None


class Trust(StrEnum):
    """What makes a file "unchanged" since the parent, so that its content is not read again.

    FULL asks for equal inode, ctime, mtime and size, as restic does: for live trees and for snapshots of the same
    file system (btrfs). MTIME_SIZE is for snapshots that are fresh copies (directory, xfs reflink), where every file
    has a new inode and ctime: equal mtime and size, and metadata and attributes are compared one by one.
    """

    FULL = "full"
    MTIME_SIZE = "mtime_size"


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySettings:
    """Tuning of a backup copy. ``readers`` None = one process per core. ``memory_bytes`` bounds buffers of all readers.

    ``state_directory`` holds the local state of unchanged directories; safe to lose, None = do without.
    ``index_cache`` holds the local copy of the repository's index, one place for all that use the repository; safe to
    lose, None = beside the local state. ``trust`` is the driver's to say: see :class:`Trust`.
    """

    compression_level: int = 3
    pack_bytes: int = 16 * 2**20
    readers: int | None = None
    memory_bytes: int = 384 * 2**20
    state_directory: Path | None = None
    index_cache: Path | None = None
    trust: Trust = Trust.FULL

    @property
    def index_directory(self) -> Path | None:
        """Where the local copy of the index lies."""
        return self.index_cache or self.state_directory


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPlan:
    """A backup copy of readable source roots into the repository on one medium.

    ``taken_at_ns`` is the time of the storage's snapshot, never later than it was taken: it becomes the snapshot file's
    time, and files changed at that very moment are not taken for unchanged by the next copy.
    ``parent`` is the snapshot file to compare with; None = full, or with ``find_parent`` the latest of the same host
    and paths. ``repository_id`` is the repository that must be there; None = any. ``tags`` must hold no secret.
    """

    roots: tuple[SourceRoot, ...]
    hostname: str
    username: str
    taken_at_ns: int
    parent: FileId | None = None
    find_parent: bool = False
    repository_id: str | None = None
    tags: tuple[str, ...] = ()
    settings: CopySettings = field(default_factory=CopySettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyResult:
    """What was committed. ``exceptions`` in the counters > 0 means *partial* (RULES J6)."""

    snapshot_file_id: FileId
    tree_id: str
    counters: Counters
    parent_used: FileId | None
    source_note: str = ""


class Overwrite(StrEnum):
    """What a restore does with a file that exists (RULES V2)."""

    NEVER = "never"
    IF_NEWER = "if newer"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePlan:
    """Restore ``paths`` (empty = everything) of one snapshot file, or of an opened snapshot (None), below ``target``.

    A path lands at ``target`` + its stored path, as stock restic does; with ``strip_prefix`` that leading part of the
    stored path is left out first. ``index_cache`` is as in :class:`CopySettings`; None = do without. ``*_expected`` is
    what somebody counted before, a dry run for example: totals for the progress, nothing more.
    """

    snapshot_file_id: FileId | None = None
    target: Path
    paths: tuple[StoredPath, ...] = ()
    strip_prefix: StoredPath = StoredPath(b"")
    overwrite: Overwrite = Overwrite.IF_NEWER
    with_metadata: bool = True
    sparse: bool = True
    dry_run: bool = False
    readers: int | None = None
    index_cache: Path | None = None
    files_expected: int | None = None
    bytes_expected: int | None = None


class Fate(StrEnum):
    """What a restore would do with something that has the name of a file to be restored.

    COMPARED: the content decides whether it is replaced. BLOCKED: a directory is there, so the file is not restored.
    """

    REPLACED = "replaced"
    KEPT = "kept"
    COMPARED = "compared"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Something that exists at the target and differs from what would be restored. Times are ns since the epoch, UTC;
    ``size`` and ``mtime_ns`` are those of the copy, ``there_*`` those of what exists."""

    path: bytes
    fate: Fate
    size: int
    mtime_ns: int
    there_size: int
    there_mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """One file system that would be written to. ``needed_bytes`` is the most: holes are not known before."""

    where: str
    needed_bytes: int
    free_bytes: int

    @property
    def is_enough(self) -> bool:
        return self.needed_bytes <= self.free_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePreview:
    """What a dry run found: of the files that exist, how many are newer or older than those of the copy.

    ``alike`` are those to be compared that have the same size and time already; the counters have them among the
    changed ones. ``conflicts`` are the first of ``conflicts_total``.
    """

    existing: int
    alike: int
    newer: int
    older: int
    conflicts_total: int
    conflicts: tuple[Conflict, ...]
    spaces: tuple[Space, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreResult:
    """``preview`` only after a dry run."""

    counters: Counters
    files_skipped: int = 0
    warnings: int = 0
    preview: RestorePreview | None = None
