"""A backup copy: readable source roots into the repository on one medium, as one snapshot file.

The order on the medium is packs, index files, snapshot file, so whatever ends a copy leaves a valid repository whose
blobs the next attempt reuses. The machinery is in ``copy_pipeline``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..clock import Clock
from ..errors import EngineError
from ..events import Checkpoint, Control, Level, Notice, PhaseName, PhaseStarted, Sink
from ..ids import BlobId, FileId
from ..media.base import Media
from ..media.wrapping import transfers_of
from ..plan import CopyPlan, CopyResult, Secret
from ..repository.index_additions import IndexAdditions
from ..repository.index_file import IndexWriter
from ..repository.snapshot_file import save_snapshot_file
from ..source.diff import Difference
from .copy_pipeline.comparison import Comparisons, count_parent
from .copy_pipeline.context import CopyContext, RootContext
from .copy_pipeline.coordinator import Coordinator
from .copy_pipeline.description import describe_copy
from .copy_pipeline.local_state import LocalState, StateHead, path_key
from .copy_pipeline.memory import recall, remember, source_of
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
    state = None if comparisons.is_open else recall(plan, roots, media)
    try:
        while True:
            attempt = _Attempt(
                plan, roots, state, comparisons, transfers=transfers_of(media), sink=sink, control=control, clock=clock
            )
            try:
                return attempt.run(media, password, started_ns)
            except _StateUnfit:
                state = None
            except LostTreeError:
                comparisons.give_up("a directory of the last copy is missing from the repository")
    finally:
        comparisons.close()


class _Attempt:
    """One try with or without a local state. Used once."""

    def __init__(
        self,
        plan: CopyPlan,
        roots: tuple[RootContext, ...],
        state: LocalState | None,
        comparisons: Comparisons,
        *,
        transfers: int,
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
        self._sizing = sizing(plan.settings, transfers=transfers)
        self._board = SharedBoard(self._sizing.readers + 2)
        self._pulse = Pulse(board=self._board, sink=sink, control=control, clock=clock, also=self._watch_lock)
        self._opening: Opening | None = None
        self._opened: Opened | None = None
        self._index_writer: IndexWriter | None = None
        self._additions: IndexAdditions | None = None
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
            if self._additions is not None:
                self._additions.save()
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
            coordinator.publish()
            stored = self._board.totals()
            self._writer().require(stored["data_blobs"] + stored["tree_blobs"])
        except BaseException:
            store.abort()
            self._save_index()
            raise
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
        self._additions = IndexAdditions(opened.shared.repository, self._plan.settings.index_directory)
        self._index_writer = IndexWriter(opened.shared.repository, on_stored=self._index_stored, clock=self._clock)
        if opened.problem:
            self._tell(Level.WARNING, "parent-unusable", opened.problem)

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
            self._tell(Level.WARNING, "index-not-written", sentence)

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
        """A copy long enough for a crew counts; one that goes by what changed knows how many paths those are."""
        self._start_refreshing(self._wait_open())
        if self._differences:
            self._pulse.files_total = sum(difference.changed_paths for difference in self._differences)
            return
        self._scan = TotalsScan(self._roots, self._pulse)

    def _index_stored(self, file_id: FileId, entries: Sequence[str]) -> None:
        if self._additions is not None:
            self._additions.add(file_id, entries)
        if self._index_writer is not None:
            self._sink.emit(Checkpoint(data={"index_files": len(self._index_writer.stored)}))

    def _commit(self, opened: Opened, tree: BlobId, started_ns: int) -> CopyResult:
        opened.lock.check()
        totals = self._board.totals()
        if totals["sockets_skipped"]:
            self._tell(Level.INFO, "sockets-left-out", _sockets_left_out(totals["sockets_skipped"]))
        if self._comparisons.reason:
            self._tell(
                Level.INFO, "walk-instead-of-diff", f"All files were looked at, because {self._comparisons.reason}."
            )
        parent = opened.parent.file.id if opened.parent is not None else None
        snapshot = describe_copy(
            self._plan,
            self._roots,
            tree=tree,
            parent=parent,
            totals=totals,
            started_ns=started_ns,
            ended_ns=self._clock.now_ns(),
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

    def _tell(self, level: Level, code: str, sentence: str) -> None:
        self._sink.emit(Notice(level=level, code=code, sentence=sentence))

    def _save_state(self, opened: Opened, snapshot_file_id: FileId, records: bytes) -> None:
        """Remember the directories for the next copy. A state that cannot be written costs time only."""
        directory = self._plan.settings.state_directory
        if directory is None or self._differences:
            return
        stored = self._index_writer.stored if self._index_writer is not None else []
        head = StateHead(
            parent=snapshot_file_id,
            parent_taken_ns=self._plan.taken_at_ns,
            source=source_of(self._plan, self._roots),
            index_files=sorted([*opened.shared.index.files, *stored]),
        )
        before = opened.parent.file.id if opened.parent is not None else None
        try:
            remember(directory, head, records, before=before)
        except OSError as error:
            self._tell(
                Level.WARNING,
                "state-not-written",
                f"The local state could not be written ({error.strerror}); the next copy takes longer.",
            )


def _sockets_left_out(count: int) -> str:
    if count == 1:
        return "1 socket was left out: it is made anew by whoever uses it."
    return f"{count} sockets were left out: they are made anew by whoever uses them."
