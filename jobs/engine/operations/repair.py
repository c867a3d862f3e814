"""The index made anew from the packs. Damaged packs and lost blobs are the business of ``mend``."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Final

from ..clock import Clock
from ..errors import RepositoryDamaged
from ..events import Control, Counters, Level, Notice, PhaseName, PhaseStarted, Progress, Sink
from ..ids import FileId
from ..media.base import Media
from ..plan import Secret
from ..repository.index_file import FULL_BLOBS, write_index_file
from ..repository.index_load import load_index
from ..repository.layout import FileKind
from ..repository.lock import RepositoryLock, locked
from ..repository.pack import PackedBlob, index_entry, read_pack_header
from ..repository.repository import Repository
from .pack_table import PackTable
from .pruning.index_rewrite import rewrite_index

_READERS: Final = 4
_AHEAD: Final = 16
_PROGRESS_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildPlan:
    """``read_all_packs`` reads every pack's header; else only packs that no readable index file names fittingly."""

    read_all_packs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildResult:
    """``damaged`` are packs whose header cannot be read; they are named by no index file now, and left in place."""

    packs: int
    packs_read: int
    index_files_removed: int
    index_files_written: int
    damaged: tuple[FileId, ...]


def rebuild_index(  # noqa: PLR0917 - the signature every operation shares
    plan: RebuildPlan, media: Media, password: Secret, sink: Sink, control: Control, clock: Clock
) -> RebuildResult:
    """Make the index say exactly what the packs hold, under an exclusive lock. Safe to be killed anywhere.

    New index files are written before old ones are removed. Raises what opening a repository raises.
    """
    sink.emit(PhaseStarted(phase=PhaseName.PREPARE))
    control.check()
    repository = Repository.open(media, password, clock=clock)
    with locked(repository, exclusive=True, control=control) as lock:
        return Rebuild(repository, lock, sink, control, clock).run(read_all=plan.read_all_packs)


class Rebuild:
    """One rebuild, by whoever holds an exclusive lock. Used once."""

    def __init__(
        self, repository: Repository, lock: RepositoryLock, sink: Sink, control: Control, clock: Clock
    ) -> None:
        self._repository = repository
        self._lock = lock
        self._sink, self._control, self._clock = sink, control, clock
        self._damaged: list[FileId] = []
        self._next_progress = 0.0

    def run(self, *, read_all: bool) -> RebuildResult:
        self._sink.emit(PhaseStarted(phase=PhaseName.SCAN))
        stored = dict(self._repository.list_files(FileKind.PACK))
        unreadable: list[FileId] = []
        index = load_index(self._repository, on_damaged=lambda error: unreadable.append(self._told(error)))
        packs = PackTable(index)
        sizes = zip(packs.ids, packs.stored_bytes.tolist(), strict=True)
        doomed = {pack for pack, size in sizes if read_all or stored.get(pack) != size}
        trusted = set(packs.ids) - doomed
        unnamed = [pack for pack in stored if pack not in trusted]
        written = self.name_packs(unnamed, stored)
        self._sink.emit(PhaseStarted(phase=PhaseName.COMMIT))
        self._control.check()
        self._lock.check()
        removed, rewritten = rewrite_index(self._repository, index, doomed, on_written=self._lock.check)
        for file_id in unreadable:
            self._repository.delete_file(FileKind.INDEX, file_id)
        return RebuildResult(
            packs=len(stored),
            packs_read=len(unnamed),
            index_files_removed=removed + len(unreadable),
            index_files_written=written + rewritten,
            damaged=tuple(self._damaged),
        )

    def name_packs(self, unnamed: Sequence[FileId], stored: dict[FileId, int]) -> int:
        """Write index files of packs, from their headers; returns how many. ``stored`` are the sizes of all packs."""
        written = blobs = 0
        entries: list[str] = []
        for pack, found in self._read_headers(unnamed, stored):
            entries.append(index_entry(bytes.fromhex(pack), found))
            blobs += len(found)
            if blobs >= FULL_BLOBS:
                write_index_file(self._repository, entries)
                written += 1
                entries, blobs = [], 0
        if entries:
            write_index_file(self._repository, entries)
            written += 1
        return written

    def _read_headers(
        self, unnamed: Sequence[FileId], stored: dict[FileId, int]
    ) -> Iterator[tuple[FileId, list[PackedBlob]]]:
        waiting = iter(unnamed)
        ahead: deque[tuple[FileId, Future[list[PackedBlob]]]] = deque()
        with ThreadPoolExecutor(_READERS, thread_name_prefix="header-reader") as pool:

            def submit(count: int) -> None:
                for pack in islice(waiting, count):
                    raw_id = bytes.fromhex(pack)
                    ahead.append((pack, pool.submit(read_pack_header, self._repository, raw_id, stored[pack])))

            submit(_AHEAD)
            for done in range(1, len(unnamed) + 1):
                self._control.check()
                pack, future = ahead.popleft()
                submit(1)
                self._progress(done, len(unnamed))
                try:
                    yield pack, future.result()
                except RepositoryDamaged as error:
                    self._told(error)
                    self._damaged.append(pack)

    def _told(self, error: RepositoryDamaged) -> FileId:
        """Tell the sink; returns the id of the damaged file."""
        self._sink.emit(Notice(level=Level.ERROR, code=error.code, sentence=error.sentence))
        return FileId(error.name.rpartition("/")[2])

    def _progress(self, done: int, total: int) -> None:
        at = self._clock.monotonic()
        if at >= self._next_progress:
            self._next_progress = at + _PROGRESS_SECONDS
            self._sink.emit(Progress(counters=Counters(files_done=done, files_total=total)))
