"""Trees for a walk: where all subtrees of a directory lie is looked up at once, much cheaper than one by one."""

from __future__ import annotations

from ...ids import BlobId
from ...repository.blob import open_blob
from ...repository.layout import BlobKind, pack_name
from ...repository.reader import BlobReader, not_indexed
from ...repository.stored import read_part
from ...repository.tree import Node, parse_tree
from .fetching import PackPlace, located


def tree_places(reader: BlobReader, trees: list[BlobId]) -> list[PackPlace]:
    """Where each tree lies."""
    return located(reader.index, trees, BlobKind.TREE)


def read_tree(reader: BlobReader, tree: BlobId, place: PackPlace) -> list[Node]:
    """The nodes of a located tree. Raises RepositoryDamaged."""
    pack, offset, length, raw_length = place
    if pack < 0:
        raise not_indexed(BlobKind.TREE, tree)
    name = pack_name(reader.index.pack_id(pack))
    sealed = read_part(reader.repository.media, name, offset=offset, length=length)
    text = open_blob(sealed, reader.repository.sealer(), blob=tree, raw_length=raw_length, name=name)
    return parse_tree(text, name=f"tree {tree.hex()}")
