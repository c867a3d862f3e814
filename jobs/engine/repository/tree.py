"""Tree blobs: ``{"nodes":[...]}`` and a newline, nodes sorted by raw name bytes (design document, "Trees and Data").

For copying, a tree is split into node strings by a regular expression and never parsed; for restoring and browsing,
nodes are parsed to :class:`Node`. Building a node from a file's metadata lives in ``source.node``.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final, NamedTuple

import orjson

from ..ids import BlobId
from .gojson import parse_go_time, unix_permissions, unquote
from .layout import blob_id, damaged

_HEAD: Final = '{"nodes":['
_TAIL: Final = re.compile(r"\]\}\s*\Z")
_NODE_START: Final = re.compile(r'\{"name":"((?:[^"\\]|\\.)*)","type":"')
_SUBTREE: Final = re.compile(r'"subtree":"([0-9a-f]{64})"\}\Z')
_CONTENT: Final = re.compile(r'"content":\[((?:"[0-9a-f]{64}",?)*)\]\}\Z')


class NodeKind(StrEnum):
    """The ``type`` of a node."""

    FILE = "file"
    DIRECTORY = "dir"
    SYMLINK = "symlink"
    BLOCK_DEVICE = "dev"
    CHARACTER_DEVICE = "chardev"
    FIFO = "fifo"
    SOCKET = "socket"
    IRREGULAR = "irregular"


_KINDS: Final[dict[str, NodeKind]] = {kind.value: kind for kind in NodeKind}
_INTEGER: Final = frozenset({int})


class Node(NamedTuple):
    """One entry of a tree. ``permissions`` are the low 12 bits of ``st_mode``; times are ns since the epoch, UTC.

    ``link_target`` and names are raw bytes; ``content`` is empty and ``subtree`` None where they do not apply. A tuple,
    since a restore makes one for every file: it takes a third of a frozen dataclass's time.
    """

    name: bytes
    kind: NodeKind
    permissions: int
    mtime_ns: int
    atime_ns: int
    ctime_ns: int
    uid: int
    gid: int
    user: str
    group: str
    inode: int
    device_id: int
    size: int
    links: int
    link_target: bytes
    device: int
    attributes: tuple[tuple[bytes, bytes], ...]
    content: tuple[BlobId, ...]
    subtree: BlobId | None


def join_tree(nodes: Iterable[str]) -> bytes:
    """A tree blob of node strings that are sorted already."""
    return f"{_HEAD}{','.join(nodes)}]}}\n".encode()


EMPTY_TREE: Final = join_tree(())


def split_tree(raw: bytes, *, name: str = "tree") -> list[tuple[str, str]]:
    """(JSON body of the name, node string) of every node, in order. Raises RepositoryDamaged naming ``name``."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise damaged(name, "a tree in it is not UTF-8") from error
    starts = [(match.start(), match[1]) for match in _NODE_START.finditer(text)]
    tail = _TAIL.search(text)
    if tail is None or not text.startswith(_HEAD) or (starts[0][0] if starts else tail.start()) != len(_HEAD):
        return _split_unusual(raw, name)
    ends = [start - 1 for start, _ in starts[1:]]
    ends.append(tail.start())
    return [(body, text[start:end]) for (start, body), end in zip(starts, ends, strict=False)]


def _split_unusual(raw: bytes, name: str) -> list[tuple[str, str]]:
    """Other writers may space or order the JSON differently: written again in the usual form."""
    out = []
    for node in _load_nodes(raw, name):
        if not isinstance(node, dict) or not isinstance(node.get("name"), str) or "type" not in node:
            raise damaged(name, "a tree in it holds a node without name or type")
        usual = {"name": node["name"], "type": node["type"], **node}
        text = json.dumps(usual, ensure_ascii=False, separators=(",", ":"))
        text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
        match = _NODE_START.match(text)
        if match is None:
            raise damaged(name, "a tree in it holds a node without name or type")
        out.append((match[1], text))
    return out


def _load_nodes(raw: bytes, name: str) -> list[Any]:
    try:
        nodes = orjson.loads(raw)["nodes"]
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(name, "a tree in it is not the JSON document it should be") from error
    if nodes is None:
        return []
    if not isinstance(nodes, list):
        raise damaged(name, "a tree in it has no list of nodes")
    return nodes


def node_subtree(node: str) -> BlobId | None:
    """The subtree of a node string; None if it is no directory."""
    match = _SUBTREE.search(node)
    return BlobId(bytes.fromhex(match[1])) if match else None


def replace_subtree(node: str, subtree: BlobId) -> str:
    """The node string of a directory with another subtree. Raises ValueError if it has none."""
    match = _SUBTREE.search(node)
    if match is None:
        raise ValueError("the node has no subtree")
    return f'{node[: match.start()]}"subtree":"{subtree.hex()}"}}'


def node_content(node: str) -> list[BlobId]:
    """The blobs of a file's node string, in order; empty for anything else."""
    match = _CONTENT.search(node)
    if match is None or not match[1]:
        return []
    return [BlobId(bytes.fromhex(part[1:-1])) for part in match[1].split(",")]


def tree_references(raw: bytes, *, name: str = "tree") -> tuple[list[BlobId], list[BlobId]]:
    """(data blobs of its files, subtrees of its directories) of a tree, quicker than parsing it whole.

    Raises RepositoryDamaged naming ``name``.
    """
    try:
        nodes = _load_nodes(raw, name)
        content = [blob_id(blob) for node in nodes for blob in node.get("content") or ()]
        subtrees = [blob_id(node["subtree"]) for node in nodes if node["type"] == "dir"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(name, f"a tree in it holds a malformed node ({error})") from error
    return content, subtrees


def tree_entries(raw: bytes, *, name: str = "tree") -> list[tuple[str, list[BlobId], BlobId | None]]:
    """(name as in the JSON, data blobs, subtree) of every node, quicker than parsing it whole.

    Raises RepositoryDamaged naming ``name``.
    """
    try:
        return [
            (
                node["name"],
                [blob_id(blob) for blob in node.get("content") or ()],
                blob_id(node["subtree"]) if node["type"] == "dir" else None,
            )
            for node in _load_nodes(raw, name)
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(name, f"a tree in it holds a malformed node ({error})") from error


def parse_tree(raw: bytes, *, name: str = "tree") -> list[Node]:
    """Every node of a tree, checked. Raises RepositoryDamaged naming ``name`` (the pack, or the tree)."""
    nodes = _load_nodes(raw, name)
    try:
        parsed = [_parse_node(node) for node in nodes]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(name, f"a tree in it holds a malformed node ({error})") from error
    if len({node.name for node in parsed}) != len(parsed):
        raise damaged(name, "a tree in it holds a name twice")
    return parsed


def _parse_node(value: dict[str, Any]) -> Node:
    get = value.get
    raw_name = unquote(value["name"])
    if not raw_name or raw_name in {b".", b".."} or b"/" in raw_name or b"\0" in raw_name:
        raise ValueError("impossible name")
    kind = _KINDS[value["type"]]
    numbers = (
        get("mode", 0),
        get("uid", 0),
        get("gid", 0),
        get("inode", 0),
        get("device_id", 0),
        get("size", 0),
        get("links", 0),
        get("device", 0),
    )
    if not _INTEGER.issuperset(map(type, numbers)) or min(numbers) < 0:
        raise ValueError("a number is not one")
    mode, uid, gid, inode, device_id, size, links, device = numbers
    subtree = get("subtree")
    if kind is NodeKind.DIRECTORY and subtree is None:
        raise ValueError("a directory without subtree")
    mtime, atime, ctime = value["mtime"], value["atime"], value["ctime"]
    mtime_ns = parse_go_time(mtime)
    attributes, content = get("extended_attributes"), get("content")
    return Node(
        raw_name,
        kind,
        unix_permissions(mode),
        mtime_ns,
        mtime_ns if atime == mtime else parse_go_time(atime),
        mtime_ns if ctime == mtime else parse_go_time(ctime),
        uid,
        gid,
        _text(get("user", "")),
        _text(get("group", "")),
        inode,
        device_id,
        size,
        links,
        _link_target(value) if kind is NodeKind.SYMLINK else b"",
        device,
        _attributes(attributes) if attributes else (),
        tuple([blob_id(item) for item in content]) if content else (),
        blob_id(subtree) if subtree is not None else None,
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is not one")
    return value


def _link_target(value: dict[str, Any]) -> bytes:
    raw = value.get("linktarget_raw")
    target = _text(value.get("linktarget", "")).encode() if raw is None else base64.b64decode(raw, validate=True)
    if b"\0" in target:
        raise ValueError("impossible link target")
    return target


def _attributes(value: list[dict[str, str | None]]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((_text(item["name"]).encode(), base64.b64decode(item["value"] or "", validate=True)) for item in value)
