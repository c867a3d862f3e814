"""Contents of files in the order of a walk, read in pack order a batch at a time.

Small files are read whole before anything of them is written, so a damaged one can still be left out. Large ones come
in pieces. Memory: one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from ...errors import RepositoryDamaged
from ...plan import StoredPath
from ...repository.layout import BlobKind
from ...repository.reader import BlobReader, not_indexed
from ...repository.tree import Node, NodeKind
from ..restoring.fetching import Fetcher, PackPlace, Want, located, plain_bytes

BATCH_BYTES: Final = 16 << 20
BATCH_ENTRIES: Final = 512


@dataclass(frozen=True, slots=True)
class Member:
    """One entry to write. Exactly one of ``whole`` and ``pieces`` is set for a regular file, none for anything else.

    ``size`` are the bytes of its content. ``is_packed``: the repository could compress it.
    """

    path: StoredPath
    node: Node
    size: int = 0
    whole: bytes | None = None
    pieces: Iterator[bytes] | None = None
    is_packed: bool = True


class Contents:
    """Turns walked nodes into members. ``on_problem`` is told of each file that is left out."""

    def __init__(self, reader: BlobReader, on_problem: Callable[[StoredPath, str], None]) -> None:
        self._index = reader.index
        self._fetcher = Fetcher(reader.repository, reader.index, on_read=lambda _length: None)
        self._on_problem = on_problem

    def members(self, nodes: Iterable[tuple[StoredPath, Node]]) -> Iterator[Member]:
        """In the order of ``nodes``. Raises RepositoryDamaged in the middle of a large file, MediaUnavailable."""
        batch: list[tuple[StoredPath, Node]] = []
        size = 0
        for path, node in nodes:
            if node.kind is NodeKind.FILE and node.size > BATCH_BYTES:
                yield from self._batch(batch)
                batch, size = [], 0
                yield from self._large(path, node)
                continue
            batch.append((path, node))
            size += node.size
            if size >= BATCH_BYTES or len(batch) >= BATCH_ENTRIES:
                yield from self._batch(batch)
                batch, size = [], 0
        yield from self._batch(batch)

    def _batch(self, batch: list[tuple[StoredPath, Node]]) -> Iterator[Member]:
        ids = [blob for _path, node in batch for blob in node.content]
        places = located(self._index, ids)
        wants: list[Want[int]] = []
        for number, (place, blob) in enumerate(zip(places, ids, strict=True)):
            if place[0] >= 0:
                wants.append((*place, blob, number, 0))
        plain: dict[int, bytes | RepositoryDamaged] = {want[5]: text for want, text in self._fetcher.read(wants)}
        position = 0
        for path, node in batch:
            first, position = position, position + len(node.content)
            if node.kind is not NodeKind.FILE:
                yield Member(path, node)
                continue
            parts = [
                plain.pop(number) if number in plain else not_indexed(BlobKind.DATA, ids[number])
                for number in range(first, position)
            ]
            whole = self._joined(path, parts)
            if whole is not None:
                is_packed = any(place[3] for place in places[first:position])
                yield Member(path, node, size=len(whole), whole=whole, is_packed=is_packed)

    def _joined(self, path: StoredPath, parts: list[bytes | RepositoryDamaged]) -> bytes | None:
        good: list[bytes] = []
        for part in parts:
            if isinstance(part, RepositoryDamaged):
                self._on_problem(path, part.sentence)
                return None
            good.append(part)
        return b"".join(good)

    def _large(self, path: StoredPath, node: Node) -> Iterator[Member]:
        places = located(self._index, list(node.content))
        for place, blob in zip(places, node.content, strict=True):
            if place[0] < 0:
                self._on_problem(path, not_indexed(BlobKind.DATA, blob).sentence)
                return
        size = sum(plain_bytes(place) for place in places)
        is_packed = any(place[3] for place in places)
        yield Member(path, node, size=size, pieces=self._pieces(node, places), is_packed=is_packed)

    def _pieces(self, node: Node, places: list[PackPlace]) -> Iterator[bytes]:
        """The content of a large file in order, a window of blobs at a time."""
        wants: list[Want[int]] = []
        size = 0
        for number, (place, blob) in enumerate(zip(places, node.content, strict=True)):
            wants.append((*place, blob, number, 0))
            size += plain_bytes(place)
            if size >= BATCH_BYTES:
                yield from self._window(wants)
                wants, size = [], 0
        yield from self._window(wants)

    def _window(self, wants: list[Want[int]]) -> Iterator[bytes]:
        found: dict[int, bytes] = {}
        for want, plain in self._fetcher.read(wants):
            if isinstance(plain, RepositoryDamaged):
                raise plain
            found[want[5]] = plain
        for number in sorted(found):
            yield found.pop(number)
