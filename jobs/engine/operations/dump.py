"""A backup copy of what an NDMP file server sends: each content path as one image, all of them as one snapshot file.

The order on the medium is packs, index files, snapshot file, as in ``backup_copy``: whatever ends a dump leaves a valid
repository, and what was stored already is not stored again. A dump cannot be continued: the next attempt begins again.
The machinery is in ``dumping``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from .. import VERSION
from ..clock import Clock
from ..errors import EngineError, InvalidOptions
from ..events import Checkpoint, Control, Counters, Level, Notice, PhaseName, PhaseStarted, Sink
from ..ids import BlobId, FileId
from ..media.base import Media
from ..media.wrapping import transfers_of
from ..ndmp.login import connect
from ..ndmp.session import Session
from ..plan import CopyPlan, CopyResult, Secret
from ..repository.chunker import Chunker
from ..repository.index_additions import IndexAdditions
from ..repository.index_file import IndexWriter
from ..repository.session import AppendSession
from ..repository.snapshot_file import SnapshotFile, Summary, save_snapshot_file
from .copy_pipeline.opening import Opened, Opening
from .copy_pipeline.process import keep_buffers_in_heap
from .copy_pipeline.sizing import sizing, usable_cores
from .dumping import layout
from .dumping.history_keeping import HistoryKeeper
from .dumping.meter import Meter
from .dumping.plan import Dumped, DumpPlan, DumpResult
from .dumping.stream_store import StreamStore
from .dumping.taking import DumpTaker


def run(  # noqa: PLR0917 - the signature every operation shares
    plan: DumpPlan,
    media: Media,
    password: Secret,
    sink: Sink,
    control: Control,
    clock: Clock,
    *,
    new_history: Callable[[], HistoryKeeper],
    before_dump: Callable[[str], None] = lambda _file_system: None,
) -> DumpResult:
    """Dump the plan's content paths and commit one snapshot file.

    ``before_dump`` is told of each content path before the file server is asked for its dump: from then on it may
    count it among those that later levels build on, whatever becomes of the copy. Raises Stopped as soon as
    ``control`` does; LoginRefused, SourceUnavailable, SourceMissing, StorageBusy, AnswerUnreadable, StreamIncomplete,
    EngineUnsupported, InvalidOptions; RepositoryLocked, RepositoryMissing, RepositoryDamaged, WrongPassword;
    MediaUnavailable, MediaRefused, NoSpace. Nothing is committed then, and no lock stays behind.
    """
    sink.emit(PhaseStarted(phase=PhaseName.PREPARE))
    control.check()
    folders = [layout.folder_of(path) for path in plan.file_systems]
    if not folders or len(set(folders)) < len(folders):
        raise InvalidOptions("A content path is missing or named twice.", field="content_paths")
    attempt = _Attempt(plan, sink, control, clock, new_history=new_history, before_dump=before_dump)
    return attempt.run(media, password)


class _Attempt:
    """One copy. Used once."""

    def __init__(
        self,
        plan: DumpPlan,
        sink: Sink,
        control: Control,
        clock: Clock,
        *,
        new_history: Callable[[], HistoryKeeper],
        before_dump: Callable[[str], None],
    ) -> None:
        self._plan, self._sink, self._control, self._clock = plan, sink, control, clock
        self._new_history, self._before_dump = new_history, before_dump
        self._meter = Meter(sink=sink, control=control, clock=clock, also=self._watch_lock)
        self._trees = layout.DumpTrees(plan.taken_at_ns)
        self._opened: Opened | None = None
        self._started_ns = clock.now_ns()
        self._writers = 1

    def run(self, media: Media, password: Secret) -> DumpResult:
        settings = replace(self._plan.settings, readers=1)
        self._writers = sizing(settings, transfers=transfers_of(media)).writers
        opening = Opening(self._opening_plan(), media, password, roots=(), state=None, clock=self._clock)
        additions: IndexAdditions | None = None
        try:
            with connect(self._plan.source.server, self._control, waits=self._plan.waits) as session:
                self._opened = opened = opening.wait(self._control.check)
                opened.lock.settle()
                opened.lock.start_refreshing()
                additions = IndexAdditions(opened.shared.repository, self._plan.settings.index_directory)
                return self._copy(session, opened, additions)
        finally:
            if additions is not None:
                additions.save()
            opening.close()

    def _opening_plan(self) -> CopyPlan:
        plan = self._plan
        return CopyPlan(
            roots=(),
            hostname=plan.hostname,
            username=plan.username,
            taken_at_ns=plan.taken_at_ns,
            repository_id=plan.repository_id,
            settings=plan.settings,
        )

    def _copy(self, session: Session, opened: Opened, additions: IndexAdditions) -> DumpResult:
        def stored(file_id: FileId, entries: Sequence[str]) -> None:
            additions.add(file_id, entries)
            self._sink.emit(Checkpoint(data={"index_files": len(index.stored)}))

        index = IndexWriter(opened.shared.repository, on_stored=stored, clock=self._clock)
        packs = self._packs_into(opened, index)
        try:
            dumps = self._take(session, packs)
            session.close()
            self._sink.emit(PhaseStarted(phase=PhaseName.COMMIT))
            tree = self._trees.save(packs.save_tree)
            packs.close()
            index.flush()
            index.require(packs.counts.data_blobs + packs.counts.tree_blobs)
        except BaseException:
            packs.abort()
            self._save_index(opened, index)
            raise
        return DumpResult(copy=self._commit(opened, tree), dumps=dumps)

    def _packs_into(self, opened: Opened, index: IndexWriter) -> AppendSession:
        shared, settings = opened.shared, self._plan.settings
        packs = AppendSession(
            shared.repository,
            shared.index,
            shared.claims,
            on_written=index.add,
            compression_level=settings.compression_level,
            pack_bytes=settings.pack_bytes,
            writers=self._writers,
        )
        self._meter.watch(packs)
        return packs

    def _take(self, session: Session, packs: AppendSession) -> tuple[Dumped, ...]:
        keep_buffers_in_heap()
        cores = usable_cores()
        self._sink.emit(PhaseStarted(phase=PhaseName.COPY))
        store = StreamStore(packs, Chunker(), threads=cores, windows=cores + 2, beat=self._meter.beat)
        try:
            taker = DumpTaker(
                self._plan,
                session,
                store,
                self._trees,
                self._meter,
                new_history=self._new_history,
                before_dump=self._before_dump,
            )
            return tuple([taker.take(path) for path in self._plan.file_systems])
        finally:
            store.close()

    def _watch_lock(self) -> None:
        if self._opened is not None:
            self._opened.lock.check()

    def _save_index(self, opened: Opened, index: IndexWriter) -> None:
        """After a failure: index what was written, so that the next attempt does not store it again."""
        try:
            opened.lock.check()
            index.flush()
        except EngineError as error:
            sentence = f"What was written before the failure could not be indexed and is not reused: {error}"
            self._sink.emit(Notice(level=Level.WARNING, code="index-not-written", sentence=sentence))

    def _commit(self, opened: Opened, tree: BlobId) -> CopyResult:
        opened.lock.check()
        counters = self._meter.final()
        file_id = save_snapshot_file(opened.shared.repository, self._snapshot_file(tree, counters))
        return CopyResult(
            snapshot_file_id=file_id,
            tree_id=tree.hex(),
            counters=counters,
            parent_used=self._plan.parent,
            source_note=f"Dumped from {self._plan.source.server.host} at level {self._plan.level}.",
        )

    def _snapshot_file(self, tree: BlobId, counters: Counters) -> SnapshotFile:
        plan = self._plan
        data_blobs, tree_blobs = self._meter.blobs
        return SnapshotFile(
            time_ns=plan.taken_at_ns,
            tree=tree,
            paths=tuple([layout.folder_of(path) for path in plan.file_systems]),
            hostname=plan.hostname,
            username=plan.username,
            tags=plan.tags,
            parent=plan.parent,
            program_version=f"snapcopy {VERSION}",
            summary=Summary(
                backup_start_ns=self._started_ns,
                backup_end_ns=self._clock.now_ns(),
                files_new=self._trees.files,
                dirs_new=self._trees.folders,
                data_blobs=data_blobs,
                tree_blobs=tree_blobs,
                data_added=counters.bytes_new,
                data_added_packed=counters.bytes_stored,
                total_files_processed=counters.files_done,
                total_bytes_processed=counters.bytes_done,
            ),
        )
