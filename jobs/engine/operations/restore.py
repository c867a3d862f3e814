"""A restore: paths of one backup copy, from the repository on a medium into a directory.

Every blob is verified; files appear whole under their names or not at all; nothing is ever written through a link that
lies at the target; directories get their metadata when all below them is done. The machinery is in ``restoring``.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Final

from ..clock import Clock
from ..errors import InvalidOptions, MediaRefused, NoSpace, RepositoryDamaged
from ..events import Control, Level, Notice, PhaseName, PhaseStarted, Progress, Sink
from ..media.base import Media
from ..plan import RestorePlan, RestoreResult, Secret
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
from .restoring.items import FolderItem, Parts
from .restoring.preview import preview
from .restoring.selection import Selection, select, split_path
from .restoring.target import ignores_case, is_directory, prepare_target, remove_homes
from .restoring.temporary import links_name
from .restoring.trees import only_way, tree_places
from .restoring.waiting import wait_for
from .restoring.worker import Assignment, Worker

_MOST_WORKERS: Final = 16
_NO_DEVICE: Final = -1


def run(  # noqa: PLR0917 - the signature every operation shares
    plan: RestorePlan, media: Media, password: Secret, sink: Sink, control: Control, clock: Clock
) -> RestoreResult:
    """Restore the plan's paths below its target.

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
    return _Restore(plan, sink, control, clock).run(repository)


def run_opened(plan: RestorePlan, repository: Repository, sink: Sink, control: Control, clock: Clock) -> RestoreResult:
    """As :func:`run`, where the repository is open already: a password costs a noticeable part of a small restore."""
    sink.emit(PhaseStarted(phase=PhaseName.PREPARE))
    return _Restore(plan, sink, control, clock).run(repository)


class _Restore:
    """One restore. Used once."""

    def __init__(self, plan: RestorePlan, sink: Sink, control: Control, clock: Clock) -> None:
        self._plan = plan
        self._sink, self._control, self._clock = sink, control, clock
        self._target = os.fsencode(plan.target)

    def run(self, repository: Repository) -> RestoreResult:
        self._control.check()
        if not self._plan.target.is_absolute():
            raise InvalidOptions("The restore target must be an absolute path.", field="target")
        lock = self._lock(repository)
        try:
            index = wait_for(lambda: self._load_index(repository), self._control)
            snapshot = read_snapshot_file(repository, self._plan.snapshot_file_id)
            browser = Browser(BlobReader(repository, index), snapshot)
            selection = self._selection(browser)
            if self._plan.dry_run:
                return self._preview(browser, selection)
            first = self._first(browser, selection)
            begin = prepare_target(self._target, only_way(browser.reader, first))
            self._warn_of_case(begin)
            if lock is not None:
                lock.settle()
            return self._restore(browser, first, begin, lock)
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

    def _selection(self, browser: Browser) -> Selection:
        """Raises NotInCopy for a path that is not in the copy, so that nothing is half restored for a typing error."""
        below = split_path(self._plan.strip_prefix)
        for path in self._plan.paths:
            browser.node(path)
        return select(self._plan.paths, below=below)

    def _first(self, browser: Browser, selection: Selection) -> FolderItem:
        below = split_path(self._plan.strip_prefix)
        path = b"".join(b"/" + part for part in below)
        tree = browser.tree(path)
        (place,) = tree_places(browser.reader, [tree])
        return FolderItem((), path, None, tree, place, selection, (), _NO_DEVICE)

    def _restore(self, browser: Browser, first: FolderItem, begin: Parts, lock: RepositoryLock | None) -> RestoreResult:
        workers = max(1, min(self._plan.readers or usable_cores(), _MOST_WORKERS))
        board = Board(workers)
        coordinator = Coordinator(board, sink=self._sink, control=self._control, clock=self._clock)
        assignment = Assignment(
            number=0,
            reader=browser.reader,
            target=self._target,
            wishes=Wishes(
                overwrite=self._plan.overwrite, is_sparse=self._plan.sparse, target=str(self._plan.target), begin=begin
            ),
            with_metadata=self._plan.with_metadata,
            links_name=links_name(),
            board=board,
        )
        summary = browser.snapshot.summary
        if summary is not None and first.selection.is_whole and not self._plan.strip_prefix:
            coordinator.files_total, coordinator.bytes_total = (
                summary.total_files_processed,
                summary.total_bytes_processed,
            )
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

    def _preview(self, browser: Browser, selection: Selection) -> RestoreResult:
        self._sink.emit(PhaseStarted(phase=PhaseName.SCAN))
        target = self._target if is_directory(self._target) else None
        return preview(
            self._first(browser, selection),
            reader=browser.reader,
            target=target,
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

    def _damaged_index(self, error: RepositoryDamaged) -> None:
        self._notice(Level.WARNING, "index-damaged", f"{error.sentence} The restore goes on with the others.")

    def _notice(self, level: Level, code: str, sentence: str) -> None:
        self._sink.emit(Notice(level=level, code=code, sentence=sentence))


def _work(assignment: Assignment, end: WorkerEnd) -> None:
    """What runs in a forked worker."""
    try:
        Worker(assignment, send=end.send, receive=end.receive, take=end.take).run()  # type: ignore[arg-type]
    except (BrokenPipeError, ConnectionResetError):
        return
