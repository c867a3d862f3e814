"""Where lost blobs come back from: other repositories that hold the same ones, by id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...clock import Clock
from ...events import Control
from ...ids import BlobId
from ...media.base import Media
from ...plan import Secret
from ...repository.index_load import load_index
from ...repository.layout import BlobKind
from ...repository.lock import locked
from ...repository.reader import BlobReader
from ...repository.repository import Repository
from ..touching import Lost, Touched

Brought = tuple[BlobKind, BlobId, bytes]
"""Kind, id and plain text; whoever takes it compares it with the id."""

_IDS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is lost, the paths it touches, and the repository's own trees as far as they can be read."""

    lost: Lost
    touched: Sequence[Touched]
    reader: BlobReader
    control: Control
    clock: Clock


class BlobSource(Protocol):
    """One place to ask. ``label`` is for the middle of a sentence: “the medium disk-b”."""

    @property
    def label(self) -> str: ...

    def bring(self, case: Case) -> Iterator[Brought]:
        """What it has of the lost blobs. Raises what its storage raises: the next source is asked then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherRepository:
    """Another repository: what is named by its content is the same wherever it lies."""

    label: str
    media: Media
    password: Secret
    index_cache: Path | None = None

    def bring(self, case: Case) -> Iterator[Brought]:
        repository = Repository.open(self.media, self.password, clock=case.clock)
        with locked(repository, exclusive=False, control=case.control):
            reader = BlobReader(repository, load_index(repository, cache_directory=self.index_cache))
            for kind, lost in ((BlobKind.TREE, case.lost.trees), (BlobKind.DATA, case.lost.data)):
                wanted = list(lost)
                for start in range(0, len(wanted), _IDS_AT_ONCE):
                    case.control.check()
                    yield from _known(reader, kind, wanted[start : start + _IDS_AT_ONCE])


def _known(reader: BlobReader, kind: BlobKind, wanted: list[BlobId]) -> Iterator[Brought]:
    there = [blob for blob, has in zip(wanted, reader.index.has_many(kind, wanted).tolist(), strict=True) if has]
    for blob, plain in reader.read_many(kind, there):
        if isinstance(plain, bytes):
            yield kind, blob, plain
