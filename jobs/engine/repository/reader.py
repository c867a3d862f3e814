"""Reading blobs and trees through the index, verified. For reading many blobs in pack order, see the restore."""

from __future__ import annotations

from ..ids import BlobId
from .blob import open_blob
from .index import Index
from .layout import BlobKind, damaged, pack_name
from .repository import Repository
from .stored import read_part
from .tree import Node, parse_tree, split_tree


class BlobReader:
    """One repository and its index. Thread-safe; works after ``fork``."""

    __slots__ = ("index", "repository")

    def __init__(self, repository: Repository, index: Index) -> None:
        self.repository = repository
        self.index = index

    def read(self, kind: BlobKind, blob: BlobId) -> bytes:
        """The plain text of a blob. Raises RepositoryDamaged naming the pack, or the blob if no index knows it."""
        found = self.index.find(kind, blob)
        if found is None:
            raise damaged(
                f"{kind.word} {blob.hex()}",
                "no index names a pack that holds it",
                hint="Rebuild the index from the packs, then check the repository.",
            )
        pack_id, place = found
        name = pack_name(pack_id)
        sealed = read_part(self.repository.media, name, offset=place.offset, length=place.length)
        return open_blob(sealed, self.repository.sealer(), blob=blob, raw_length=place.raw_length, name=name)

    def read_tree(self, tree: BlobId) -> list[Node]:
        """The nodes of a tree. Raises RepositoryDamaged."""
        return parse_tree(self.read(BlobKind.TREE, tree), name=f"tree {tree.hex()}")

    def split_tree(self, tree: BlobId) -> list[tuple[str, str]]:
        """The node strings of a tree, see :func:`tree.split_tree`."""
        return split_tree(self.read(BlobKind.TREE, tree), name=f"tree {tree.hex()}")
