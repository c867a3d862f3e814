"""What workers and the coordinator say to each other, beside packs that were written. Values only; see ``channel``."""

from __future__ import annotations

from dataclasses import dataclass

from ...ids import BlobId
from ...repository.pack_writer import WrittenPack


@dataclass(frozen=True, slots=True)
class Task:
    """Copy one directory. ``owner`` and ``token`` say who waits for its tree; owner None = nobody, it is a root.

    ``relative`` is the path below root number ``root`` (empty or ``/a/b``); ``parent_tree`` and ``known`` are what the
    parent snapshot and the local state remember of it.
    """

    owner: int | None
    token: int
    root: int
    relative: str
    parent_tree: BlobId | None
    known: bytes | None


@dataclass(frozen=True, slots=True)
class Slice:
    """Read these regular files of one huge directory and return their nodes; the rest as in :class:`Task`."""

    owner: int
    token: int
    root: int
    relative: str
    names: list[str]


@dataclass(frozen=True, slots=True)
class TreeDone:
    """A task's answer. ``tree`` None = the directory could not be read and is left out."""

    owner: int | None
    token: int
    tree: BlobId | None


@dataclass(frozen=True, slots=True)
class SliceDone:
    """A slice's answer: one node per name, empty where the file is left out."""

    owner: int
    token: int
    nodes: list[str]


@dataclass(frozen=True, slots=True)
class Idle:
    """The worker has nothing to do."""

    worker: int


@dataclass(frozen=True, slots=True)
class EntryFailed:
    """One file or directory that could not be read."""

    path: bytes
    error: str
    code: str


@dataclass(frozen=True, slots=True)
class LargeFile:
    """A large file is being read, or no longer (``begins`` False)."""

    path: str
    begins: bool


@dataclass(frozen=True, slots=True)
class Finish:
    """To a worker: write out what you hold, then say goodbye."""


@dataclass(frozen=True, slots=True)
class Goodbye:
    """From a worker: everything it stored is durable and reported. ``state`` are its records for the local state."""

    worker: int
    state: bytes


@dataclass(frozen=True, slots=True)
class WorkerFailed:
    """From a worker that ends on an error which is not about one file."""

    error: BaseException


ToWorker = Task | Slice | TreeDone | SliceDone | Finish
FromWorker = Task | Slice | TreeDone | SliceDone | WrittenPack | Idle | EntryFailed | LargeFile | Goodbye | WorkerFailed
