"""Where the file list of a dump lies in a backup copy: ``/ndmp/<content path>/<level>.history``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ...errors import HistoryUnusable, NotInCopy
from ...ids import BlobId
from ...repository.layout import BlobKind
from ...repository.reader import BlobReader
from ...repository.tree import Node, NodeKind

FOLDER: Final = b"ndmp"
HISTORY: Final = b".history"


def stored_history(reader: BlobReader, tree: BlobId, content: bytes) -> Iterator[bytes]:
    """The bytes of the list that a copy holds of a content path, piece by piece.

    Raises HistoryUnusable if the file server gave none, NotInCopy, RepositoryDamaged, MediaUnavailable.
    """
    node = _history(reader, tree, content)
    return (reader.read(BlobKind.DATA, blob) for blob in node.content)


def _history(reader: BlobReader, tree: BlobId, content: bytes) -> Node:
    at = tree
    for name in [FOLDER, *filter(None, content.split(b"/"))]:
        found = next((node for node in reader.read_tree(at) if node.name == name), None)
        if found is None or found.subtree is None:
            raise NotInCopy(f"No dump of “{content.decode('utf-8', 'backslashreplace')}” is in this backup copy.")
        at = found.subtree
    for node in reader.read_tree(at):
        if node.kind is NodeKind.FILE and node.name.endswith(HISTORY):
            return node
    raise HistoryUnusable(
        f"The file server gave no list of the files of “{content.decode('utf-8', 'backslashreplace')}” with this dump.",
        hint="Turn file history on in the settings of the file server. Restoring all of the volume needs no list.",
    )
