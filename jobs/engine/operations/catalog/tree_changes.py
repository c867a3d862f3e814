"""From a repository's trees: everything a backup copy holds, or what changed since an older copy.

Equal trees have equal ids, so that only directories with changes are read. The content of files is never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ...errors import NotInCopy
from ...ids import BlobId
from ...repository.reader import BlobReader
from ...repository.tree import Node, NodeKind, join_tree, parse_tree
from .entries import Change, Found, below, chain_of, found_node, gone, gone_roots, outermost


def list_trees(reader: BlobReader, tree: BlobId, roots: Sequence[bytes], beat: Callable[[], None]) -> Iterator[Found]:
    """Everything below the content paths of a copy, and the folders above them.

    ``beat`` is called for every directory and may raise. Raises NotInCopy for a content path that is not in the copy,
    RepositoryDamaged, MediaUnavailable.
    """
    yield from chain_of(outermost(roots))
    for root in outermost(roots):
        for change in _content(reader, root, None, _node_at(reader, tree, root), beat):
            if isinstance(change, Found):
                yield change


def tree_changes(
    reader: BlobReader,
    old: tuple[BlobId, Sequence[bytes]],
    new: tuple[BlobId, Sequence[bytes]],
    beat: Callable[[], None],
) -> Iterator[Change]:
    """What changed from one copy to another, each given as its tree and its content paths. See :func:`list_trees`."""
    (old_tree, old_roots), (new_tree, new_roots) = (old[0], outermost(old[1])), (new[0], outermost(new[1]))
    yield from gone_roots(old_roots, new_roots)
    yield from chain_of(new_roots)
    for root in new_roots:
        before = _node_at(reader, old_tree, root) if root in old_roots else None
        yield from _content(reader, root, before, _node_at(reader, new_tree, root), beat)


def _node_at(reader: BlobReader, tree: BlobId, path: bytes) -> Node:
    """The node of a content path. The root of a copy has none of its own: a nameless one stands for it."""
    node = Node(b"", NodeKind.DIRECTORY, 0, 0, 0, 0, 0, 0, "", "", 0, 0, 0, 0, b"", 0, (), (), tree)
    for name in [part for part in path.split(b"/") if part]:
        nodes = reader.read_tree(node.subtree) if node.subtree is not None else []
        found = next((entry for entry in nodes if entry.name == name), None)
        if found is None:
            raise NotInCopy(f"“{path.decode('utf-8', 'backslashreplace')}” is not in this backup copy.")
        node = found
    return node


def _content(
    reader: BlobReader, root: bytes, old: Node | None, new: Node, beat: Callable[[], None]
) -> Iterator[Change]:
    yield from _entry(root.rpartition(b"/")[0] or b"/", old, new)
    before = old.subtree if old is not None else None
    if new.subtree is not None and before != new.subtree:
        yield from _directory(reader, (before, new.subtree), root, beat)


def _directory(
    reader: BlobReader, trees: tuple[BlobId | None, BlobId], path: bytes, beat: Callable[[], None]
) -> Iterator[Change]:
    """Depth first, without recursion: a tree may be deeper than Python's stack."""
    stack: list[tuple[bytes, BlobId | None, BlobId]] = [(path, *trees)]
    while stack:
        folder, before, now = stack.pop()
        beat()
        old, new = _differing(reader, before, now)
        for name in old.keys() - new.keys():
            yield gone(below(folder, name))
        for name, node in new.items():
            former = old.get(name)
            yield from _entry(folder, former, node)
            if node.subtree is not None:
                had = former.subtree if former is not None else None
                if had != node.subtree:
                    stack.append((below(folder, name), had, node.subtree))


def _entry(folder: bytes, old: Node | None, new: Node) -> Iterator[Change]:
    if old is not None and old.subtree is not None and new.subtree is None:
        yield gone(below(folder, new.name))
    if new.name and (old is None or found_node(folder, old) != found_node(folder, new)):
        yield found_node(folder, new)


def _differing(reader: BlobReader, old: BlobId | None, new: BlobId) -> tuple[dict[bytes, Node], dict[bytes, Node]]:
    """The nodes, by name, that are not the same text in both trees. Sockets are in no catalog."""
    now = reader.split_tree(new)
    if old is None:
        return {}, _parsed([node for _, node in now], new)
    before = reader.split_tree(old)
    same = {node for _, node in before} & {node for _, node in now}
    return (
        _parsed([node for _, node in before if node not in same], old),
        _parsed([node for _, node in now if node not in same], new),
    )


def _parsed(nodes: list[str], tree: BlobId) -> dict[bytes, Node]:
    found = parse_tree(join_tree(nodes), name=f"tree {tree.hex()}") if nodes else []
    return {node.name: node for node in found if node.kind is not NodeKind.SOCKET}
