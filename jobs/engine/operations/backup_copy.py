"""A backup copy: readable source roots into the repository on one medium, as one snapshot file.

The order on the medium is packs, index files, snapshot file, so whatever ends a copy leaves a valid repository whose
blobs the next attempt reuses. The machinery is in ``copy_pipeline``.
"""

from __future__ import annotations

import os
from typing import Final

from .. import VERSION
from ..clock import Clock
from ..errors import EngineError
from ..events import Checkpoint, Control, Level, Notice, PhaseName, PhaseStarted, Sink
from ..ids import BlobId, FileId
from ..media.base import Media
from ..plan import CopyPlan, CopyResult, Secret
from ..repository.index_file import IndexWriter
from ..repository.snapshot_file import SnapshotFile, Summary, save_snapshot_file
from ..source.diff import Difference
from .copy_pipeline.comparison import PARTIAL, Comparisons, count_parent
from .copy_pipeline.context import CopyContext, RootContext
from .copy_pipeline.coordinator import Coordinator
from .copy_pipeline.local_state import (
    LocalState,
    StateHead,
    drop_old_states,
    newest_state,
    open_state,
    path_key,
    source_key,
    state_path,
    write_state,
)
from .copy_pipeline.messages import Task
from .copy_pipeline.old_nodes import LostTreeError
from .copy_pipeline.opening import Opened, Opening
from .copy_pipeline.pulse import Pulse
from .copy_pipeline.reuse import reuse_rules
from .copy_pipeline.roots import resolve_roots, save_chain
from .copy_pipeline.sizing import sizing
from .copy_pipeline.stores import AwaitedStore, OpenedRepository, SessionStore
from .copy_pipeline.tally import SharedBoard
from .copy_pipeline.totals import TotalsScan

_REFRESH_AFTER_SECONDS: Final = 60.0
"""A copy that is still alone after so long starts the lock's thread; with a crew it starts after the fork."""


class _StateUnfit(Exception):
    """The walk began with a local state that does not belong to the repository: it begins again without."""


def run(  # noqa: PLR0917 - the signature every operation shares
    plan: CopyPlan, media: Media, password: Secret, sink: Sink, control: Control, clock: Clock
) -> CopyResult:
    """Copy the plan's roots and commit one snapshot file.

    Files that cannot be read are told as FileFailed and left out; the counters' ``exceptions`` counts them. Raises
    Stopped as soon as ``control`` does, after the readers have ended and what they wrote is indexed; SourceMissing,
    SourceUnavailable, InvalidOptions; ReaderLost; RepositoryLocked, RepositoryMissing, RepositoryDamaged,
    WrongPassword; MediaUnavailable, MediaRefused, NoSpace. No lock stays behind unless the process is killed.
    """
    sink.emit(PhaseStarted(phase=PhaseName.PREPARE))
    control.check()
    started_ns = clock.now_ns()
    roots = resolve_roots(plan.roots)
    comparisons = Comparisons.open(plan, roots)
    state = None if comparisons.is_open else _local_state(plan, roots, media)
    try:
        while True:
            attempt = _Attempt(plan, roots, state, comparisons, sink=sink, control=control, clock=clock)
            try:
                return attempt.run(media, password, started_ns)
            except _StateUnfit:
                state = None
            except LostTreeError:
                comparisons.give_up("a directory of the last copy is missing from the repository")
    finally:
        comparisons.close()


def _source(plan: CopyPlan, roots: tuple[RootContext, ...]) -> str:
    names = [root.stored_as for root in roots]
    return source_key(hostname=plan.hostname, trust=plan.settings.trust, roots=names)


def _local_state(plan: CopyPlan, roots: tuple[RootContext, ...], media: Media) -> LocalState | None:
    """The state as of the parent, or where that is still to be found, the newest one of this repository.

    Which parent it really is shows when the repository is open (:class:`_StateUnfit`).
    """
    directory = plan.settings.state_directory
    if directory is None or (plan.parent is None and not plan.find_parent):
        return None
    source = _source(plan, roots)
    path = state_path(directory, source, plan.parent) if plan.parent else newest_state(directory, source, media)
    state = open_state(path) if path is not None else None
    if state is None or state.head.source != source or (plan.parent and state.head.parent != plan.parent):
        return None
    return state


class _Attempt:
    """One try with or without a local state. Used once."""

    def __init__(
        self,
        plan: CopyPlan,
        roots: tuple[RootContext, ...],
        state: LocalState | None,
        comparisons: Comparisons,
        *,
        sink: Sink,
        control: Control,
        clock: Clock,
    ) -> None:
        self._plan = plan
        self._roots = roots
        self._state = state
        self._comparisons = comparisons
        self._differences: tuple[Difference, ...] = ()
        self._sink = sink
        self._clock = clock
        self._sizing = sizing(plan.settings)
        self._board = SharedBoard(self._sizing.readers + 2)
        self._pulse = Pulse(board=self._board, sink=sink, control=control, clock=clock, also=self._watch_lock)
        self._opening: Opening | None = None
        self._opened: Opened | None = None
        self._index_writer: IndexWriter | None = None
        self._scan: TotalsScan | None = None
        self._is_settled = False
        self._is_refreshing = False
        self._opened_at = 0.0

    def run(self, media: Media, password: Secret, started_ns: int) -> CopyResult:
        self._opening = Opening(self._plan, media, password, roots=self._roots, state=self._state, clock=self._clock)
        try:
            return self._copy(started_ns)
        finally:
            if self._scan is not None:
                self._scan.close()
            self._opening.close()

    def _copy(self, started_ns: int) -> CopyResult:
        store = AwaitedStore(self._open_store)
        self._comparisons.find(self._pulse.beat)
        if self._state is None and (self._plan.parent is not None or self._plan.find_parent):
            self._choose_source(self._wait_open())
        context = self._context()
        coordinator = Coordinator(
            context=context,
            board=self._board,
            pulse=self._pulse,
            sink=self._sink,
            state=self._state,
            store=store,
            try_open=self._try_open,
            index_writer=self._writer,
            on_crew=self._count_totals,
        )
        self._sink.emit(PhaseStarted(phase=PhaseName.COPY))
        try:
            trees = coordinator.run(self._tasks())
            opened = self._wait_open()
            self._settle_lock(opened)
            self._sink.emit(PhaseStarted(phase=PhaseName.COMMIT))
            tree = save_chain(
                self._roots,
                trees,
                reuse=[reuse_rules(context, number) for number in range(len(self._roots))],
                old_nodes=opened.parent.nodes if opened.parent is not None else {},
                save_tree=store.save_tree,
            )
            store.close()
            self._writer().flush()
        except BaseException:
            store.abort()
            self._save_index()
            raise
        coordinator.publish()
        result = self._commit(opened, tree, started_ns)
        self._save_state(opened, result.snapshot_file_id, coordinator.state_records)
        return result

    def _choose_source(self, opened: Opened) -> None:
        """By what the file system says has changed, if it can tell; the figures then begin with the parent's."""
        found = self._comparisons.usable_with(opened.parent)
        if found is not None and opened.parent is not None:
            self._differences = found
            count_parent(self._board.tally(self._sizing.readers + 1), opened.parent)

    def _context(self) -> CopyContext:
        settings = self._plan.settings
        parent_taken_ns: int | None = None
        if self._opened is not None:
            parent = self._opened.parent
            parent_taken_ns = parent.file.time_ns if parent is not None else None
        elif self._state is not None:
            parent_taken_ns = self._state.head.parent_taken_ns
        return CopyContext(
            roots=self._roots,
            trust=settings.trust,
            taken_ns=self._plan.taken_at_ns,
            parent_taken_ns=parent_taken_ns,
            sizing=self._sizing,
            compression_level=settings.compression_level,
            pack_bytes=settings.pack_bytes,
            with_state=settings.state_directory is not None and not self._differences,
            differences=self._differences,
            old_trees=self._old_trees(),
        )

    def _old_trees(self) -> tuple[BlobId, ...]:
        if not self._differences or self._opened is None or self._opened.parent is None:
            return ()
        return tuple([tree for tree in self._opened.parent.trees if tree is not None])

    def _tasks(self) -> list[Task]:
        tasks = []
        for number in range(len(self._roots)):
            tree, known = None, None
            found = self._state.find(path_key(number, "")) if self._state is not None else None
            if found is not None:
                known, tree = found
            elif self._opened is not None and self._opened.parent is not None:
                tree = self._opened.parent.trees[number]
            tasks.append(Task(None, number, number, "", tree, known))
        return tasks

    def _try_open(self) -> OpenedRepository | None:
        if self._opened is None and self._opening is not None:
            opened = self._opening.poll()
            if opened is not None:
                self._accept(opened)
        return self._opened.shared if self._opened is not None else None

    def _wait_open(self) -> Opened:
        if self._opened is None and self._opening is not None:
            self._accept(self._opening.wait(self._pulse.beat))
        if self._opened is None:
            raise RuntimeError("the repository is opened before it is used")
        return self._opened

    def _accept(self, opened: Opened) -> None:
        if self._state is not None and not opened.state_fits:
            raise _StateUnfit
        self._opened = opened
        self._opened_at = self._clock.monotonic()
        self._index_writer = IndexWriter(opened.shared.repository, on_stored=self._index_stored, clock=self._clock)
        if opened.problem:
            self._sink.emit(Notice(level=Level.WARNING, code="parent-unusable", sentence=opened.problem))
        summary = opened.parent.file.summary if opened.parent is not None else None
        if summary is not None and summary.total_files_processed:
            self._pulse.files_total = summary.total_files_processed
            self._pulse.bytes_total = summary.total_bytes_processed

    def _open_store(self) -> SessionStore:
        opened = self._wait_open()
        writer = self._writer()
        return SessionStore(opened.shared, self._context(), on_written=writer.add)

    def _writer(self) -> IndexWriter:
        self._wait_open()
        if self._index_writer is None:
            raise RuntimeError("the index writer is made when the repository is open")
        return self._index_writer

    def _save_index(self) -> None:
        """After a failure: index what was written, so that the next attempt reuses it."""
        if self._opened is None or self._index_writer is None:
            return
        try:
            self._opened.lock.check()
            self._index_writer.flush()
        except EngineError as error:
            sentence = f"What was written before the failure could not be indexed and is not reused: {error}"
            self._sink.emit(Notice(level=Level.WARNING, code="index-not-written", sentence=sentence))

    def _watch_lock(self) -> None:
        """Refresh the lock of a copy that takes longer, and stop when others removed it."""
        if self._opened is None:
            return
        self._opened.lock.check()
        if not self._is_refreshing and self._clock.monotonic() - self._opened_at > _REFRESH_AFTER_SECONDS:
            self._start_refreshing(self._opened)

    def _settle_lock(self, opened: Opened) -> None:
        """Look once more for locks placed at the same moment. A small copy has done its reading while it waited."""
        if not self._is_settled:
            opened.lock.settle()
            self._is_settled = True

    def _start_refreshing(self, opened: Opened) -> None:
        self._settle_lock(opened)
        if not self._is_refreshing:
            self._is_refreshing = True
            opened.lock.start_refreshing()

    def _count_totals(self) -> None:
        """A copy long enough for a crew counts; until that is done, the parent's totals are a guess."""
        self._start_refreshing(self._wait_open())
        self._scan = TotalsScan(self._roots, self._pulse)

    def _index_stored(self, _file_id: FileId) -> None:
        if self._index_writer is not None:
            self._sink.emit(Checkpoint(data={"index_files": len(self._index_writer.stored)}))

    def _commit(self, opened: Opened, tree: BlobId, started_ns: int) -> CopyResult:
        opened.lock.check()
        plan, totals = self._plan, self._board.totals()
        if totals["sockets_skipped"]:
            sentence = _sockets_left_out(totals["sockets_skipped"])
            self._sink.emit(Notice(level=Level.INFO, code="sockets-left-out", sentence=sentence))
        if self._comparisons.reason:
            sentence = f"All files were looked at, because {self._comparisons.reason}."
            self._sink.emit(Notice(level=Level.INFO, code="walk-instead-of-diff", sentence=sentence))
        parent = opened.parent.file.id if opened.parent is not None else None
        snapshot = SnapshotFile(
            time_ns=plan.taken_at_ns,
            tree=tree,
            paths=tuple(os.fsencode(root.stored_as) or b"/" for root in self._roots),
            hostname=plan.hostname,
            username=plan.username,
            tags=(*plan.tags, PARTIAL) if totals["exceptions"] else plan.tags,
            parent=parent,
            program_version=f"snapcopy {VERSION}",
            summary=Summary(
                backup_start_ns=started_ns,
                backup_end_ns=self._clock.now_ns(),
                files_new=totals["files_new"],
                files_changed=totals["files_changed"],
                files_unmodified=totals["files_unmodified"],
                dirs_new=totals["dirs_new"],
                dirs_changed=totals["dirs_changed"],
                dirs_unmodified=totals["dirs_unmodified"],
                data_blobs=totals["data_blobs"],
                tree_blobs=totals["tree_blobs"],
                data_added=totals["bytes_new"],
                data_added_packed=totals["bytes_stored"],
                total_files_processed=totals["files_done"],
                total_bytes_processed=totals["bytes_done"],
            ),
        )
        file_id = save_snapshot_file(opened.shared.repository, snapshot)
        self._pulse.progress()
        return CopyResult(
            snapshot_file_id=file_id,
            tree_id=tree.hex(),
            counters=self._pulse.final_counters(),
            parent_used=parent,
            source_note=self._comparisons.note(totals["files_done"]),
        )

    def _save_state(self, opened: Opened, snapshot_file_id: FileId, records: bytes) -> None:
        """Remember the directories for the next copy. A state that cannot be written costs time only."""
        plan = self._plan
        directory = plan.settings.state_directory
        if directory is None or self._differences:
            return
        stored = self._index_writer.stored if self._index_writer is not None else []
        source = _source(plan, self._roots)
        head = StateHead(
            parent=snapshot_file_id,
            parent_taken_ns=plan.taken_at_ns,
            source=source,
            index_files=sorted([*opened.shared.index.files, *stored]),
        )
        try:
            write_state(state_path(directory, source, snapshot_file_id), head, records)
            if opened.parent is not None and opened.parent.file.id is not None:
                state_path(directory, source, opened.parent.file.id).unlink(missing_ok=True)
            drop_old_states(directory, source)
        except OSError as error:
            sentence = f"The local state could not be written ({error.strerror}); the next copy takes longer."
            self._sink.emit(Notice(level=Level.WARNING, code="state-not-written", sentence=sentence))


def _sockets_left_out(count: int) -> str:
    if count == 1:
        return "1 socket was left out: it is made anew by whoever uses it."
    return f"{count} sockets were left out: they are made anew by whoever uses them."
