"""The two things a catalog is told, and the folders above content paths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from ...repository.tree import Node, NodeKind


class Found(NamedTuple):
    """A path as it is now. ``kind`` is a letter as ``find -type`` has it, ``o`` for anything else.

    ``folder`` is the absolute path of the folder it lies in (the root: ``/``); names are raw bytes. ``size`` is that of
    a regular file, else 0; ``mtime_ns`` is ns since the epoch, UTC; ``mode`` the low 12 bits of ``st_mode``.
    ``user`` and ``group`` are empty where the source had no name for the number.
    """

    folder: bytes
    name: bytes
    kind: str
    size: int
    mtime_ns: int
    mode: int
    uid: int
    gid: int
    user: str
    group: str
    link_target: bytes


class Gone(NamedTuple):
    """A path that is no more, with all that was below it. To be told before what is found in its place."""

    folder: bytes
    name: bytes


Change = Found | Gone

KINDS: Final[dict[NodeKind, str]] = {
    NodeKind.FILE: "f",
    NodeKind.DIRECTORY: "d",
    NodeKind.SYMLINK: "l",
    NodeKind.BLOCK_DEVICE: "b",
    NodeKind.CHARACTER_DEVICE: "c",
    NodeKind.FIFO: "p",
}


def found_node(folder: bytes, node: Node) -> Found:
    """What a repository's node says."""
    return Found(
        folder,
        node.name,
        KINDS.get(node.kind, "o"),
        node.size if node.kind is NodeKind.FILE else 0,
        node.mtime_ns,
        node.permissions,
        node.uid,
        node.gid,
        node.user,
        node.group,
        node.link_target,
    )


def gone(path: bytes) -> Gone:
    """A path that is no more, given whole."""
    folder, _, name = path.rpartition(b"/")
    return Gone(folder or b"/", name)


def below(folder: bytes, name: bytes) -> bytes:
    """The path of a name in a folder."""
    return b"/" + name if folder == b"/" else folder + b"/" + name


def chain_of(roots: Iterable[bytes]) -> Iterator[Found]:
    """The folders above the content paths, each once, outermost first.

    They are the way to the content and no part of it: nothing is said of their rights, times and owners.
    """
    known: set[bytes] = set()
    contents = set(roots)
    for root in sorted(contents):
        parts = [part for part in root.split(b"/") if part]
        folder = b"/"
        for part in parts[:-1]:
            path = below(folder, part)
            if path not in known and path not in contents:
                known.add(path)
                yield Found(folder, part, "d", 0, 0, 0, 0, 0, "", "", b"")
            folder = path


def outermost(roots: Iterable[bytes]) -> list[bytes]:
    """The content paths that lie in no other, normalised, sorted."""
    kept: list[bytes] = []
    for root in sorted(b"/" + b"/".join(part for part in root.split(b"/") if part) for root in roots):
        if not any(is_inside(root, other) for other in kept):
            kept.append(root)
    return kept


def is_inside(path: bytes, folder: bytes) -> bool:
    """Whether a path is the folder or lies below it."""
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")


def gone_roots(old: Sequence[bytes], new: Sequence[bytes]) -> Iterator[Gone]:
    """Content paths that are no more, each with the folders above it that lead to no other. Both are outermost ones."""
    for root in old:
        if root in new or root == b"/":
            continue
        path = root
        folder = path.rpartition(b"/")[0]
        while folder and not any(is_inside(other, folder) or is_inside(folder, other) for other in new):
            path, folder = folder, folder.rpartition(b"/")[0]
        yield gone(path)
