"""Blobs of a batch in pack order: neighbours in a pack are read at once, each blob is verified.

A damaged blob is an answer, not an error: it concerns the files that hold it and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, Generic, TypeVar

from ...errors import MediaUnavailable, RepositoryDamaged
from ...ids import BlobId
from ...media.ahead import read_ahead, share_of_transfers
from ...media.wrapping import Reach, reach_of
from ...repository.blob import open_blob
from ...repository.crypto import SEAL_BYTES
from ...repository.index import Index
from ...repository.layout import CONFIG_NAME, BlobKind, damaged, pack_name
from ...repository.repository import Repository
from ...repository.stored import READINGS, read_part

Target = TypeVar("Target")


PackPlace = tuple[int, int, int, int]
"""Pack, offset, sealed length, plain length if compressed; pack -1 where a blob is unknown."""

Want = tuple[int, int, int, int, BlobId, Target, int]
"""One blob, where it lies, and whose it is: pack, offset, sealed length, plain length if compressed, id, target, and
its place in the target. A bare tuple, since every file of a restore needs one."""


_by_place: Final = itemgetter(0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span(Generic[Target]):
    """Wants of one pack that are read at once."""

    wants: list[Want[Target]]
    name: str
    base: int
    length: int


def located(index: Index, ids: list[BlobId], kind: BlobKind = BlobKind.DATA) -> list[PackPlace]:
    """The place of each blob."""
    found = index.find_many(kind, ids)
    return list(
        zip(
            found.pack.tolist(),
            found.offset.tolist(),
            found.length.tolist(),
            found.raw_length.tolist(),
            strict=True,
        )
    )


def plain_bytes(place: PackPlace) -> int:
    """Bytes of a located blob's plain text."""
    return place[3] or place[2] - SEAL_BYTES


class Fetcher:
    """Reads blobs of one repository. ``on_read`` is told the bytes of every read, before they are used.

    ``sharers`` are those that read at the same time, each with as many transfers of the medium.
    """

    def __init__(
        self, repository: Repository, index: Index, *, on_read: Callable[[int], None], sharers: int = 1
    ) -> None:
        self._repository = repository
        self._index = index
        self._on_read = on_read
        self._reach = reach_of(repository.media)
        self._ahead = share_of_transfers(repository.media, sharers=sharers)
        self._names: dict[int, str] = {}

    def read(self, wants: list[Want[Target]]) -> Iterator[tuple[Want[Target], bytes | RepositoryDamaged]]:
        """Every want with its plain text or what is wrong with it, in pack order. Sorts ``wants``.

        Raises MediaUnavailable when the medium itself is not there.
        """
        wants.sort(key=_by_place)
        spans: list[_Span[Target]] = []
        start = 0
        while start < len(wants):
            end = _range_end(wants, start, self._reach)
            spans.append(self._span(wants[start:end]))
            start = end
        yield from self._read_spans(spans)

    def _span(self, wants: list[Want[Target]]) -> _Span[Target]:
        pack, base = wants[0][:2]
        return _Span(
            wants=wants,
            name=self._name(pack),
            base=base,
            length=max([want[1] + want[2] for want in wants]) - base,
        )

    def _read_spans(self, spans: list[_Span[Target]]) -> Iterator[tuple[Want[Target], bytes | RepositoryDamaged]]:
        for span, data in read_ahead(spans, self._read_span, transfers=self._ahead):
            self._on_read(span.length)
            if not isinstance(data, RepositoryDamaged):
                yield from self._open(span.wants, memoryview(data), span.base, span.name)
            elif span.wants[-1][1] == span.base:
                yield from ((want, data) for want in span.wants)
            else:
                yield from self._read_spans([self._span([want]) for want in span.wants])

    def _read_span(self, span: _Span[Target]) -> bytes | RepositoryDamaged:
        try:
            return self._get(span.name, span.base, span.length)
        except RepositoryDamaged as error:
            return error

    def _open(
        self, wants: list[Want[Target]], data: memoryview, base: int, name: str
    ) -> Iterator[tuple[Want[Target], bytes | RepositoryDamaged]]:
        sealer = self._repository.sealer()
        before = -1
        plain: bytes | RepositoryDamaged = b""
        for want in wants:
            _, offset, length, raw_length, blob, _, _ = want
            if offset != before:
                sealed = data[offset - base : offset - base + length]
                try:
                    plain = open_blob(sealed, sealer, blob=blob, raw_length=raw_length, name=name)
                except RepositoryDamaged:
                    plain = self._second_look(name, offset, length, blob, raw_length)
                before = offset
            yield want, plain

    def _second_look(
        self, name: str, offset: int, length: int, blob: BlobId, raw_length: int
    ) -> bytes | RepositoryDamaged:
        """What came damaged may have been damaged on the way."""
        problem: RepositoryDamaged | None = None
        for _ in range(READINGS - 1):
            try:
                sealed = self._get(name, offset, length)
                return open_blob(sealed, self._repository.sealer(), blob=blob, raw_length=raw_length, name=name)
            except RepositoryDamaged as error:
                problem = error
        return problem or damaged(name, "it cannot be read")

    def _get(self, name: str, offset: int, length: int) -> bytes:
        """Raises RepositoryDamaged also where only this file of the medium cannot be read (a bad sector)."""
        media = self._repository.media
        try:
            return read_part(media, name, offset=offset, length=length)
        except MediaUnavailable as error:
            media.get(CONFIG_NAME)
            raise damaged(name, f"it cannot be read ({error.sentence})") from error

    def _name(self, pack: int) -> str:
        name = self._names.get(pack)
        if name is None:
            if len(self._names) > 4096:
                self._names.clear()
            name = self._names[pack] = pack_name(self._index.pack_id(pack))
        return name


def _range_end(wants: list[Want[Target]], start: int, reach: Reach) -> int:
    """Position behind the last want that is read together with the one at ``start``."""
    pack, base, length = wants[start][:3]
    read_to = base + length
    end = start + 1
    while end < len(wants):
        at, offset, length = wants[end][:3]
        if at != pack or offset > read_to + reach.gap_bytes or offset + length > base + reach.most_bytes:
            break
        read_to = max(read_to, offset + length)
        end += 1
    return end
