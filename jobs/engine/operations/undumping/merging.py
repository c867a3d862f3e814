"""Which dump of a chain each wanted path comes from, and under which name (RULES L6)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from ...errors import EngineUnsupported, NotInCopy
from ...repository.reader import BlobReader
from .names import Wanted
from .stored import StoredDump, read_whole

_LARGEST: Final = 1 << 30


def wanted_of(reader: BlobReader, chain: Sequence[StoredDump], paths: Sequence[bytes]) -> list[list[Wanted]]:
    """For each dump of the chain what of ``paths``, with all below them, comes from it. Raises NotInCopy,
    EngineUnsupported where a dump has no file history."""
    tree: dict[int, dict[bytes, int]] = {}
    known: dict[int, tuple[int, bytes, str, int | None, int | None]] = {}
    root = 0
    for number, dump in enumerate(chain):
        if dump.history is None:
            raise EngineUnsupported("The file server gave no file history: only whole volumes can be restored.")
        header, *records = map(json.loads, read_whole(reader, dump.history, largest=_LARGEST).splitlines())
        root = header["root"] or root
        folders: dict[int, dict[bytes, int]] = {}
        held: dict[int, Any] = {}
        for record in records:
            if record[0] == "d" and record[3] not in {".", ".."}:
                folders.setdefault(record[1], {})[record[3].encode("utf-8", "surrogateescape")] = record[2]
            elif record[0] == "d" and record[3] == ".":
                folders.setdefault(record[1], {})
                root = root or record[1]
            elif record[0] == "n":
                held[record[1]] = record
        for node in held:
            tree.pop(node, None)
        tree |= folders
        for path, node in _walk(tree, root, b""):
            if node in held:
                _, _, kind, _, _, _, size, _, place = held[node]
                known[node] = (number, path, kind, size, place)
    found: list[list[Wanted]] = [[] for _ in chain]
    for path in paths:
        node = root
        for name in filter(None, path.split(b"/")):
            if name not in tree.get(node, {}):
                raise NotInCopy(f"“{path.decode('utf-8', 'backslashreplace')}” is not in this backup copy.")
            node = tree[node][name]
        for below, inside in [(path.strip(b"/"), node), *_walk(tree, node, path.strip(b"/"))]:
            number, original, kind, size, place = known[inside]
            found[number].append(Wanted(below, original, kind, inside, place, size))
    return found


def _walk(tree: dict[int, dict[bytes, int]], node: int, path: bytes) -> Iterator[tuple[bytes, int]]:
    for name, child in tree.get(node, {}).items():
        below = path + b"/" + name if path else name
        yield below, child
        yield from _walk(tree, child, below)
