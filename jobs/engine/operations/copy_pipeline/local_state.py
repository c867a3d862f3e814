"""The local state: which directories were seen how, at the last copy. Safe to lose; never trusted beyond its seal.

One record of 64 bytes per directory: 16 bytes of the path's hash, 16 of the fingerprint of its entries, 32 of its tree
id. Records are sorted by path hash, with a table of bucket starts, so that opening maps the file and a look-up reads a
few records, however many directories there are.

File: ``SCSTATE2``, u32 length of a JSON head, the head, padding to 8 bytes, bucket starts (u32 each), records, and the
SHA-256 of everything before it. The head names the parent snapshot file and the index files that were there: a state
whose parent is not the one asked for, or from whose repository an index file has gone (prune, repair), is not used.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Final

import numpy as np
import orjson

from ...ids import BlobId, FileId
from ...media.base import Media
from ...repository.layout import FileKind
from ...repository.stored import list_ids

RECORD_BYTES: Final = 64
KEY_BYTES: Final = 16
_MAGIC: Final = b"SCSTATE2"
_SEAL_BYTES: Final = 32
_STATES_KEPT: Final = 6


def path_key(root: int, relative: str) -> bytes:
    """The 16 bytes that stand for the directory ``relative`` of root number ``root``."""
    return blake2b(b"%d:" % root + os.fsencode(relative), digest_size=KEY_BYTES).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class StateHead:
    """What a state belongs to. ``source`` is :func:`source_key`; ``index_files`` were all there when it was written."""

    parent: FileId
    parent_taken_ns: int
    source: str
    index_files: list[str]


class LocalState:
    """An opened state; look-ups only. Shared by workers through the mapping."""

    __slots__ = ("_map", "_records", "_shift", "_starts", "count", "head")

    def __init__(self, mapping: mmap.mmap, head: StateHead, starts: memoryview, records: int, count: int) -> None:
        self._map = mapping
        self.head = head
        self._starts = starts
        self._records = records
        self.count = count
        self._shift = 33 - (len(starts) - 1).bit_length()

    def find(self, key: bytes) -> tuple[bytes, BlobId] | None:
        """(fingerprint, tree id) of a directory, or None."""
        bucket = int.from_bytes(key[:4], "big") >> self._shift
        data = self._map
        first, last = self._starts[bucket], self._starts[bucket + 1]
        for start in range(self._records + first * RECORD_BYTES, self._records + last * RECORD_BYTES, RECORD_BYTES):
            if data[start : start + 16] == key:
                return data[start + 16 : start + 32], BlobId(data[start + 32 : start + 64])
        return None

    def tree_ids(self) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
        """All tree ids as an array of shape (count, 32)."""
        raw = np.frombuffer(self._map, dtype=np.uint8, count=self.count * RECORD_BYTES, offset=self._records)
        return raw.reshape(self.count, RECORD_BYTES)[:, 32:].copy()


def open_state(path: Path) -> LocalState | None:
    """The state in a file; None if it is missing, cut off, altered or of another version."""
    try:
        with path.open("rb") as file:
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        return None
    view = memoryview(mapping)
    body = len(view) - _SEAL_BYTES
    if body < 16 or bytes(view[:8]) != _MAGIC or sha256(view[:body]).digest() != bytes(view[body:]):
        return None
    (length,) = struct.unpack_from("<I", view, 8)
    fields = orjson.loads(view[12 : 12 + length])
    count, buckets = fields.pop("count"), fields.pop("buckets")
    starts = (12 + length + 7) & ~7
    records = starts + (buckets + 1) * 4
    return LocalState(mapping, StateHead(**fields), view[starts:records].cast("I"), records, count)


def write_state(path: Path, head: StateHead, records: bytes) -> None:
    """Replace the state atomically. ``records`` are whole records in any order. Raises OSError."""
    table = np.frombuffer(records, dtype=np.uint8).reshape(-1, RECORD_BYTES)
    count = len(table)
    prefix = table[:, :4].copy().view(">u4").ravel() if count else np.zeros(0, dtype=np.uint32)
    order = np.argsort(prefix, kind="stable")
    bits = max(1, min(24, (count // 2).bit_length()))
    bounds = np.arange((1 << bits) + 1, dtype=np.uint64) << np.uint64(32 - bits)
    starts = np.searchsorted(prefix[order].astype(np.uint64), bounds).astype("<u4")
    text = orjson.dumps(
        {
            "parent": head.parent,
            "parent_taken_ns": head.parent_taken_ns,
            "source": head.source,
            "index_files": head.index_files,
            "count": count,
            "buckets": 1 << bits,
        }
    )
    front = _MAGIC + struct.pack("<I", len(text)) + text
    pieces = [front, bytes(-len(front) % 8), starts.tobytes(), table[order].tobytes()]
    _replace(path, [*pieces, _seal(pieces)])


def _seal(pieces: Iterable[bytes]) -> bytes:
    digest = sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def _replace(path: Path, pieces: Iterable[bytes]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with temporary.open("wb") as file:
            file.writelines(pieces)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def source_key(*, hostname: str, trust: str, roots: Iterable[str]) -> str:
    """Names one source: 32 hexadecimal digits."""
    text = "\0".join([hostname, trust, *roots])
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def state_path(directory: Path, source: str, snapshot_file: FileId) -> Path:
    """The file that holds the state of a source as of one snapshot file, whose id also stands for the repository."""
    return directory / "trees" / f"{source}-{snapshot_file[:16]}.state"


def newest_state(directory: Path, source: str, media: Media) -> Path | None:
    """The newest state of a source whose snapshot file is on the medium. No key is needed to look."""
    present = {file_id[:16] for file_id, _ in list_ids(media, FileKind.SNAPSHOT)}
    found = [path for path in _states(directory, source) if path.stem.rpartition("-")[2] in present]
    return found[0] if found else None


def drop_old_states(directory: Path, source: str) -> None:
    """Keep the newest few states of a source: one for each repository it is copied to."""
    for path in _states(directory, source)[_STATES_KEPT:]:
        path.unlink(missing_ok=True)


def _states(directory: Path, source: str) -> list[Path]:
    """The states of a source, newest first."""
    found = []
    for path in (directory / "trees").glob(f"{source}-*.state"):
        try:
            found.append((path.stat().st_mtime_ns, path))
        except OSError:
            continue
    return [path for _, path in sorted(found, reverse=True)]
