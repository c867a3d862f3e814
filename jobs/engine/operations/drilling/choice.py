"""Which files a drill restores: chosen by a seed, so that the same seed takes the same files of the same copy again.

In a copy of moderate size every file is as likely as any other; that needs every folder to be read. Of a larger one
folders are entered at random, one level after the other, which reads few of them and prefers files in small folders.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Final

from ...errors import RepositoryDamaged
from ...events import Control
from ...ids import BlobId
from ...plan import StoredPath
from ...repository.reader import BlobReader
from ...repository.tree import Node, NodeKind

MOST_WALKED: Final = 200_000
"""Copies of more files are not walked whole."""

_SPARE: Final = 4
"""So many times the files wanted are drawn, since some may not fit into what is left of the bytes."""
_TRIES: Final = 40
_KEPT_TREES: Final = 512


@dataclass(slots=True, kw_only=True)
class Choice:
    """``files`` in the order of their paths. ``unreadable``: folders that could not be read, and why.

    ``too_large`` counts files drawn that did not fit into the bytes allowed.
    """

    files: dict[StoredPath, Node] = field(default_factory=dict)
    unreadable: dict[bytes, str] = field(default_factory=dict)
    too_large: int = 0


def choose_files(
    reader: BlobReader, tree: BlobId, *, seed: int, files: int, most_bytes: int, expected: int, control: Control
) -> Choice:
    """At most ``files`` regular files of at most ``most_bytes`` together. ``expected``: about so many there are."""
    random = Random(seed)  # noqa: S311 - a choice that can be made again, no secret
    choice = Choice()
    trees = _Trees(reader, choice)
    drawn = (
        _draw_of_all(trees, tree, random, files * _SPARE, control)
        if expected <= MOST_WALKED
        else _draw_by_descent(trees, tree, random, files * _SPARE, control)
    )
    left, taken = most_bytes, list[tuple[StoredPath, Node]]()
    for path, node in drawn:
        if len(taken) == files:
            break
        if node.size > left:
            choice.too_large += 1
            continue
        left -= node.size
        taken.append((path, node))
    choice.files = dict(sorted(taken))
    return choice


class _Trees:
    """Nodes by tree; a folder that cannot be read is noted and empty."""

    def __init__(self, reader: BlobReader, choice: Choice) -> None:
        self._reader, self._choice = reader, choice
        self._kept: dict[BlobId, list[Node]] = {}

    def nodes(self, path: bytes, tree: BlobId) -> list[Node]:
        if (known := self._kept.get(tree)) is not None:
            return known
        try:
            found = self._reader.read_tree(tree)
        except RepositoryDamaged as error:
            self._choice.unreadable[path or b"/"] = error.sentence
            found = []
        if len(self._kept) >= _KEPT_TREES:
            self._kept.pop(next(iter(self._kept)))
        self._kept[tree] = found
        return found


def _draw_of_all(
    trees: _Trees, tree: BlobId, random: Random, count: int, control: Control
) -> list[tuple[StoredPath, Node]]:
    """Each file with the same chance, in random order: reservoir sampling over one walk."""
    drawn: list[tuple[StoredPath, Node]] = []
    for number, found in enumerate(_walk(trees, tree, control)):
        if number < count:
            drawn.append(found)
        elif (place := random.randrange(number + 1)) < count:
            drawn[place] = found
    random.shuffle(drawn)
    return drawn


def _walk(trees: _Trees, tree: BlobId, control: Control) -> Iterator[tuple[StoredPath, Node]]:
    stack = [(b"", tree)]
    while stack:
        control.check()
        above, current = stack.pop()
        below = []
        for node in trees.nodes(above, current):
            path = above + b"/" + node.name
            if node.subtree is not None:
                below.append((path, node.subtree))
            elif node.kind is NodeKind.FILE:
                yield StoredPath(path), node
        stack += reversed(below)


def _draw_by_descent(
    trees: _Trees, tree: BlobId, random: Random, count: int, control: Control
) -> list[tuple[StoredPath, Node]]:
    drawn: dict[StoredPath, Node] = {}
    for _ in range(count * _TRIES):
        if len(drawn) == count:
            break
        control.check()
        path, current = b"", tree
        while nodes := trees.nodes(path, current):
            node = random.choice(nodes)
            path += b"/" + node.name
            if node.subtree is None:
                if node.kind is NodeKind.FILE:
                    drawn[StoredPath(path)] = node
                break
            current = node.subtree
    return list(drawn.items())
