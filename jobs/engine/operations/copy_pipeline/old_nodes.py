"""Nodes of the parent's tree by their path, and what a node string tells without being parsed."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import orjson

from ...ids import BlobId
from ...repository.blob import hash_blob
from ...repository.gojson import name_body, unquote
from ...repository.tree import EMPTY_TREE, node_subtree
from ...source.node import subtree_suffix

Nodes = dict[str, str]
"""Node strings by JSON name, in the tree's order."""

_KIND: Final = re.compile(r'","type":"([a-z]+)"')
_SIZE: Final = re.compile(r'"size":([0-9]+)')
_MTIME: Final = re.compile(r'"mtime":"([^"]*)"')
_EMPTY: Final = hash_blob(EMPTY_TREE)
_DIRECTORIES_HELD: Final = 64


def node_kind(node: str) -> str:
    """“file”, “dir” …"""
    match = _KIND.search(node)
    return match[1] if match is not None else ""


def node_size(node: str) -> int:
    """Bytes of a regular file."""
    match = _SIZE.search(node)
    return int(match[1]) if match is not None else 0


def directory_prefix(node: str) -> str | None:
    """A directory's node without its content and subtree; None if it is not written as ours are."""
    tree = node_subtree(node)
    if tree is None:
        return None
    suffix = subtree_suffix(tree)
    return node[: -len(suffix)] if node.endswith(suffix) else None


def node_mtime(node: str) -> str:
    """As it is written, a Go time."""
    match = _MTIME.search(node)
    return match[1] if match is not None else ""


def raw_name(body: str) -> bytes:
    """A JSON name's own bytes."""
    return unquote(orjson.loads(f'"{body}"')) if "\\" in body else body.encode()


class LostTreeError(Exception):
    """A tree of the parent is in no index: what did not change cannot be taken from it."""


def load_old(load_nodes: Callable[[BlobId], Nodes], tree: BlobId) -> Nodes:
    """The nodes of a tree that must be there. Raises LostTreeError, RepositoryDamaged."""
    nodes = load_nodes(tree)
    if not nodes and tree != _EMPTY:
        raise LostTreeError
    return nodes


class OldNodes:
    """One root's tree in the parent, reached by paths relative to the root (``/a/b``). Holds a few directories."""

    def __init__(self, load_nodes: Callable[[BlobId], Nodes], tree: BlobId) -> None:
        self._load = load_nodes
        self._tree = tree
        self._held: OrderedDict[str, Nodes] = OrderedDict()

    def find(self, path: str) -> str | None:
        """The node of anything below the root. Raises LostTreeError, RepositoryDamaged."""
        parent, _, name = path.rpartition("/")
        nodes = self._directory(parent)
        return nodes.get(name_body(name)) if nodes is not None else None

    def _directory(self, path: str) -> Nodes | None:
        nodes = self._held.get(path)
        if nodes is not None:
            self._held.move_to_end(path)
            return nodes
        tree: BlobId | None = self._tree
        if path:
            node = self.find(path)
            tree = node_subtree(node) if node is not None else None
        if tree is None:
            return None
        self._held[path] = nodes = load_old(self._load, tree)
        if len(self._held) > _DIRECTORIES_HELD:
            self._held.popitem(last=False)
        return nodes
