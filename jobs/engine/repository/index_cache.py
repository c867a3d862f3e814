"""A local copy of the index as memory-mapped arrays, so that opening a repository parses only what is new.

One directory per repository id, a few segment files in it; each says which index files of the medium it covers. Safe
to lose: a file that fails its checksum, covers vanished index files in part, or belongs to another repository is
left out and made anew. It holds blob ids, which tell somebody who has a file whether it is in the repository: the
directory is for its owner only.

File: magic (8) || SHA-256 of all that follows (32) || header length (u64, little-endian) || header (JSON) || padding
to 64 || per blob kind: head (u64), rest (3 u64), places (4 u32) || packs (32 bytes each) || pack_files (u32).
"""

from __future__ import annotations

import contextlib
import hmac
import logging
import mmap
import os
import secrets
import struct
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from ..ids import FileId
from .index import Segment, Table, merge_last, merge_segments, merges

logger = logging.getLogger(__name__)

_MAGIC: Final = b"SCINDEX1"
_SUFFIX: Final = ".segment"
_START: Final = struct.Struct("<8s32sQ")
_ALIGNMENT: Final = 64
_SCATTERED: Final = 6
"""So many files that could be fewer are worth being merged while the index is loaded."""


class IndexCache:
    """The segment files of one repository below ``root``. Several processes may use it at once."""

    def __init__(self, root: Path, repository_id: str) -> None:
        self.directory = root / repository_id / "index"
        self._repository_id = repository_id

    def load(self, present: frozenset[FileId]) -> list[Segment]:
        """Segments that cover index files of ``present``, each file at most once; stale files are removed."""
        segments: list[Segment] = []
        covered: set[FileId] = set()
        found = [(path, segment) for path in self._paths() if (segment := self._read(path)) is not None]
        for path, segment in sorted(found, key=lambda item: len(item[1]), reverse=True):
            if covered.isdisjoint(segment.files):
                kept = segment.without_files(frozenset(segment.files) - present)
                covered.update(kept.files)
                segments.append(kept)
            else:
                path.unlink(missing_ok=True)
        return [segment for segment in segments if segment.files]

    def save(self, segments: list[Segment]) -> list[Segment]:
        """Make the directory hold exactly ``segments``, small ones merged. Returns what to use from now on.

        Takes the segments out of the list, so that each is freed when its mapped copy exists. A cache that cannot be
        written is given up with a log line.
        """
        kept = _compacted(segments)
        segments.clear()
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for number, segment in enumerate(kept):
                kept[number] = self._read(self.directory / self._write(segment)) or segment
            names = {_segment_name(segment) for segment in kept}
            for path in self._paths():
                if path.name not in names:
                    path.unlink(missing_ok=True)
        except OSError as error:
            self._not_written(error)
        return kept

    def add(self, segments: Sequence[Segment]) -> None:
        """One more file, of index files that were not covered. Many small files are merged when they are loaded."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write(merge_segments(segments))
        except OSError as error:
            self._not_written(error)

    def _not_written(self, error: OSError) -> None:
        logger.warning("The local copy of the index at %s cannot be written: %s", self.directory, error)

    def _paths(self) -> list[Path]:
        try:
            return [path for path in self.directory.iterdir() if path.name.endswith(_SUFFIX)]
        except OSError:
            return []

    def _read(self, path: Path) -> Segment | None:
        try:
            with path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
            return _parse(mapped, self._repository_id)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
            logger.warning("The local copy of the index %s is left out: %s", path, error)
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            return None

    def _write(self, segment: Segment) -> str:
        name = _segment_name(segment)
        path = self.directory / name
        if path.exists():
            return name
        temporary = self.directory / f"{name}.{secrets.token_hex(4)}.tmp"
        try:
            with open(temporary, "xb", opener=_private) as file:
                hashed = sha256()
                file.seek(_START.size)
                header = orjson.dumps(_header(segment, self._repository_id))
                for piece in _pieces(header, segment):
                    hashed.update(piece)
                    file.write(piece)
                file.seek(0)
                file.write(_START.pack(_MAGIC, hashed.digest(), len(header)))
            temporary.rename(path)
        finally:
            temporary.unlink(missing_ok=True)
        return name


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _segment_name(segment: Segment) -> str:
    return sha256("".join(segment.files).encode()).hexdigest()[:32] + _SUFFIX


def _compacted(segments: list[Segment]) -> list[Segment]:
    """Merged until few are left: small ones with each other, large ones not at all."""
    kept: list[Segment] = []
    for segment in sorted((segment for segment in segments if segment.files), key=len, reverse=True):
        kept.append(segment)
        while merge_last(kept):
            pass
    return kept


def is_scattered(segments: Sequence[Segment]) -> bool:
    """Whether merging small ones would leave clearly fewer."""
    sizes: list[int] = []
    for size in sorted(map(len, segments), reverse=True):
        sizes.append(size)
        while len(sizes) > 1 and merges(sizes[-2], sizes[-1]):
            sizes[-2:] = [sizes[-2] + sizes[-1]]
    return len(segments) - len(sizes) >= _SCATTERED


def _header(segment: Segment, repository_id: str) -> dict[str, Any]:
    return {
        "repository": repository_id,
        "files": segment.files,
        "packs": len(segment.packs),
        "blobs": [len(table) for table in segment.tables],
    }


def _padding(header_length: int) -> int:
    return -(_START.size + header_length) % _ALIGNMENT


def _pieces(header: bytes, segment: Segment) -> Iterator[Any]:
    yield header
    yield bytes(_padding(len(header)))
    for table in segment.tables:
        for array in (table.head, table.rest, table.places):
            yield np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    yield np.ascontiguousarray(segment.packs).reshape(-1).data
    yield np.ascontiguousarray(segment.pack_files).view(np.uint8).data


def _parse(mapped: mmap.mmap, repository_id: str) -> Segment:
    """Raises ValueError and its like for anything but a whole file of this repository."""
    view = memoryview(mapped)
    magic, digest, header_length = _START.unpack_from(view)
    if magic != _MAGIC or not hmac.compare_digest(sha256(view[_START.size :]).digest(), digest):
        raise ValueError("its checksum does not match")
    header = orjson.loads(view[_START.size : _START.size + header_length])
    if header["repository"] != repository_id:
        raise ValueError("it belongs to another repository")
    offset = _START.size + header_length + _padding(header_length)
    tables = []
    for count in header["blobs"]:
        head = _array(view, offset, count, np.dtype("<u8"))
        rest = _array(view, offset + 8 * count, 3 * count, np.dtype("<u8")).reshape(count, 3)
        places = _array(view, offset + 32 * count, 4 * count, np.dtype("<u4")).reshape(count, 4)
        offset += 48 * count
        tables.append(Table(head=head, rest=rest, places=places))
    packs = int(header["packs"])
    return Segment(
        files=tuple(FileId(file_id) for file_id in header["files"]),
        packs=_array(view, offset, 32 * packs, np.dtype(np.uint8)).reshape(packs, 32),
        pack_files=_array(view, offset + 32 * packs, packs, np.dtype("<u4")),
        tables=(tables[0], tables[1]),
    )


def _array(view: memoryview, offset: int, count: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    if not count:
        return np.empty(0, dtype=dtype)
    return np.frombuffer(view, dtype=dtype, count=count, offset=offset)
