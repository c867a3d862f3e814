"""What an archive is made of: a backup copy, or a snapshot on its storage. The same entries either way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from ...plan import StoredPath
from ...repository.tree import Node
from ..browse import Browser
from .contents import Contents, Member

LeaveOut = Callable[[StoredPath, str], None]
"""Told of a path that cannot be given, and why."""


class Holding(Protocol):
    """Read by one thread. Every method raises what makes going on useless."""

    def node(self, path: bytes) -> Node | None:
        """One stored path; None for the root. Raises NotInCopy."""

    def walk(self, path: bytes, leave_out: LeaveOut) -> Iterator[tuple[StoredPath, Node]]:
        """Everything below a path, depth first, each directory before what it holds; a file gives itself."""

    def members(self, nodes: Iterable[tuple[StoredPath, Node]], leave_out: LeaveOut) -> Iterator[Member]:
        """Walked nodes with their contents, in the same order. Memory: some MiB."""


class InCopy:
    """A backup copy on a medium. See :class:`Holding`."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def node(self, path: bytes) -> Node | None:
        return self._browser.node(path)

    def walk(self, path: bytes, leave_out: LeaveOut) -> Iterator[tuple[StoredPath, Node]]:
        return self._browser.walk_nodes(path)

    def members(self, nodes: Iterable[tuple[StoredPath, Node]], leave_out: LeaveOut) -> Iterator[Member]:
        return Contents(self._browser.reader, leave_out).members(nodes)
