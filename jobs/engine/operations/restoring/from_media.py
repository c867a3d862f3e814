"""Restoring from a backup copy: trees and blobs of a repository on a medium."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Final, TypeVar

from ...errors import MediaUnavailable, RepositoryDamaged
from ...ids import BlobId, FileId
from ...media.wrapping import is_far
from ...repository.blob import open_blob
from ...repository.layout import BlobKind, pack_name
from ...repository.reader import BlobReader, not_indexed
from ...repository.second_places import read_elsewhere
from ...repository.stored import read_tree_part
from ...repository.tree import Node, parse_tree
from .fetching import Fetcher, PackPlace, Want, located, plain_bytes
from .items import FileJob, FolderItem, SegmentItem
from .source import Listing, Unread, UnreadError

Target = TypeVar("Target")

_NO_TREE: Final = BlobId(b"")
_FAR_BATCHES: Final = 4
"""Several packs are asked for at once, and files that lie near each other in one share a request."""


class MediaSource:
    """One snapshot file of an opened repository."""

    must_be_read_back = False

    def __init__(self, reader: BlobReader, *, workers: int = 1) -> None:
        """``workers`` will read at the same time."""
        self._reader = reader
        self._workers = workers

    def listing(self, item: FolderItem) -> Listing:
        """A damaged tree is no loss where another pack holds it."""
        try:
            return Listing(self._read_tree(item.tree, item.tree_place))
        except RepositoryDamaged as error:
            try:
                return Listing(self._reader.read_tree(item.tree))
            except RepositoryDamaged:
                raise UnreadError(Unread(error.sentence, "tree-damaged")) from error

    def _read_tree(self, tree: BlobId, place: PackPlace) -> list[Node]:
        pack, offset, length, raw_length = place
        if pack < 0:
            raise not_indexed(BlobKind.TREE, tree)
        repository = self._reader.repository
        name = pack_name(self._reader.index.pack_id(pack))
        sealed = read_tree_part(repository.media, name, offset=offset, length=length)
        text = open_blob(sealed, repository.sealer(), blob=tree, raw_length=raw_length, name=name)
        return parse_tree(text, name=f"tree {tree.hex()}")

    def place_of(self, tree: BlobId) -> PackPlace:
        """Where one tree lies."""
        (place,) = located(self._reader.index, [tree], BlobKind.TREE)
        return place

    def tree_places(self, nodes: Sequence[Node]) -> list[PackPlace]:
        return located(self._reader.index, [node.subtree or _NO_TREE for node in nodes], BlobKind.TREE)

    def contents(self, on_read: Callable[[int], None]) -> MediaContents:
        return MediaContents(self._reader, on_read, workers=self._workers)

    def missing(self, node: Node) -> str:
        lost = self._reader.index.missing(BlobKind.DATA, node.content)
        return _not_known(lost[0]) if lost else ""


class MediaContents:
    """Blobs for one worker, each verified by its id. A damaged one is no loss where another pack holds it."""

    def __init__(self, reader: BlobReader, on_read: Callable[[int], None], *, workers: int) -> None:
        self._repository, self._index = reader.repository, reader.index
        self._fetcher = Fetcher(reader.repository, reader.index, on_read=on_read, sharers=workers)
        self.batches = _FAR_BATCHES if is_far(reader.repository.media) else 1

    def locate(self, jobs: Sequence[FileJob]) -> list[list[PackPlace]]:
        places = located(self._index, [blob for job in jobs for blob in job.node.content])
        found: list[list[PackPlace]] = []
        position = 0
        for job in jobs:
            end = position + len(job.node.content)
            found.append(places[position:end])
            position = end
        return found

    def locate_segment(self, item: SegmentItem) -> list[Want[None]]:
        wants: list[Want[None]] = []
        for start, ids in item.ranges():
            at = start
            for place, blob in zip(located(self._index, ids), ids, strict=True):
                wants.append((*place, blob, None, at))
                at += plain_bytes(place) if place[0] >= 0 else 0
        return wants

    def read(self, wants: list[Want[Target]]) -> Iterator[tuple[Want[Target], bytes | Unread]]:
        unknown = [want for want in wants if want[0] < 0]
        for want in unknown:
            yield want, Unread(_not_known(want[4]), "blob-missing")
        known = [want for want in wants if want[0] >= 0] if unknown else wants
        for want, plain in self._fetcher.read(known):
            yield want, self._elsewhere(want, plain) if isinstance(plain, RepositoryDamaged) else plain

    def _elsewhere(self, want: Want[Target], problem: RepositoryDamaged) -> bytes | Unread:
        damaged_pack = FileId(self._index.pack_id(want[0]).hex())
        try:
            plain = read_elsewhere(self._repository, self._index, BlobKind.DATA, want[4], avoid=(damaged_pack,))
        except MediaUnavailable:
            plain = None
        return Unread(problem.sentence, "blob-damaged") if plain is None else plain

    def holds(self, job: FileJob, number: int, at: int, data: bytes) -> bool:
        return sha256(data).digest() == job.node.content[number]


def _not_known(blob: BlobId) -> str:
    return f"no index names a pack that holds its blob {blob.hex()}"
