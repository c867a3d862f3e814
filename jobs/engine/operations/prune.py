"""Pruning: freeing the space of blobs that no snapshot file needs. Safe to be killed anywhere.

Order (design document, "Read and Write Ordering"): mark everything that is needed; remove packs that no index names;
write what is needed of partly used packs into new packs, and their index; write index files without the doomed packs,
then remove the old index files; only then remove the packs. Between any two steps the repository is valid; what is
left over is removed by the next prune. Choosing lives in ``pruning``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ..clock import Clock
from ..errors import InvalidOptions
from ..events import Control, Counters, Level, Notice, PhaseName, PhaseStarted, Progress, Sink
from ..ids import FileId
from ..media.base import Media
from ..plan import Secret
from ..repository.index import Flags, Index
from ..repository.index_additions import IndexAdditions
from ..repository.index_load import load_index
from ..repository.layout import BlobKind, FileKind
from ..repository.lock import RepositoryLock, locked
from ..repository.pack import PACK_BYTES
from ..repository.reader import BlobReader
from ..repository.repository import Repository
from ..repository.snapshot_file import list_snapshot_files
from .marking import mark_from, raise_broken
from .pack_table import PackTable
from .pruning.choice import Choice, Limits, choose
from .pruning.index_rewrite import rewrite_index
from .pruning.needs import needed_rows
from .pruning.repack import repack

_PROGRESS_SECONDS: Final = 0.5
_NOWHERE: Final = FileId("0" * 64)
"""No pack has this name. A medium that keeps everything refuses its deletion, too: before anything is written anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunePlan:
    """``max_unused_percent``: unused bytes that may stay, of the needed ones; 0 = none, at the price of most rewriting.

    ``max_repack_bytes`` bounds what one run rewrites; None = no bound. ``dry_run`` only says what would be done.
    ``index_cache`` holds the local copy of the index; None = do without.
    """

    max_unused_percent: float = 5.0
    max_repack_bytes: int | None = None
    pack_bytes: int = PACK_BYTES
    dry_run: bool = False
    index_cache: Path | None = None

    def __post_init__(self) -> None:
        if self.max_unused_percent < 0:
            raise InvalidOptions("The unused part that may stay cannot be negative.", field="max_unused_percent")


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneResult:
    """Figures of a prune; in a dry run, what they would be. ``freed_bytes`` is net of what was written anew."""

    packs_before: int
    packs_removed: int
    packs_repacked: int
    unreferenced_removed: int
    bytes_before: int
    freed_bytes: int
    unused_bytes_left: int


def run(  # noqa: PLR0917 - the signature every operation shares
    plan: PrunePlan, media: Media, password: Secret, sink: Sink, control: Control, clock: Clock
) -> PruneResult:
    """Prune the repository on ``media`` under an exclusive lock.

    Raises RepositoryDamaged, with nothing removed, if anything that is needed is missing or damaged; RepositoryLocked
    while anybody else uses the repository; DeletionRefused, with nothing changed, by a medium that keeps what was
    written; Stopped as soon as ``control`` does, leaving a valid repository.
    """
    sink.emit(PhaseStarted(phase=PhaseName.PREPARE))
    control.check()
    repository = Repository.open(media, password, clock=clock)
    with locked(repository, exclusive=True, control=control) as lock:
        return _Prune(plan, repository, lock, sink, control, clock).run()


class _Prune:
    """One prune. Used once."""

    def __init__(  # noqa: PLR0917 - what run was given, and the lock
        self, plan: PrunePlan, repository: Repository, lock: RepositoryLock, sink: Sink, control: Control, clock: Clock
    ) -> None:
        self._plan = plan
        self._repository = repository
        self._lock = lock
        self._sink, self._control, self._clock = sink, control, clock
        self._counters = Counters()
        self._next_progress = 0.0

    def run(self) -> PruneResult:
        self._sink.emit(PhaseStarted(phase=PhaseName.SCAN))
        snapshots = list_snapshot_files(self._repository)
        index = load_index(self._repository, cache_directory=self._plan.index_cache)
        stored = dict(self._repository.list_files(FileKind.PACK))
        packs = PackTable(index)
        marks = mark_from(
            BlobReader(self._repository, index),
            [snapshot.tree for snapshot in snapshots],
            control=self._control,
            on_broken=raise_broken,
            on_trees=self._count_trees,
        )
        needed = needed_rows(index, packs, marks)
        limits = Limits(
            max_unused_percent=self._plan.max_unused_percent,
            max_repack_bytes=self._plan.max_repack_bytes,
            pack_bytes=self._plan.pack_bytes,
        )
        choice = choose(index, packs, needed, stored, limits)
        written = 0 if self._plan.dry_run else self._execute(index, packs, needed.flags, choice)
        removed = [*choice.unreferenced, *choice.removed, *choice.repacked]
        return PruneResult(
            packs_before=len(stored),
            packs_removed=len(choice.removed),
            packs_repacked=len(choice.repacked),
            unreferenced_removed=len(choice.unreferenced),
            bytes_before=sum(stored.values()),
            freed_bytes=sum(stored.get(pack, 0) for pack in removed) - (written or choice.rewritten_bytes),
            unused_bytes_left=choice.unused_bytes_left,
        )

    def _execute(self, index: Index, packs: PackTable, flags: dict[BlobKind, list[Flags]], choice: Choice) -> int:
        """Bytes of the packs that were written."""
        self._sink.emit(PhaseStarted(phase=PhaseName.PRUNE))
        self._repository.delete_file(FileKind.PACK, _NOWHERE)
        self._delete_packs(choice.unreferenced)
        self._tell("prune-unreferenced-removed", f"{len(choice.unreferenced)} packs that no index names were removed.")
        written = 0
        additions = IndexAdditions(self._repository, self._plan.index_cache)
        if choice.repack_numbers:
            self._counters = replace(self._counters, bytes_total=choice.rewritten_bytes)
            written = repack(
                self._repository,
                packs,
                choice.repack_numbers,
                flags,
                pack_bytes=self._plan.pack_bytes,
                control=self._control,
                on_moved=self._count_bytes,
                on_stored=additions.add,
            )
            self._tell("prune-repacked", f"{len(choice.repacked)} packs were written anew without what nobody needs.")
        self._sink.emit(PhaseStarted(phase=PhaseName.COMMIT))
        self._control.check()
        self._lock.check()
        doomed = frozenset((*choice.removed, *choice.repacked, *choice.vanished))
        old, new = rewrite_index(
            self._repository, index, doomed, on_written=self._index_written, on_stored=additions.add
        )
        additions.save()
        self._tell("prune-index-removed", f"{old} index files were replaced by {new}.")
        self._delete_packs((*choice.removed, *choice.repacked))
        self._tell("prune-packs-removed", f"{len(choice.removed) + len(choice.repacked)} packs were removed.")
        return written

    def _index_written(self) -> None:
        self._lock.check()
        self._tell("prune-index-written", "The new index files are on the medium.")

    def _delete_packs(self, doomed: Iterable[FileId]) -> None:
        for pack in doomed:
            self._control.check()
            self._lock.check()
            self._repository.delete_file(FileKind.PACK, pack)
            self._progress()

    def _tell(self, code: str, sentence: str) -> None:
        self._sink.emit(Notice(level=Level.INFO, code=code, sentence=sentence))

    def _count_trees(self, count: int) -> None:
        self._counters = replace(self._counters, directories_done=self._counters.directories_done + count)
        self._progress()

    def _count_bytes(self, count: int) -> None:
        done = self._counters.bytes_done + count
        self._counters = replace(self._counters, bytes_done=done, bytes_read=done, bytes_stored=done)
        self._progress()

    def _progress(self) -> None:
        at = self._clock.monotonic()
        if at >= self._next_progress:
            self._next_progress = at + _PROGRESS_SECONDS
            self._sink.emit(Progress(counters=self._counters))
