"""A snapshot file from one repository into another: only blobs that the target has not got move.

The files it was made from are not needed. Trees and data are named by their plain bytes, so the copy has the same tree
id; every blob is verified and sealed with the target's key. The order on the target is packs, index files, snapshot
file, so whatever ends a copy leaves a valid repository whose blobs the next attempt reuses. The machinery is in
``repository_copying``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ..clock import Clock
from ..errors import EngineError, InvalidOptions, RepositoryDamaged, RepositoryMissing
from ..events import Checkpoint, Control, Counters, Level, Notice, PhaseName, PhaseStarted, Progress, Sink
from ..ids import FileId
from ..media.base import Media
from ..plan import CopyResult, Secret
from ..repository.index_file import IndexWriter
from ..repository.index_load import load_index
from ..repository.lock import RepositoryLock
from ..repository.lock_file import clear_locks
from ..repository.pack import PACK_BYTES
from ..repository.reader import BlobReader
from ..repository.repository import Repository
from ..repository.snapshot_file import SnapshotFile, list_snapshot_files, read_snapshot_file, save_snapshot_file
from .copy_pipeline.pulse import Pulse
from .copy_pipeline.sizing import usable_cores
from .copy_pipeline.tally import SharedBoard
from .repository_copying.missing import Missing, Walk
from .repository_copying.moving import Move, move_blobs

_MOST_MOVERS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryCopyPlan:
    """One snapshot file of a source repository into a target repository, without the files it was made from.

    ``source_id`` and ``target_id`` are the repositories that must be there; None = any. ``readers`` None = one process
    per core. ``*_index_cache`` hold the local copies of the indexes; safe to lose, None = do without.
    """

    snapshot_file_id: FileId
    source_id: str | None = None
    target_id: str | None = None
    pack_bytes: int = PACK_BYTES
    readers: int | None = None
    source_index_cache: Path | None = None
    target_index_cache: Path | None = None


def run(  # noqa: PLR0917 - the signature every operation shares, with two media
    plan: RepositoryCopyPlan,
    source_media: Media,
    source_password: Secret,
    target_media: Media,
    target_password: Secret,
    sink: Sink,
    control: Control,
    clock: Clock,
) -> CopyResult:
    """Copy one snapshot file. One that is in the target already is completed, and not written twice.

    Both repositories are locked, not exclusively. Raises NotInCopy if the source has no such snapshot file; Stopped as
    soon as ``control`` does, after what was moved is indexed; RepositoryLocked, RepositoryMissing, RepositoryDamaged,
    WrongPassword; MediaUnavailable, MediaRefused, NoSpace; ReaderLost; InvalidOptions for one and the same repository.
    """
    sink.emit(PhaseStarted(phase=PhaseName.PREPARE))
    control.check()
    with ThreadPoolExecutor(2, thread_name_prefix="repository-opening") as pool:
        opened = [
            pool.submit(_open, media, password, expected, clock)
            for media, password, expected in (
                (source_media, source_password, plan.source_id),
                (target_media, target_password, plan.target_id),
            )
        ]
    source, target = [future.result() for future in opened]
    if source.key == target.key:
        raise InvalidOptions("The source and the target are one and the same repository.", field="source")
    with _locked(source, target, control) as locks:
        return _Copy(plan, source, target, locks, sink=sink, control=control, clock=clock).run()


def _open(media: Media, password: Secret, expected: str | None, clock: Clock) -> Repository:
    repository = Repository.open(media, password, clock=clock)
    if expected is not None and repository.id != expected:
        raise RepositoryMissing(
            f"The repository at this place is {repository.id[:8]}, not {expected[:8]}.",
            hint="Check that the right storage is mounted. Nothing was written.",
        )
    return repository


@contextlib.contextmanager
def _locked(source: Repository, target: Repository, control: Control) -> Iterator[tuple[RepositoryLock, ...]]:
    """A shared lock on each, not refreshed yet: its thread must start after the fork."""
    locks = tuple(RepositoryLock(repository, exclusive=False) for repository in (source, target))
    try:
        for lock, repository in zip(locks, (source, target), strict=True):
            control.check()
            lock.place()
            clear_locks(repository)
        for lock in locks:
            lock.settle()
        yield locks
    finally:
        for lock in locks:
            lock.release()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Earlier:
    """What the target has of the same line: this very copy, the copy of its parent, and a tree that is there whole."""

    same: SnapshotFile | None
    parent: SnapshotFile | None
    known: SnapshotFile | None


class _Copy:
    """One copy between two opened and locked repositories. Used once."""

    def __init__(
        self,
        plan: RepositoryCopyPlan,
        source: Repository,
        target: Repository,
        locks: tuple[RepositoryLock, ...],
        *,
        sink: Sink,
        control: Control,
        clock: Clock,
    ) -> None:
        self._plan, self._source, self._target, self._locks = plan, source, target, locks
        self._sink, self._control, self._clock = sink, control, clock
        self._movers = max(1, min(plan.readers or usable_cores(), _MOST_MOVERS))
        self._board = SharedBoard(self._movers + 1)
        self._pulse = Pulse(board=self._board, sink=sink, control=control, clock=clock, also=self._watch)
        self._index_writer = IndexWriter(target, on_stored=self._index_stored, clock=clock)

    def run(self) -> CopyResult:
        file = read_snapshot_file(self._source, self._plan.snapshot_file_id)
        earlier = self._earlier(file)
        self._sink.emit(PhaseStarted(phase=PhaseName.SCAN))
        source_index = load_index(self._source, cache_directory=self._plan.source_index_cache)
        target_index = load_index(self._target, cache_directory=self._plan.target_index_cache)
        walk = Walk(
            BlobReader(self._source, source_index), BlobReader(self._target, target_index), beat=self._pulse.beat
        )
        known = earlier.known.tree if earlier.known is not None else None
        missing = walk.run(file.tree, known=known)
        self._sink.emit(PhaseStarted(phase=PhaseName.COPY))
        self._pulse.bytes_total = sum(kind.plain_bytes for kind in missing)
        self._move(
            Move(
                source=self._source,
                source_index=source_index,
                target=self._target,
                missing=missing,
                pack_bytes=self._plan.pack_bytes,
                most_movers=self._movers,
            )
        )
        self._sink.emit(PhaseStarted(phase=PhaseName.COMMIT))
        self._index_writer.flush()
        moved = self._board.totals()
        self._index_writer.require(moved["data_blobs"] + moved["tree_blobs"])
        return self._commit(file, earlier, missing, walk.directories)

    def _earlier(self, file: SnapshotFile) -> _Earlier:
        """Without the copy of its parent, the newest of the same host and paths saves looking at what did not change.

        A copy that is there already is looked at whole: whoever copies it again may want what is missing.
        """
        there = list_snapshot_files(self._target, on_damaged=self._tell_damaged)
        ours = file.original or file.id
        same = next((other for other in there if (other.original or other.id) == ours), None)
        parent = next((other for other in there if file.parent and _line(other) == self._line_of(file.parent)), None)
        if same is not None:
            return _Earlier(same=same, parent=parent, known=None)
        alike = [other for other in there if other.hostname == file.hostname and other.paths == file.paths]
        return _Earlier(same=None, parent=parent, known=parent or (alike[-1] if alike else None))

    def _line_of(self, file_id: FileId) -> FileId:
        """What a snapshot file of the source was first called, which is what its copies remember."""
        try:
            return read_snapshot_file(self._source, file_id).original or file_id
        except EngineError:
            return file_id

    def _move(self, move: Move) -> None:
        if not move.packs:
            self._start_refreshing()
            return
        try:
            move_blobs(
                move,
                board=self._board,
                on_started=self._start_refreshing,
                on_written=self._index_writer.add,
                beat=self._pulse.beat,
            )
        except BaseException:
            self._save_index()
            raise

    def _save_index(self) -> None:
        """After a failure: index what was moved, so that the next attempt reuses it."""
        try:
            for lock in self._locks:
                lock.check()
            self._index_writer.flush()
        except EngineError as error:
            sentence = f"What was moved before the failure could not be indexed and is not reused: {error}"
            self._sink.emit(Notice(level=Level.WARNING, code="index-not-written", sentence=sentence))

    def _commit(
        self, file: SnapshotFile, earlier: _Earlier, missing: tuple[Missing, ...], directories: int
    ) -> CopyResult:
        for lock in self._locks:
            lock.check()
        parent = earlier.parent.id if earlier.parent is not None else None
        if earlier.same is not None and earlier.same.id is not None:
            file_id = earlier.same.id
            self._tell("already-there", f"The target holds this copy already, as {file_id[:8]}.")
        else:
            copied = replace(file, original=file.original or file.id, parent=parent, id=None)
            file_id = save_snapshot_file(self._target, copied)
        counters = self._final_counters(file, directories)
        self._sink.emit(Progress(counters=counters))
        data, trees = (len(kind.ids) for kind in missing)
        return CopyResult(
            snapshot_file_id=file_id,
            tree_id=file.tree.hex(),
            counters=counters,
            parent_used=parent,
            source_note=f"From repository {self._source.id[:8]}: {data} data and {trees} tree blobs were missing.",
        )

    def _final_counters(self, file: SnapshotFile, directories: int) -> Counters:
        """The figures of the copy itself; bytes read, new and stored are those that moved."""
        moved = self._board.totals()
        summary = file.summary
        files = summary.total_files_processed if summary is not None else 0
        logical = summary.total_bytes_processed if summary is not None else moved["bytes_done"]
        return Counters(
            files_total=files,
            files_done=files,
            directories_done=directories,
            bytes_total=logical,
            bytes_done=logical,
            bytes_read=moved["bytes_read"],
            bytes_new=moved["bytes_new"],
            bytes_stored=moved["bytes_stored"],
        )

    def _watch(self) -> None:
        for lock in self._locks:
            lock.check()

    def _start_refreshing(self) -> None:
        for lock in self._locks:
            lock.start_refreshing()

    def _index_stored(self, *_stored: object) -> None:
        self._sink.emit(Checkpoint(data={"index_files": len(self._index_writer.stored)}))

    def _tell(self, code: str, sentence: str) -> None:
        self._sink.emit(Notice(level=Level.INFO, code=code, sentence=sentence))

    def _tell_damaged(self, error: RepositoryDamaged) -> None:
        self._sink.emit(Notice(level=Level.WARNING, code="snapshot-file-damaged", sentence=str(error)))


def _line(file: SnapshotFile) -> FileId | None:
    """What it was called where it was first made."""
    return file.original or file.id
