"""Whether a restored file is what was copied: byte for byte as in the held snapshot, or as its stored hashes say."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from ...plan import SourceRoot
from ...repository.blob import hash_blob
from ...repository.crypto import SEAL_BYTES
from ...repository.layout import BlobKind
from ...repository.reader import BlobReader
from ...repository.tree import Node
from ...source.listing import open_directory, open_file
from ..mending.held_files import place_of

_PIECE_BYTES: Final = 1 << 20


def differs_from_snapshot(restored: bytes, path: bytes, roots: Sequence[SourceRoot]) -> str:
    """Why the file at ``restored`` is not the one at ``path`` of the snapshot opened at ``roots``; '' = it is."""
    place = place_of(path, roots)
    if place is None:
        return "the snapshot has no such content path"
    try:
        ours = _open(os.fsdecode(os.path.dirname(restored)), os.fsdecode(os.path.basename(restored)))
    except OSError as error:
        return f"it was not restored: {error.strerror}"
    try:
        theirs = _open(*place)
    except OSError as error:
        os.close(ours)
        return f"it cannot be read in the snapshot: {error.strerror}"
    try:
        return _compared(ours, theirs)
    except OSError as error:
        return f"it cannot be compared: {error.strerror}"
    finally:
        os.close(ours)
        os.close(theirs)


def differs_from_hashes(restored: bytes, node: Node, reader: BlobReader) -> str:
    """The same by the ids of its blobs: the file is read back and hashed piece by piece."""
    at = reader.index.find_many(BlobKind.DATA, node.content)
    try:
        file = _open(os.fsdecode(os.path.dirname(restored)), os.fsdecode(os.path.basename(restored)))
    except OSError as error:
        return f"it was not restored: {error.strerror}"
    try:
        if (size := os.fstat(file).st_size) != node.size:
            return f"{size:,} bytes were restored, {node.size:,} were copied"
        for blob, raw, sealed in zip(node.content, at.raw_length.tolist(), at.length.tolist(), strict=True):
            if hash_blob(_read(file, raw or sealed - SEAL_BYTES)) != blob:
                return "its content is not what was copied"
        return ""
    except OSError as error:
        return f"it cannot be read back: {error.strerror}"
    finally:
        os.close(file)


def _compared(ours: int, theirs: int) -> str:
    sizes = os.fstat(ours).st_size, os.fstat(theirs).st_size
    if sizes[0] != sizes[1]:
        return f"{sizes[0]:,} bytes were restored, the snapshot has {sizes[1]:,}"
    at = 0
    while at < sizes[0]:
        mine, other = _read(ours, _PIECE_BYTES), _read(theirs, _PIECE_BYTES)
        if mine != other:
            return f"its bytes from {at:,} on are others than in the snapshot"
        if not mine:
            return "it changed while it was compared"
        at += len(mine)
    return ""


def _open(directory: str, name: str) -> int:
    folder = open_directory(directory)
    try:
        return open_file(name, folder)
    finally:
        os.close(folder)


def _read(file: int, length: int) -> bytes:
    pieces = []
    while length and (piece := os.read(file, length)):
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)
