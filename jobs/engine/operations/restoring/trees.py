"""Trees for a walk: where all subtrees of a directory lie is looked up at once, much cheaper than one by one."""

from __future__ import annotations

from ...errors import RepositoryDamaged
from ...ids import BlobId
from ...repository.blob import open_blob
from ...repository.layout import BlobKind, pack_name
from ...repository.reader import BlobReader, not_indexed
from ...repository.stored import read_part
from ...repository.tree import Node, parse_tree
from .fetching import PackPlace, located
from .items import FolderItem, Parts


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


def only_way(reader: BlobReader, first: FolderItem) -> Parts:
    """Names of the directories that lead to the first one with more than one wanted entry. Damage ends the way."""
    parts: Parts = ()
    tree, selection = first.tree, first.selection
    while True:
        try:
            nodes = [node for node in reader.read_tree(tree) if selection.below(node.name) is not None]
        except RepositoryDamaged:
            return parts
        below = selection.below(nodes[0].name) if len(nodes) == 1 else None
        if below is None or nodes[0].subtree is None:
            return parts
        parts, tree, selection = (*parts, nodes[0].name), nodes[0].subtree, below
