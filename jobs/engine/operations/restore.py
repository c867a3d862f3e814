"""A restore: paths of one backup copy on a medium, or of one opened snapshot, into a directory.

Every blob is verified, and what comes from a snapshot is read back after it was written. Files appear whole under
their names or not at all; nothing is ever written through a link that lies at the target; directories get their
metadata when all below them is done. The machinery is in ``restoring``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ..clock import Clock
from ..errors import InvalidOptions, MediaRefused, NoSpace, RepositoryDamaged
from ..events import Control, Level, Notice, PhaseName, PhaseStarted, Progress, Sink
from ..ids import BlobId
from ..media.base import Media
from ..plan import RestorePlan, RestoreResult, Secret, SourceRoot
from ..repository.index import Index
from ..repository.index_load import load_index
from ..repository.lock import RepositoryLock
from ..repository.reader import BlobReader
from ..repository.repository import Repository
from ..repository.snapshot_file import read_snapshot_file
from .browse import Browser
from .copy_pipeline.channel import WorkerEnd
from .copy_pipeline.sizing import usable_cores
from .restoring.board import Board
from .restoring.context import Wishes
from .restoring.coordinator import Coordinator
from .restoring.fetching import PackPlace
from .restoring.from_media import MediaSource
from .restoring.from_snapshot import OpenedSnapshot
from .restoring.items import FolderItem, Parts
from .restoring.preview import preview
from .restoring.selection import Selection, select, split_path
from .restoring.source import Source, only_way
from .restoring.target import ignores_case, prepare_target, remove_homes
from .restoring.temporary import links_name
from .restoring.waiting import wait_for
from .restoring.worker import Assignment, Worker

_MOST_WORKERS: Final = 16
_NO_DEVICE: Final = -1
_NO_TREE: Final = BlobId(b"")
_NOWHERE: Final[PackPlace] = (-1, 0, 0, 0)


def run(  # noqa: PLR0917 - the signature every operation shares
    plan: RestorePlan, media: Media, password: Secret, sink: Sink, control: Control, clock: Clock
) -> RestoreResult:
    """Restore the plan's paths of its snapshot file below its target.

    What cannot be restored is told as FileFailed and counted in ``exceptions``; metadata the target cannot hold is told
    as warnings, by kind. An attempt that was interrupted is gone on with by running the same plan again: complete files
    are recognised by type, size and time, or with ``Overwrite.ALWAYS`` by their content.

    Raises Stopped as soon as ``control`` does, after temporary files are gone; NotInCopy, InvalidOptions;
    TargetRefused, NoSpace; RepositoryLocked, RepositoryMissing, RepositoryDamaged, WrongPassword; MediaUnavailable;
    ReaderLost.
    """
    sink.emit(PhaseStarted(phase=PhaseName.PREPARE))
    control.check()
    repository = wait_for(lambda: Repository.open(media, password, clock=clock), control)
    return _FromMedia(plan, sink, control, clock).run(repository)


def run_opened(plan: RestorePlan, repository: Repository, sink: Sink, control: Control, clock: Clock) -> RestoreResult:
    """As :func:`run`, where the repository is open already: a password costs a noticeable part of a small restore."""
    sink.emit(PhaseStarted(phase=PhaseName.PREPARE))
    return _FromMedia(plan, sink, control, clock).run(repository)


def run_from_snapshot(
    plan: RestorePlan, roots: Sequence[SourceRoot], sink: Sink, control: Control, clock: Clock
) -> RestoreResult:
    """As :func:`run`, from the roots of a snapshot that its driver holds open: the storage's own, or a replica.

    Raises Stopped, NotInCopy, InvalidOptions, TargetRefused, NoSpace, ReaderLost; SourceMissing, SourceUnavailable and
    SnapshotMissing where the snapshot cannot be read.
    """
    sink.emit(PhaseStarted(phase=PhaseName.PREPARE))
    return _FromSnapshot(plan, sink, control, clock).run(roots)


class _Restore:
    """One restore, whatever it reads. Used once."""

    def __init__(self, plan: RestorePlan, sink: Sink, control: Control, clock: Clock) -> None:
        self._plan = plan
        self._sink, self._control, self._clock = sink, control, clock
        self._target = os.fsencode(plan.target)
        self._workers = max(1, min(plan.readers or usable_cores(), _MOST_WORKERS))
        self._totals: tuple[int | None, int | None] = (None, None)
        """Files and bytes of a whole restore, where they are known before it begins."""

    def _check(self) -> None:
        self._control.check()
        if not self._plan.target.is_absolute():
            raise InvalidOptions("The restore target must be an absolute path.", field="target")

    def _run(self, source: Source, first: FolderItem, lock: RepositoryLock | None = None) -> RestoreResult:
        if self._plan.dry_run:
            return self._preview(source, first)
        begin = prepare_target(self._target, only_way(source, first))
        self._warn_of_case(begin)
        return self._restore(source, first, begin, lock)

    def _select(self) -> Selection:
        return select(self._plan.paths, below=split_path(self._plan.strip_prefix))

    def _first(self, selection: Selection, tree: BlobId = _NO_TREE, place: PackPlace = _NOWHERE) -> FolderItem:
        path = b"".join(b"/" + part for part in split_path(self._plan.strip_prefix))
        return FolderItem((), path, None, tree, place, selection, (), _NO_DEVICE)

    def _restore(self, source: Source, first: FolderItem, begin: Parts, lock: RepositoryLock | None) -> RestoreResult:
        workers = self._workers
        board = Board(workers)
        control = self._control if lock is None else _Settling(lock, self._control)
        coordinator = Coordinator(board, sink=self._sink, control=control, clock=self._clock)
        assignment = Assignment(
            number=0,
            source=source,
            target=self._target,
            wishes=Wishes(
                overwrite=self._plan.overwrite, is_sparse=self._plan.sparse, target=str(self._plan.target), begin=begin
            ),
            with_metadata=self._plan.with_metadata,
            links_name=links_name(),
            board=board,
        )
        coordinator.files_total, coordinator.bytes_total = self._plan.files_expected, self._plan.bytes_expected
        if first.selection.is_whole and not self._plan.strip_prefix and coordinator.files_total is None:
            coordinator.files_total, coordinator.bytes_total = self._totals
        self._sink.emit(PhaseStarted(phase=PhaseName.RESTORE))
        try:
            coordinator.start(workers, lambda number, end: _work(replace(assignment, number=number), end))
            if lock is not None:
                lock.start_refreshing()
            coordinator.run(first)
        finally:
            coordinator.close()
            remove_homes(self._target, coordinator.homes | {begin}, assignment.links_name)
        return self._result(coordinator, board)

    def _result(self, coordinator: Coordinator, board: Board) -> RestoreResult:
        self._sink.emit(PhaseStarted(phase=PhaseName.FINISH))
        totals = board.totals()
        counters = board.counters(files_total=totals["files_done"], bytes_total=totals["bytes_done"])
        self._sink.emit(Progress(counters=counters))
        for what, (times, first) in sorted(coordinator.warnings.items()):
            where = f"on {first}" if times == 1 else f"on {times:,} entries, first on {first}"
            self._notice(Level.WARNING, "metadata-not-set", f"Could not be set: {what}, {where}.")
        return RestoreResult(
            counters=counters,
            files_skipped=totals["files_skipped"],
            warnings=sum(times for times, _first in coordinator.warnings.values()),
        )

    def _preview(self, source: Source, first: FolderItem) -> RestoreResult:
        self._sink.emit(PhaseStarted(phase=PhaseName.SCAN))
        return preview(
            first,
            source=source,
            target=self._target,
            plan=self._plan,
            sink=self._sink,
            control=self._control,
            clock=self._clock,
        )

    def _warn_of_case(self, begin: Parts) -> None:
        if ignores_case(self._target, begin):
            sentence = (
                f"{self._plan.target} does not tell upper from lower case: of two names that differ only in it, "
                "one file stays."
            )
            self._notice(Level.WARNING, "target-ignores-case", sentence)

    def _notice(self, level: Level, code: str, sentence: str) -> None:
        self._sink.emit(Notice(level=level, code=code, sentence=sentence))


class _Settling:
    """A control that also looks at the lock again when that is due, for the first files are restored meanwhile."""

    def __init__(self, lock: RepositoryLock, control: Control) -> None:
        self._lock, self._control = lock, control
        self._is_settled = False

    def check(self) -> None:
        """Raises what the control does, and RepositoryLocked."""
        self._control.check()
        if not self._is_settled:
            self._is_settled = self._lock.settle_if_due()


class _FromSnapshot(_Restore):
    """From the roots of an opened snapshot."""

    def run(self, roots: Sequence[SourceRoot]) -> RestoreResult:
        self._check()
        with contextlib.closing(OpenedSnapshot(roots)) as source:
            for path in self._plan.paths:
                source.check(path)
            selection = self._select()
            source.check_directory(self._plan.strip_prefix)
            return self._run(source, self._first(selection))


class _FromMedia(_Restore):
    """From a snapshot file of an opened repository."""

    def run(self, repository: Repository) -> RestoreResult:
        self._check()
        if self._plan.snapshot_file_id is None:
            raise InvalidOptions("The restore names no backup copy.", field="snapshot_file_id")
        lock = self._lock(repository)
        try:
            index = wait_for(lambda: self._load_index(repository), self._control)
            snapshot = read_snapshot_file(repository, self._plan.snapshot_file_id)
            if snapshot.summary is not None:
                summary = snapshot.summary
                self._totals = summary.total_files_processed, summary.total_bytes_processed
            browser = Browser(BlobReader(repository, index), snapshot)
            for path in self._plan.paths:
                browser.node(path)
            selection = self._select()
            source = MediaSource(browser.reader, workers=self._workers)
            tree = browser.tree(self._plan.strip_prefix)
            return self._run(source, self._first(selection, tree, source.place_of(tree)), lock)
        finally:
            if lock is not None:
                lock.release()

    def _load_index(self, repository: Repository) -> Index:
        return load_index(repository, cache_directory=self._plan.index_cache, on_damaged=self._damaged_index)

    def _lock(self, repository: Repository) -> RepositoryLock | None:
        """A shared lock, so that nobody prunes what is being read. A medium that takes none is read without."""
        if self._plan.dry_run:
            return None
        lock = RepositoryLock(repository, exclusive=False)
        try:
            lock.place()
        except (MediaRefused, NoSpace) as error:
            sentence = f"Restoring without a lock, since the medium takes none: {error.sentence}"
            self._notice(Level.WARNING, "restore-without-lock", sentence)
            return None
        return lock

    def _damaged_index(self, error: RepositoryDamaged) -> None:
        self._notice(Level.WARNING, "index-damaged", f"{error.sentence} The restore goes on with the others.")


def _work(assignment: Assignment, end: WorkerEnd) -> None:
    """What runs in a forked worker."""
    try:
        Worker(assignment, send=end.send, receive=end.receive, take=end.take).run()  # type: ignore[arg-type]
    except (BrokenPipeError, ConnectionResetError):
        return
