"""Lost contents from a snapshot that is still on its storage: just the ranges of its files that the lost blobs were.

A blob is the same if and only if its hash is. So the files need not be cut anew, and a large one that was cut by what
changed in it gives the very chunks it was stored as. Trees do not come back this way: a copy makes them again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...errors import RepositoryDamaged
from ...ids import BlobId, FileId
from ...plan import SourceRoot
from ...repository.crypto import SEAL_BYTES
from ...repository.layout import BlobKind
from ...repository.reader import BlobReader
from ...repository.tree import Node
from ...source.listing import open_directory, open_file
from .sources import Brought, Case


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFiles:
    """The files of an opened snapshot that the snapshot file ``file``, with the root ``tree``, was made from."""

    label: str
    file: FileId
    tree: BlobId
    roots: tuple[SourceRoot, ...]

    def bring(self, case: Case) -> Iterator[Brought]:
        folders = _Folders(case.reader, self.tree)
        done: set[BlobId] = set()
        for touched in case.touched:
            if touched.is_folder or self.file not in touched.files:
                continue
            case.control.check()
            where = place_of(touched.path, self.roots)
            node = folders.node(touched.path)
            if where is None or node is None:
                continue
            lost = {blob for blob in node.content if blob in case.lost.data} - done
            for blob, plain in _read_ranges(where, _ranges(case.reader, node, lost)):
                done.add(blob)
                yield BlobKind.DATA, blob, plain


def place_of(path: bytes, roots: Sequence[SourceRoot]) -> tuple[str, str] | None:
    """(directory, name) of a stored path inside an opened snapshot; None = it is below none of its roots."""
    for root in roots:
        stored = root.stored_as.rstrip(b"/")
        if path.startswith(stored + b"/"):
            folder, _, name = path[len(stored) :].rpartition(b"/")
            return os.path.realpath(root.directory) + os.fsdecode(folder), os.fsdecode(name)
    return None


class _Folders:
    """Nodes by stored path. Paths come folder by folder, so the last folder is kept."""

    def __init__(self, reader: BlobReader, tree: BlobId) -> None:
        self._reader = reader
        self._tree = tree
        self._path: bytes | None = None
        self._nodes: dict[bytes, Node] = {}

    def node(self, path: bytes) -> Node | None:
        folder, _, name = path.rpartition(b"/")
        if folder != self._path:
            self._path, self._nodes = folder, self._read(folder)
        return self._nodes.get(name)

    def _read(self, folder: bytes) -> dict[bytes, Node]:
        tree: BlobId | None = self._tree
        try:
            for name in (part for part in folder.split(b"/") if part):
                nodes = {node.name: node for node in self._reader.read_tree(tree)} if tree is not None else {}
                tree = nodes[name].subtree if name in nodes else None
            return {node.name: node for node in self._reader.read_tree(tree)} if tree is not None else {}
        except RepositoryDamaged:
            return {}


Range = tuple[BlobId, int, int]
"""A blob, and the offset and length it has in its file."""


def _ranges(reader: BlobReader, node: Node, lost: set[BlobId]) -> list[Range]:
    """Where the lost blobs are in the file. One whose length no index knows any more is what the others leave.

    Where two such are in one file, neither can be placed.
    """
    at = reader.index.find_many(BlobKind.DATA, node.content)
    lengths = [
        -1 if pack < 0 else raw or sealed - SEAL_BYTES
        for pack, raw, sealed in zip(at.pack.tolist(), at.raw_length.tolist(), at.length.tolist(), strict=True)
    ]
    unknown = {blob for blob, length in zip(node.content, lengths, strict=True) if length < 0}
    if unknown:
        times = sum(blob in unknown for blob in node.content)
        rest = node.size - sum(length for length in lengths if length >= 0)
        if len(unknown) > 1 or rest < 0 or rest % times:
            return []
        lengths = [rest // times if length < 0 else length for length in lengths]
    ranges: dict[BlobId, Range] = {}
    offset = 0
    for blob, length in zip(node.content, lengths, strict=True):
        if blob in lost:
            ranges.setdefault(blob, (blob, offset, length))
        offset += length
    return list(ranges.values())


def _read_ranges(where: tuple[str, str], ranges: Sequence[Range]) -> Iterator[tuple[BlobId, bytes]]:
    """What the file holds there now; a file that cannot be read gives nothing."""
    if not ranges:
        return
    directory, name = where
    try:
        folder = open_directory(directory)
        try:
            file = open_file(name, folder)
        finally:
            os.close(folder)
    except OSError:
        return
    try:
        for blob, offset, length in ranges:
            yield blob, _read(file, offset, length)
    except OSError:
        return
    finally:
        os.close(file)


def _read(file: int, offset: int, length: int) -> bytes:
    pieces: list[bytes] = []
    while length and (piece := os.pread(file, length, offset)):
        pieces.append(piece)
        offset += len(piece)
        length -= len(piece)
    return b"".join(pieces)
