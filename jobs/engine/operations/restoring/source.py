"""The seam between a restore and what it reads: a repository on a medium, or a snapshot on its storage.

Everything else of a restore (target, decisions, directories, links, metadata, holes) is the same for both. Trees and
blobs are in ``from_media``, files of a snapshot in ``from_snapshot``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol, TypeVar

from ...repository.tree import Node
from .fetching import PackPlace, Want
from .items import FileJob, FolderItem, Parts, SegmentItem

Target = TypeVar("Target")


class Unread(NamedTuple):
    """Why something could not be read: a sentence or the end of one, and a stable code. It concerns one entry."""

    error: str
    code: str


class UnreadError(Exception):
    """As :class:`Unread`, raised where a whole directory cannot be read."""

    def __init__(self, unread: Unread) -> None:
        super().__init__(unread.error)
        self.unread = unread


class Listing(NamedTuple):
    """The entries of a directory, and the names of those that are known but cannot be given back."""

    nodes: list[Node]
    unread: tuple[tuple[bytes, Unread], ...] = ()


class Contents(Protocol):
    """One worker's reader of file contents. ``locate`` and ``locate_segment`` forget what was located before."""

    @property
    def batches(self) -> int:
        """How many times the usual is worth being collected before it is read."""

    def locate(self, jobs: Sequence[FileJob]) -> list[list[PackPlace]]:
        """Where each piece of each file's content lies; a pack below 0 = nobody knows that piece."""

    def locate_segment(self, item: SegmentItem) -> list[Want[None]]:
        """The same for a part of a large file, each piece with its place in the target."""

    def read(self, wants: list[Want[Target]]) -> Iterator[tuple[Want[Target], bytes | Unread]]:
        """Every piece with its content or what is wrong with it, in whatever order is quick. Sorts ``wants``.

        Raises the engine's errors when nothing can be read any more.
        """

    def holds(self, job: FileJob, number: int, at: int, data: bytes) -> bool:
        """Whether piece ``number`` of the file, which begins at ``at``, is exactly ``data``."""


class Source(Protocol):
    """What is restored. Stateless but for what ``fork`` shares; made before the workers are."""

    @property
    def must_be_read_back(self) -> bool:
        """True where no digest proves the content, so that what was written is compared with what was read."""

    def listing(self, item: FolderItem) -> Listing:
        """A directory. Raises UnreadError, and the engine's errors when nothing can be read any more."""

    def tree_places(self, nodes: Sequence[Node]) -> list[PackPlace]:
        """Where the trees of several directories lie, looked up at once."""

    def contents(self, on_read: Callable[[int], None]) -> Contents:
        """A reader for one worker. ``on_read`` is told the bytes of every read, before it happens."""

    def missing(self, node: Node) -> str:
        """What is known to be missing of a file's content, without reading it; empty = nothing is known to be."""


def only_way(source: Source, first: FolderItem) -> Parts:
    """Names of the directories that lead to the first one with more than one wanted entry. Damage ends the way."""
    item = first
    while True:
        try:
            found = [node for node in source.listing(item).nodes if item.selection.below(node.name) is not None]
        except UnreadError:
            return item.parts
        below = item.selection.below(found[0].name) if len(found) == 1 else None
        if below is None or found[0].subtree is None:
            return item.parts
        (place,) = source.tree_places(found)
        item = item.child(found[0], found[0].subtree, place, below, item.home, item.device)
