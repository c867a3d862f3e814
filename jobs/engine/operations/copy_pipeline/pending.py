"""Directories on their way to becoming trees, and slices of huge ones. State only; ``assembly`` fills it."""

from __future__ import annotations

from typing import NamedTuple

from ...ids import BlobId
from ...source.status import Status


class PendingDirectory:
    """A directory that was listed or is to be.

    ``relative`` is its path below root number ``root``. ``parent`` waits for its tree in ``slot``; without a parent the
    tree goes to ``owner`` under ``token``. ``prefix`` is its own node up to the content, None if the parent is
    *unchanged* (its old node is kept). ``parent_tree`` is its tree in the parent snapshot, ``known`` the fingerprint
    the local state remembers for that tree. While ``is_unchanged``, the entries equal those of ``parent_tree`` and only
    ``children`` (JSON name: tree now, tree before) may differ. ``waiting`` counts what is missing in ``nodes``.
    """

    __slots__ = (
        "children",
        "fingerprint",
        "is_unchanged",
        "known",
        "name",
        "nodes",
        "owner",
        "parent",
        "parent_tree",
        "prefix",
        "relative",
        "root",
        "slot",
        "token",
        "waiting",
    )

    def __init__(
        self,
        *,
        root: int,
        relative: str,
        parent_tree: BlobId | None,
        known: bytes | None,
        parent: PendingDirectory | None = None,
        slot: int = 0,
        name: str = "",
        prefix: str | None = None,
        owner: int | None = None,
        token: int = 0,
    ) -> None:
        self.root = root
        self.relative = relative
        self.parent_tree = parent_tree
        self.known = known
        self.parent = parent
        self.slot = slot
        self.name = name
        self.prefix = prefix
        self.owner = owner
        self.token = token
        self.nodes: list[str] = []
        self.waiting = 0
        self.is_unchanged = False
        self.children: dict[str, tuple[BlobId | None, BlobId | None]] = {}
        self.fingerprint: bytes | None = None


class PendingSlice:
    """Regular files of ``directory`` that must be read: (slot, name) each."""

    __slots__ = ("directory", "files")

    def __init__(self, directory: PendingDirectory, files: list[tuple[int, str]]) -> None:
        self.directory = directory
        self.files = files


class ForeignSlice(PendingDirectory):
    """A slice taken over from another worker: its nodes go back as they are and never become a tree here."""

    __slots__ = ()


class WantedFile(NamedTuple):
    """A regular file whose content must be read. ``prefix`` is its node up to the attributes."""

    directory: PendingDirectory
    slot: int
    name: str
    st: Status
    prefix: str


class FoundEntry(NamedTuple):
    """An entry of a listed directory: its JSON name, its prefix, and its node in the parent's tree if there is one."""

    slot: int
    name: str
    st: Status
    body: str
    prefix: str
    old: str | None
