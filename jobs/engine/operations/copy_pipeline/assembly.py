"""From nodes to trees, from the leaves up: a directory whose last node arrived becomes a node of its parent."""

from __future__ import annotations

from typing import Protocol

from ...ids import BlobId
from ...repository.tree import join_tree, node_subtree, replace_subtree
from ...source.node import subtree_suffix
from .local_state import path_key
from .messages import FromWorker, SliceDone, TreeDone
from .pending import ForeignSlice, PendingDirectory, PendingSlice
from .stores import BlobStore
from .tally import Tally


class Report(Protocol):
    """Takes what this worker has to say to the coordinator."""

    def send(self, message: FromWorker) -> None: ...


class Assembly:
    """Completes directories of one worker, and remembers which of them went to other workers."""

    def __init__(self, *, store: BlobStore, report: Report, tally: Tally, with_state: bool) -> None:
        self._store = store
        self._report = report
        self._tally = tally
        self._with_state = with_state
        self._next_token = 0
        self._lent: dict[int, PendingDirectory | PendingSlice] = {}
        self.state = bytearray()

    @property
    def lends(self) -> bool:
        """Whether something given to other workers has not come back."""
        return bool(self._lent)

    def lend(self, item: PendingDirectory | PendingSlice) -> int:
        """Note that another worker does ``item``; returns the token its answer will carry."""
        self._next_token = token = self._next_token + 1
        self._lent[token] = item
        return token

    def returned(self, answer: TreeDone | SliceDone) -> None:
        """An answer to something lent."""
        item = self._lent.pop(answer.token)
        if isinstance(item, PendingSlice) and isinstance(answer, SliceDone):
            if not all(answer.nodes):
                item.directory.fingerprint = None
            for (slot, _), node in zip(item.files, answer.nodes, strict=True):
                self.fill(item.directory, slot, node)
        elif isinstance(item, PendingDirectory) and isinstance(answer, TreeDone):
            self.deliver(item, answer.tree)

    def fill(self, directory: PendingDirectory, slot: int, node: str) -> None:
        """One more node of a directory; an empty one is left out. The last one completes it."""
        directory.nodes[slot] = node
        directory.waiting -= 1
        if not directory.waiting:
            self.complete(directory)

    def deliver(self, directory: PendingDirectory, tree: BlobId | None) -> None:
        """The tree of a directory is known; None = it cannot be read and is left out of its parent."""
        parent = self._hand_up(directory, tree)
        if parent is not None:
            self.complete(parent)

    def complete(self, directory: PendingDirectory) -> None:
        """All nodes are there. Goes up as far as this completes parents."""
        up: PendingDirectory | None = directory
        while up is not None:
            if isinstance(up, ForeignSlice):
                self._report.send(SliceDone(up.owner or 0, up.token, up.nodes))
                return
            tree = self._unchanged_tree(up) if up.is_unchanged else self._new_tree(up)
            self._count(up.parent_tree, tree)
            if self._with_state and up.fingerprint is not None:
                self.state += path_key(up.root, up.relative) + up.fingerprint + tree
            up.nodes = []
            up = self._hand_up(up, tree)

    def _count(self, before: BlobId | None, tree: BlobId) -> None:
        if before is None:
            self._tally.dirs_new += 1
        elif before == tree:
            self._tally.dirs_unmodified += 1
        else:
            self._tally.dirs_changed += 1

    def _hand_up(self, directory: PendingDirectory, tree: BlobId | None) -> PendingDirectory | None:
        """Hand a tree to whoever waits for it; returns the parent if that completes it."""
        parent = directory.parent
        if parent is None:
            self._report.send(TreeDone(directory.owner, directory.token, tree))
            return None
        if tree is None:
            parent.fingerprint = None
        if parent.is_unchanged:
            parent.children[directory.name] = (tree, directory.parent_tree)
        elif tree is not None and directory.prefix is not None:
            parent.nodes[directory.slot] = directory.prefix + subtree_suffix(tree)
        parent.waiting -= 1
        return None if parent.waiting else parent

    def _new_tree(self, directory: PendingDirectory) -> BlobId:
        return self._store.save_tree(join_tree([node for node in directory.nodes if node]))

    def _unchanged_tree(self, directory: PendingDirectory) -> BlobId:
        """The parent's tree, with the subtrees of children that changed below put in."""
        before = directory.parent_tree
        if before is None:
            raise ValueError("an unchanged directory has a tree in the parent")
        if all(tree == known for tree, known in directory.children.values()):
            return before
        nodes = self._store.load_nodes(before)
        for name, (tree, known) in directory.children.items():
            if tree == known:
                continue
            old = nodes.get(name)
            if tree is None or old is None:
                nodes.pop(name, None)
            elif node_subtree(old) != tree:
                nodes[name] = replace_subtree(old, tree)
        return self._store.save_tree(join_tree(nodes.values()))
