"""Pieces of a restore's work, those waiting for them, and what workers and the coordinator tell each other.

Items are plain values that go to whichever worker is idle. ``parts`` are names below the target; ``path`` is the stored
path, for messages. Most are tuples: a class of them is made in a fraction of a dataclass's time, at every start.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from ...errors import EngineError
from ...ids import BlobId
from ...repository.tree import Node
from .fetching import PackPlace
from .selection import Selection

Parts = tuple[bytes, ...]

_ID_BYTES: Final = 32


class FolderItem(NamedTuple):
    """A directory to make or enter, with everything selected below it. ``node`` None = the target itself.

    ``is_on_the_way``: only something below it is wanted, so an existing one keeps its metadata.
    ``home`` and ``device`` are those of the directory above, see :mod:`.hard_links`.
    """

    parts: Parts
    path: bytes
    node: Node | None
    tree: BlobId
    tree_place: PackPlace
    selection: Selection
    home: Parts
    device: int

    @property
    def is_on_the_way(self) -> bool:
        return not self.selection.is_whole

    def child(  # noqa: PLR0917 - positional, since one is made for every directory
        self, node: Node, tree: BlobId, tree_place: PackPlace, inside: Selection, home: Parts, device: int
    ) -> FolderItem:
        """A directory in this one."""
        path = self.path + b"/" + node.name
        return FolderItem((*self.parts, node.name), path, node, tree, tree_place, inside, home, device)


class Place(NamedTuple):
    """A directory at the target that is being filled. ``is_fresh``: this restore made it, so no name in it is taken.

    ``is_unfinished``: an earlier attempt made it and did not complete it, so whatever is in it is ours.
    ``inherits``: new entries get an ACL or a group from it that are not theirs.
    """

    parts: Parts
    path: bytes
    is_fresh: bool
    is_unfinished: bool
    inherits: bool
    home: Parts
    device: int


class EntriesItem(NamedTuple):
    """Some of the entries of a very large directory that exists."""

    place: Place
    nodes: list[Node]
    selection: Selection


class SegmentItem(NamedTuple):
    """A part of a large file: each of ``runs`` (offset, ids joined) goes to its offset of the temporary ``name``."""

    parts: Parts
    name: bytes
    path: bytes
    runs: tuple[tuple[int, bytes], ...]

    def ranges(self) -> Iterator[tuple[int, list[BlobId]]]:
        """Each offset with the blobs that follow each other from there."""
        for offset, joined in self.runs:
            yield offset, [BlobId(joined[at : at + _ID_BYTES]) for at in range(0, len(joined), _ID_BYTES)]


Item = FolderItem | EntriesItem | SegmentItem


@dataclass(slots=True, eq=False)
class Remote:
    """The item belongs to another worker, who waits for the answer to ``token``."""

    owner: int
    token: int


@dataclass(slots=True, eq=False)
class Folder:
    """A directory whose entries are being restored; its metadata comes when nothing is ``waiting`` any more.

    ``node`` None = leave its metadata alone. ``is_new``: this restore or an earlier attempt made it. ``is_guest``: the
    directory is another worker's, only some of its entries are restored here.
    """

    place: Place
    node: Node | None
    parent: Parent
    waiting: int = 1
    is_new: bool = False
    is_guest: bool = False


@dataclass(slots=True, eq=False)
class FileJob:
    """A regular file on its way. ``where`` and ``name`` are its temporary place; ``fd`` is open while it is written.

    ``key`` is set if it is the first of several hard links.
    """

    folder: Folder
    node: Node
    must_replace: bool
    must_verify: bool = False
    key: bytes = b""
    where: Parts = ()
    name: bytes = b""
    fd: int = -1
    waiting: int = 0
    size: int = 0
    error: str = ""
    code: str = ""

    @property
    def path(self) -> bytes:
        return self.folder.place.path + b"/" + self.node.name


Parent = Folder | FileJob | Remote


# To a worker.
class Task(NamedTuple):
    owner: int
    token: int
    item: Item


class Returned(NamedTuple):
    """An item this worker gave away is done. ``error`` and ``code`` only for segments."""

    token: int
    error: str = ""
    code: str = ""


class End(NamedTuple):
    """Nothing is left to do: report and exit."""


ToWorker = Task | Returned | End


# To the coordinator.
class Given(NamedTuple):
    token: int
    item: Item


class Done(NamedTuple):
    owner: int
    token: int
    error: str = ""
    code: str = ""


class Idle(NamedTuple):
    """Nothing to do, after ``heard`` messages: one more that is on its way makes this out of date."""

    heard: int


class Failed(NamedTuple):
    """One entry that could not be restored."""

    path: bytes
    error: str
    code: str


class InFlight(NamedTuple):
    """A large file begins or ends."""

    path: bytes
    begins: bool


class Home(NamedTuple):
    """A directory gets one of links, which must go in the end, see :mod:`.hard_links`."""

    parts: Parts


class Report(NamedTuple):
    """A worker's last words."""

    warnings: dict[str, tuple[int, str]]


class Aborted(NamedTuple):
    """The whole restore cannot go on."""

    error: EngineError


class Crashed(NamedTuple):
    """A defect: the traceback, for the log."""

    traceback: str


FromWorker = Given | Done | Idle | Failed | InFlight | Home | Report | Aborted | Crashed
