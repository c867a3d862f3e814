"""Loading the index of a repository: from the local copy what it has, the rest from the medium."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from ..errors import RepositoryDamaged
from ..ids import FileId
from ..media.wrapping import transfers_of
from .index import Index, Segment, merge_last, merge_segments
from .index_cache import IndexCache, is_scattered
from .index_file import parse_index
from .layout import FileKind, file_name
from .repository import Repository

_GROUP: Final = 4
"""Index files read ahead and merged at once."""

OnDamaged = Callable[[RepositoryDamaged], None]


def load_index(
    repository: Repository, *, cache_directory: Path | None = None, on_damaged: OnDamaged | None = None
) -> Index:
    """The index of all index files now on the medium.

    ``cache_directory`` None = no local copy. A damaged index file is raised, or told ``on_damaged`` and left out.
    """
    present = frozenset(file_id for file_id, _ in repository.list_files(FileKind.INDEX))
    cache = IndexCache(cache_directory, repository.id) if cache_directory is not None else None
    segments = cache.load(present) if cache is not None else []
    known = frozenset(file_id for segment in segments for file_id in segment.files)
    if new := sorted(present - known):
        for fresh in _read_merged(repository, new, on_damaged):
            segments.append(fresh)
            while merge_last(segments):
                pass
    if cache is not None and (new or known - present or is_scattered(segments)):
        segments = cache.save(segments)
    if len(new) > _GROUP:
        _return_freed_memory()
    return Index(segments)


def _return_freed_memory() -> None:
    """Parsing leaves as much freed memory behind as the arrays take; glibc keeps it unless told otherwise."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _read_merged(repository: Repository, file_ids: Sequence[FileId], on_damaged: OnDamaged | None) -> Iterator[Segment]:
    """Segments of a few index files each. Reading and opening overlap with parsing."""

    def read(file_id: FileId) -> tuple[FileId, bytes] | RepositoryDamaged:
        try:
            return file_id, repository.read_file(FileKind.INDEX, file_id)
        except RepositoryDamaged as error:
            return error

    readers = transfers_of(repository.media)
    group = max(_GROUP, readers)
    with ThreadPoolExecutor(readers, thread_name_prefix="index-reader") as pool:
        for start in range(0, len(file_ids), group):
            parts: list[Segment] = []
            for result in pool.map(read, file_ids[start : start + group]):
                try:
                    if isinstance(result, RepositoryDamaged):
                        raise result
                    file_id, text = result
                    parsed = parse_index(text, name=file_name(FileKind.INDEX, file_id))
                    parts.append(Segment.of_parsed(parsed, (file_id,)))
                except RepositoryDamaged as error:
                    if on_damaged is None:
                        raise
                    on_damaged(error)
            if parts:
                yield merge_segments(parts)
