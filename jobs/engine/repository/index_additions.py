"""Index files that this process writes, put into the local copy as well: nobody has to parse them again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ..ids import FileId
from .index import Segment, merge_last
from .index_cache import IndexCache
from .index_file import parse_entries
from .repository import Repository

_SPILL_BLOBS: Final = 200_000
"""What waits is written when it holds so many blobs, so that a large copy does not keep its own index in memory."""


class IndexAdditions:
    """``add`` is told of every index file that is on the medium; ``save`` writes what waits. Not thread-safe.

    With ``cache_directory`` None it does nothing. What is lost costs time only: the next reader parses it.
    """

    def __init__(self, repository: Repository, cache_directory: Path | None) -> None:
        self._cache = IndexCache(cache_directory, repository.id) if cache_directory is not None else None
        self._waiting: list[Segment] = []

    def add(self, file_id: FileId, entries: Sequence[str]) -> None:
        """``entries`` are the packs of the index file, as JSON; at least one."""
        if self._cache is None:
            return
        self._waiting.append(Segment.of_parsed(parse_entries(entries), (file_id,)))
        while merge_last(self._waiting):
            pass
        if sum(map(len, self._waiting)) >= _SPILL_BLOBS:
            self.save()

    def save(self) -> None:
        """Idempotent."""
        if self._cache is not None and self._waiting:
            self._cache.add(self._waiting)
        self._waiting = []
