"""Index files: which blobs lie in which pack, as JSON (design document, "Indexing").

Parsing gives arrays, not objects: a million blobs take about a second. Looking blobs up lives in ``index``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from ..clock import Clock, SystemClock
from ..errors import RepositoryDamaged
from ..ids import FileId
from .crypto import SEAL_BYTES
from .layout import BlobKind, FileKind, damaged, file_name
from .pack_writer import WrittenPack
from .repository import Repository

FULL_BLOBS: Final = 50_000
"""An index file is written as soon as it holds this many blobs."""
FLUSH_SECONDS: Final = 5.0
FLUSH_SHARE: Final = 0.1
"""It is written, too, when it is this old and this share of the time so far passed since the one before: what is not
indexed is not found again, so that a copy killed without warning loses a tenth of its work, not all of it. An hour
makes some fifty files, a day eighty."""

_WORDS: Final = {kind.word: int(kind) for kind in BlobKind}

Ids = npt.NDArray[np.uint64]
"""(n, 4): 32-byte ids as four little-endian words."""
Places = npt.NDArray[np.uint32]
"""(n, 4): pack number, offset, sealed length, plain length (0 = not compressed)."""

OnStored = Callable[[FileId, Sequence[str]], None]
"""Is told of an index file that is on the medium now, and its packs as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedIndex:
    """One index file. ``packs`` are 32-byte ids; ``ids`` and ``places`` hold one array per blob kind."""

    packs: list[bytes]
    ids: tuple[Ids, Ids]
    places: tuple[Places, Places]


def parse_index(text: bytes, *, name: str) -> ParsedIndex:
    """Raises RepositoryDamaged naming ``name``."""
    try:
        packs: list[dict[str, Any]] = orjson.loads(text)["packs"] or []
        pack_ids = [bytes.fromhex(pack["id"]) for pack in packs]
        counts = [len(pack["blobs"]) for pack in packs]
        blobs = [blob for pack in packs for blob in pack["blobs"]]
        raw = bytes.fromhex("".join([blob["id"] for blob in blobs]))
        if any(len(pack) != 32 for pack in pack_ids) or len(raw) != 32 * len(blobs):
            raise ValueError("an id of a wrong size")
        kinds = np.array([_WORDS[blob["type"]] for blob in blobs], dtype=np.uint8)
        places = np.empty((len(blobs), 4), dtype=np.uint32)
        places[:, 0] = np.repeat(np.arange(len(packs), dtype=np.uint32), counts)
        places[:, 1] = _numbers([blob["offset"] for blob in blobs], smallest=0)
        places[:, 2] = _numbers([blob["length"] for blob in blobs], smallest=SEAL_BYTES)
        places[:, 3] = _numbers([blob.get("uncompressed_length", 0) for blob in blobs], smallest=0)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise damaged(name, f"it is not an index ({error})") from error
    ids = np.frombuffer(raw, dtype="<u8").reshape(len(blobs), 4)
    trees = kinds == BlobKind.TREE
    if not trees.any():
        return ParsedIndex(packs=pack_ids, ids=(ids, ids[:0]), places=(places, places[:0]))
    return ParsedIndex(packs=pack_ids, ids=(ids[~trees], ids[trees]), places=(places[~trees], places[trees]))


def parse_entries(entries: Sequence[str]) -> ParsedIndex:
    """An index of packs given one by one (``WrittenPack.index_entry``): takes the memory of parsing one of them."""
    parts = [parse_index(f'{{"packs":[{entry}]}}'.encode(), name="an index being written") for entry in entries]
    for number, part in enumerate(parts):
        for places in part.places:
            places[:, 0] += number
    return ParsedIndex(
        packs=[pack for part in parts for pack in part.packs],
        ids=(np.concatenate([part.ids[0] for part in parts]), np.concatenate([part.ids[1] for part in parts])),
        places=(
            np.concatenate([part.places[0] for part in parts]),
            np.concatenate([part.places[1] for part in parts]),
        ),
    )


def _numbers(values: list[int], *, smallest: int) -> npt.NDArray[np.int64]:
    if not values:
        return np.empty(0, dtype=np.int64)
    numbers = np.array(values)
    if numbers.dtype != np.int64 or numbers.min() < smallest or numbers.max() >= 1 << 32:
        raise ValueError("an impossible number")
    return numbers


def read_index_file(repository: Repository, file_id: FileId) -> ParsedIndex:
    """Raises RepositoryDamaged naming the index file."""
    return parse_index(repository.read_file(FileKind.INDEX, file_id), name=file_name(FileKind.INDEX, file_id))


def write_index_file(
    repository: Repository,
    entries: Sequence[str],
    *,
    supersedes: Iterable[FileId] = (),
    on_stored: OnStored | None = None,
) -> FileId:
    """Store an index of packs that are on the medium already (``WrittenPack.index_entry``)."""
    old = ",".join(f'"{file_id}"' for file_id in supersedes)
    head = f'{{"supersedes":[{old}],"packs":[' if old else '{"packs":['
    file_id = repository.write_file(FileKind.INDEX, f"{head}{','.join(entries)}]}}\n".encode())
    if on_stored is not None:
        on_stored(file_id, entries)
    return file_id


class IndexWriter:
    """Collects written packs and stores an index file now and then (FULL_BLOBS, FLUSH_SECONDS).

    Thread-safe: packs are told of by whichever thread wrote them, also while an index file is on its way to the
    medium. One that fails loses nothing: its packs are in the next. ``on_stored`` is called by one thread at a time.
    """

    def __init__(
        self,
        repository: Repository,
        *,
        full_blobs: int = FULL_BLOBS,
        on_stored: OnStored | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._repository = repository
        self._clock = clock or SystemClock()
        self._began = self._flushed = self._clock.monotonic()
        self._full_blobs = full_blobs
        self._on_stored = on_stored
        self._entries: list[str] = []
        self._blobs = 0
        self._lock = threading.RLock()
        self._indexed_blobs = 0
        self.stored: list[FileId] = []

    def add(self, pack: WrittenPack) -> None:
        """``pack`` must be durable. May store an index file."""
        with self._lock:
            self._entries.append(pack.index_entry)
            self._blobs += pack.blobs
            if self._blobs >= self._full_blobs or self._is_old():
                self.flush()

    def flush(self) -> None:
        """Store what was collected, however little; nothing if there is nothing."""
        with self._lock:
            if not self._entries:
                return
            file_id = write_index_file(self._repository, self._entries, on_stored=self._on_stored)
            self._indexed_blobs += self._blobs
            self._entries, self._blobs = [], 0
            self._flushed = self._clock.monotonic()
            self.stored.append(file_id)

    def require(self, blobs: int) -> None:
        """So many were stored, and all of them are in index files. The last look before a snapshot file names them.

        Raises RepositoryDamaged: nothing that cannot be restored is ever called a copy.
        """
        if self._indexed_blobs != blobs:
            raise RepositoryDamaged(
                f"Of {blobs:,} pieces stored, {self._indexed_blobs:,} are in the index; nothing is committed.",
                hint="Resubmit the job. If it comes again, report it: the error is SnapCopy’s, not the medium’s.",
            )

    def _is_old(self) -> bool:
        now = self._clock.monotonic()
        return now - self._flushed >= max(FLUSH_SECONDS, FLUSH_SHARE * (now - self._began))
