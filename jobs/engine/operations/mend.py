"""Mending a repository: damaged packs go, what is whole in them stays, and what is lost comes back from elsewhere.

Lost blobs come back under the same ids, so every snapshot file that refers to them is whole again. The order, under an
exclusive lock: index files that cannot be read are made anew from the packs; what is whole in damaged packs, and what
the sources give, is written to new packs and indexed; snapshot files that cannot be read are written again; then the
damaged packs leave the index, and are removed. Killed anywhere, the repository is no worse, and the next try goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..clock import Clock
from ..errors import EngineError, Stopped
from ..events import Control, Counters, Level, Notice, PhaseName, PhaseStarted, Progress, Sink
from ..ids import FileId
from ..media.base import Media
from ..plan import Secret
from ..repository.layout import BlobKind, FileKind
from ..repository.lock import RepositoryLock, locked
from ..repository.reader import BlobReader
from ..repository.repository import Repository
from ..repository.snapshot_file import SnapshotFile, save_snapshot_file
from .inspection import Inspection
from .mending.sources import BlobSource, Brought, Case
from .mending.storing import Storing
from .pruning.index_rewrite import rewrite_index
from .repair import Rebuild
from .touching import Root

_MOST_ROUNDS: Final = 64
"""A tree that came back may show that more is lost below it; each round goes a level deeper at least."""

MOST_HELD_TOUCHED: Final = 1_000_000
"""So many touched paths are looked up in held snapshots in one round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MendPlan:
    """``suspects`` are packs that a check found damaged; only what is damaged still is mended.

    ``expected`` are snapshot files that should be there, and ``instead`` what to write for those that cannot be read:
    their ids are others then.
    """

    suspects: frozenset[FileId] = frozenset()
    expected: tuple[Root, ...] = ()
    instead: Mapping[FileId, SnapshotFile] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class MendResult:
    """``brought`` counts blobs by the label of their source; ``blobs_lost`` nobody has.

    ``written`` are the new packs; ``renamed`` the snapshot files that were written again, old id to new.
    """

    packs_removed: int
    blobs_saved: int
    brought: dict[str, int]
    blobs_lost: int
    index_rebuilt: bool
    written: tuple[FileId, ...]
    renamed: dict[FileId, FileId]

    @property
    def blobs_back(self) -> int:
        return sum(self.brought.values())


def run(  # noqa: PLR0917 - the signature every operation shares
    plan: MendPlan,
    media: Media,
    password: Secret,
    sink: Sink,
    control: Control,
    clock: Clock,
    *,
    sources: Sequence[BlobSource] = (),
) -> MendResult:
    """Mend the repository on ``media``; ``sources`` are asked in their order, each for what is still lost.

    A source that fails is told and passed over. Raises RepositoryLocked while anybody else uses the repository,
    RepositoryMissing, WrongPassword, MediaUnavailable, MediaRefused, NoSpace; Stopped as soon as ``control`` does.
    """
    sink.emit(PhaseStarted(phase=PhaseName.PREPARE))
    control.check()
    repository = Repository.open(media, password, clock=clock)
    with locked(repository, exclusive=True, control=control) as lock:
        return _Mend(plan, repository, lock, sources, sink=sink, control=control, clock=clock).run()


class _Mend:
    """One mending under its lock. Used once."""

    def __init__(
        self,
        plan: MendPlan,
        repository: Repository,
        lock: RepositoryLock,
        sources: Sequence[BlobSource],
        *,
        sink: Sink,
        control: Control,
        clock: Clock,
    ) -> None:
        self._plan, self._repository, self._lock, self._sources = plan, repository, lock, sources
        self._sink, self._control, self._clock = sink, control, clock
        self._brought: dict[str, int] = {}
        self._written: list[FileId] = []
        self._bytes = 0
        self._failed: set[str] = set()

    def run(self) -> MendResult:
        self._sink.emit(PhaseStarted(phase=PhaseName.CHECK))
        seen = self._look()
        rebuilt = self._rebuild_index(seen)
        if rebuilt:
            seen = self._look()
        self._sink.emit(PhaseStarted(phase=PhaseName.COPY))
        saved = self._save_whole(seen)
        for _ in range(_MOST_ROUNDS):
            if not self._bring_back(seen):
                break
            seen = self._look()
        self._sink.emit(PhaseStarted(phase=PhaseName.COMMIT))
        renamed = self._write_snapshot_files(seen)
        doomed = frozenset(seen.found.packs)
        self._lock.check()
        rewrite_index(self._repository, seen.index, doomed, on_written=self._lock.check)
        for pack in doomed:
            self._repository.delete_file(FileKind.PACK, pack)
        result = MendResult(
            packs_removed=len(doomed),
            blobs_saved=saved,
            brought=self._brought,
            blobs_lost=len(seen.lost()),
            index_rebuilt=rebuilt,
            written=tuple(self._written),
            renamed=renamed,
        )
        self._tell(result)
        return result

    def _look(self) -> Inspection:
        """What is wrong now. Its own progress and its problems, which a check told already, are kept quiet."""
        seen = Inspection(
            self._repository, expected=self._plan.expected, sink=_Quiet(), control=self._control, clock=self._clock
        )
        seen.structure()
        seen.read_packs(number for number, pack in enumerate(seen.packs.ids) if pack in self._plan.suspects)
        return seen

    def _rebuild_index(self, seen: Inspection) -> bool:
        """Only where something is missing that a pack may hold, or an index file cannot be read."""
        is_unread = any(problem.name.startswith(f"{FileKind.INDEX.value}/") for problem in seen.found.problems)
        is_unnamed = bool(seen.unreferenced) and "" in {*seen.found.bad_data.values(), *seen.found.bad_trees.values()}
        if not is_unread and not is_unnamed:
            return False
        rebuild = Rebuild(self._repository, self._lock, self._sink, self._control, self._clock)
        rebuild.name_packs(list(seen.unreferenced), seen.stored)
        self._lock.check()
        for problem in seen.found.problems:
            if problem.name.startswith(f"{FileKind.INDEX.value}/"):
                self._repository.delete_file(FileKind.INDEX, FileId(problem.name.rpartition("/")[2]))
        return True

    def _save_whole(self, seen: Inspection) -> int:
        """What is whole in damaged packs, into new ones. Done again after a kill it makes second copies: no harm."""
        saved = 0
        with self._storing() as storing:
            for number, pack in enumerate(seen.packs.ids):
                if pack in seen.found.packs:
                    self._control.check()
                    saved += storing.save_whole(pack, seen.packs.blobs(number))
        return saved

    def _bring_back(self, seen: Inspection) -> int:
        """One round over all sources; returns how many trees came back, below which more may be missing."""
        trees = 0
        for source in self._sources:
            lost = seen.lost()
            if not lost:
                break
            if source.label not in self._failed:
                trees += self._ask(source, seen)
        return trees

    def _ask(self, source: BlobSource, seen: Inspection) -> int:
        lost = seen.lost()
        touched = [one for one, _ in zip(seen.touched(lost), range(MOST_HELD_TOUCHED), strict=False)]
        reader = BlobReader(self._repository, seen.index)
        case = Case(lost=lost, touched=touched, reader=reader, control=self._control, clock=self._clock)
        trees = 0
        with self._storing() as storing:
            for kind, blob, plain in self._what_it_brings(source, case):
                if not storing.store(kind, blob, plain):
                    continue
                (seen.found.bad_trees if kind is BlobKind.TREE else seen.found.bad_data).pop(blob, None)
                trees += kind is BlobKind.TREE
                self._brought[source.label] = self._brought.get(source.label, 0) + 1
                self._bytes += len(plain)
                self._progress()
        return trees

    def _what_it_brings(self, source: BlobSource, case: Case) -> Iterator[Brought]:
        """A source that fails is told and not asked again; what it brought before is kept."""
        try:
            yield from source.bring(case)
        except Stopped:
            raise
        except EngineError as error:
            self._failed.add(source.label)
            self._notice(Level.WARNING, "source-passed-over", f"{_capital(source.label)} was passed over: {error}")

    def _storing(self) -> Storing:
        return _Told(self._repository, self._written)

    def _write_snapshot_files(self, seen: Inspection) -> dict[FileId, FileId]:
        renamed: dict[FileId, FileId] = {}
        lost = seen.lost()
        for old in seen.found.unreadable_files:
            new = self._plan.instead.get(old)
            if new is None or new.tree in lost.trees:
                continue
            renamed[old] = save_snapshot_file(self._repository, new)
            self._repository.delete_file(FileKind.SNAPSHOT, old)
        return renamed

    def _progress(self) -> None:
        back = sum(self._brought.values())
        counters = Counters(bytes_done=self._bytes, bytes_read=self._bytes, bytes_new=self._bytes, files_done=back)
        self._sink.emit(Progress(counters=counters))

    def _tell(self, result: MendResult) -> None:
        for label, count in result.brought.items():
            self._notice(Level.INFO, "blobs-back", f"{_counted(count, 'blob')} came back from {label}.")
        if result.packs_removed:
            was = "was" if result.packs_removed == 1 else "were"
            replaced = f"{_counted(result.packs_removed, 'damaged pack')} {was} replaced"
            whole = f"whole in what was replaced: {_counted(result.blobs_saved, 'blob')}"
            self._notice(Level.INFO, "packs-replaced", f"{replaced}; {whole}.")
        if result.blobs_lost:
            are = "is" if result.blobs_lost == 1 else "are"
            sentence = f"{_counted(result.blobs_lost, 'blob')} {are} in no place that was asked."
            self._notice(Level.WARNING, "blobs-lost", sentence)

    def _notice(self, level: Level, code: str, sentence: str) -> None:
        self._sink.emit(Notice(level=level, code=code, sentence=sentence))


class _Told(Storing):
    """Adds its packs to a list when they are indexed."""

    def __init__(self, repository: Repository, written: list[FileId]) -> None:
        super().__init__(repository)
        self.written = written


class _Quiet:
    def emit(self, _event: object) -> None:
        return None


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
