"""Cataloguing snapshots, for whoever is at it: the catalog job, and the catalog phase of snapshots and copies (S1, S4).

Each snapshot is one transaction, so that an interrupted job goes on with the next one. One that cannot be catalogued is
told and marked; it stops nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from jobs.catalog.loading import Loaded, load
from jobs.dump_chains import dump_chain
from jobs.engine.errors import (
    EngineError,
    HistoryUnusable,
    MediaUnavailable,
    NotInCopy,
    RepositoryDamaged,
    SnapshotMissing,
    Stopped,
)
from jobs.engine.events import Counters, FileFailed, Level, PhaseName, Progress
from jobs.engine.ids import BlobId, FileId
from jobs.engine.operations.catalog import Change, Eyes, list_snapshot, list_trees, snapshot_changes, tree_changes
from jobs.engine.operations.dump_chaining.listing import DumpListing
from jobs.engine.plan import SourceRoot, StoredPath
from jobs.engine.repository.index_load import load_index
from jobs.engine.repository.reader import BlobReader
from jobs.engine.repository.repository import Repository
from jobs.engine.repository.snapshot_file import read_snapshot_file
from jobs.engine.snapshots.base import Capability, SnapshotRoot
from jobs.engine.source.diff import DiffUnavailable
from jobs.models import BackupCopy, CatalogState, CopyState, Snapshot
from jobs.progress import display
from jobs.rules import states
from jobs.rules.catalog_source import CatalogChoice, CatalogFacts, CatalogSource, choose_catalog_source
from jobs.runner.opened_media import open_media
from jobs.runner.references import ref_from_row
from jobs.runner.task import Task
from jobs.services.catalog import can_be_listed
from policies.models import Media
from policies.resolve import build_engine, dump_stream_engines, media_password
from snapcopy_site.lib.home import Home

WAITS: Final = (CatalogState.PENDING, CatalogState.FAILED)


@dataclass(slots=True, kw_only=True)
class Cataloguer:
    """Catalogues snapshots of one subclient for one job. ``close`` when done: it keeps repositories open meanwhile.

    ``media_only``: the storage is never asked. ``committed`` is a backup copy that is on media although its row does
    not say so yet: the job that made it is about to end.
    """

    task: Task
    committed: BackupCopy | None = None
    media_only: bool = False
    told: int = 0
    failures: int = 0
    _unread: tuple[str, str] = ("", "")
    _unread_count: int = 0
    _readers: dict[int, BlobReader] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def catalogue(self, snapshot: Snapshot) -> bool:
        """Write one snapshot into the catalog; False = it could not be, and its row says why. Raises Stopped."""
        before, after = neighbours(snapshot)
        choice = choose_catalog_source(self._facts(snapshot, before))
        try:
            loaded, reason = self._load(snapshot, before, after, choice)
        except Stopped:
            raise
        except (EngineError, OSError) as error:
            self._failed(snapshot, str(error))
            return False
        self.told += loaded.told
        self._tell_unread(snapshot)
        moment = timezone.localtime(snapshot.taken_at)
        self.task.tell(
            "catalogued",
            f"{snapshot.name} of {moment:%Y-%m-%d %H:%M} is catalogued: {loaded.told:,} paths looked at, "
            f"{loaded.began:,} versions began, {loaded.ended:,} ended. {reason}",
        )
        return True

    def _load(
        self, snapshot: Snapshot, before: Snapshot | None, after: Snapshot | None, choice: CatalogChoice
    ) -> tuple[Loaded, str]:
        if choice.source is CatalogSource.NOTHING:
            raise SnapshotMissing(choice.reason)
        with ExitStack() as stack:
            changes, is_whole, reason = self._look(snapshot, before, choice, stack)
            with transaction.atomic():
                loaded = load(
                    snapshot.subclient_id,
                    snapshot.taken_at,
                    changes,
                    is_whole=is_whole,
                    following=after.taken_at if after is not None else None,
                    on_step=self._step,
                )
                Snapshot.objects.filter(pk=snapshot.pk).update(catalog_state=CatalogState.DONE, catalog_reason=reason)
        return loaded, reason

    def _look(
        self, snapshot: Snapshot, before: Snapshot | None, choice: CatalogChoice, stack: ExitStack
    ) -> tuple[Iterator[Change], bool, str]:
        """(what there is, whether that is everything, a sentence about how it was found)."""
        base = None if choice.is_whole else before
        if choice.source is CatalogSource.DUMPS:
            listing = stack.enter_context(self._from_dumps(snapshot))
            return listing.entries(), True, f"{choice.reason} {listing.doubt}".rstrip()
        if choice.source is CatalogSource.TREES:
            return self._from_trees(snapshot, base), choice.is_whole, choice.reason
        changes, is_whole, problem = self._from_storage(snapshot, base, stack)
        reason = f"All of the snapshot was listed, because {problem}." if problem else choice.reason
        return changes, is_whole, reason

    def _from_trees(self, snapshot: Snapshot, base: Snapshot | None) -> Iterator[Change]:
        row = self._copy_to_read(snapshot, beside=base)
        if row is None:
            raise SnapshotMissing("Its backup copy went meanwhile.")
        reader, beat = self._reader(row.media), self.task.orders.check
        tree, roots = _tree_of(reader, row), _roots_of(snapshot)
        beside = _on_media(base).filter(media=row.media).first() if base is not None else None
        if base is None or beside is None:
            return list_trees(reader, tree, roots, beat)
        return tree_changes(reader, (_tree_of(reader, beside), _roots_of(base)), (tree, roots), beat)

    def _from_dumps(self, snapshot: Snapshot) -> DumpListing:
        """By the first copy whose chain is whole. Raises what is wrong with the last one."""
        problem: EngineError = SnapshotMissing("Its backup copy went meanwhile.")
        for row in self._copies(snapshot):
            if row is self.committed and row.job is not None:
                row.level_number = row.job.level_number
            try:
                chain, reader = dump_chain(row), self._reader(row.media)
                trees = [_tree_of(reader, link) for link in chain]
                return DumpListing(reader, trees, _roots_of(snapshot), self._eyes())
            except (NotInCopy, HistoryUnusable, RepositoryDamaged, MediaUnavailable) as error:
                problem = error
        raise problem

    def _eyes(self) -> Eyes:
        return Eyes(beat=self.task.orders.check, failed=self._tell_of)

    def _from_storage(
        self, snapshot: Snapshot, base: Snapshot | None, stack: ExitStack
    ) -> tuple[Iterator[Change], bool, str]:
        """(what there is, whether that is everything, why it is although a difference was wanted)."""
        engine = build_engine(snapshot.subclient.file_server)
        roots = stack.enter_context(engine.open(ref_from_row(snapshot)))
        eyes = self._eyes()
        problem = ""
        if base is not None:
            problem = "the last catalogued snapshot is gone"
            with suppress(SnapshotMissing):
                older = {
                    root.content_path: root.directory for root in stack.enter_context(engine.open(ref_from_row(base)))
                }
                try:
                    return _begun(snapshot_changes(_sources(roots, older), eyes)), False, ""
                except DiffUnavailable as unavailable:
                    problem = str(unavailable)
        return list_snapshot(_sources(roots, {}), eyes), True, problem

    def _facts(self, snapshot: Snapshot, base: Snapshot | None) -> CatalogFacts:
        rows = {row.state for row in self._copies(snapshot)}
        complete, partial = CopyState.COPIED in rows, CopyState.PARTIAL in rows
        if snapshot.engine in dump_stream_engines():
            return CatalogFacts(
                has_base=base is not None, has_complete_copy=complete, has_partial_copy=partial, is_dumped=True
            )
        engine = None if self.media_only or not snapshot.is_present else build_engine(snapshot.subclient.file_server)
        return CatalogFacts(
            has_base=base is not None,
            has_complete_copy=complete,
            has_partial_copy=partial,
            base_is_beside=base is not None and self._copy_to_read(snapshot, beside=base, is_strict=True) is not None,
            has_snapshot=engine is not None and snapshot.engine == engine.name,
            base_has_snapshot=engine is not None
            and base is not None
            and base.is_present
            and base.engine == engine.name,
            can_diff=engine is not None and Capability.DIFF in engine.capabilities,
            same_content=base is not None and set(base.content) == set(snapshot.content),
            media_only=self.media_only,
        )

    def _copies(self, snapshot: Snapshot) -> list[BackupCopy]:
        mine = self.committed
        is_mine = mine is not None and mine.snapshot_id == snapshot.pk
        return [*([mine] if mine is not None and is_mine else []), *_on_media(snapshot)]

    def _copy_to_read(
        self, snapshot: Snapshot, *, beside: Snapshot | None, is_strict: bool = False
    ) -> BackupCopy | None:
        """The copy whose trees are read: one in a repository that also holds the other snapshot, if there is one."""
        rows = self._copies(snapshot)
        if beside is not None:
            there = set(_on_media(beside).values_list("media_id", flat=True))
            found = next((row for row in rows if row.media_id in there), None)
            if found is not None or is_strict:
                return found
        return rows[0] if rows else None

    def _reader(self, media: Media) -> BlobReader:
        found = self._readers.get(media.pk)
        if found is None:
            driver = open_media(self.task, media)
            self._stack.callback(driver.close)
            repository = Repository.open(driver, media_password(media), clock=self.task.clock)
            index = load_index(repository, cache_directory=Home.current().index_cache(media.pk))
            found = self._readers[media.pk] = BlobReader(repository, index)
        return found

    def _step(self, told: int) -> None:
        self.task.orders.check()
        if self.committed is None:  # a copy's own figures stay
            self.task.recorder.emit(Progress(counters=Counters(files_done=self.told + told)))

    def _tell_of(self, failed: FileFailed) -> None:
        """The snapshot or copy that left it out is who failed; here it is told once, for all of them."""
        if not self._unread_count:
            self._unread = display(failed.path), failed.error
        self._unread_count += 1

    def _tell_unread(self, snapshot: Snapshot) -> None:
        if count := self._unread_count:
            path, why = self._unread
            more = f" and {count - 1:,} more" if count > 1 else ""
            sentence = f"In the catalog of {snapshot.name} {path}{more} is missing: {why}."
            self.task.tell("catalog-unread", sentence, level=Level.WARNING)
            self._unread_count = 0

    def _failed(self, snapshot: Snapshot, why: str) -> None:
        self.failures += 1
        Snapshot.objects.filter(pk=snapshot.pk).exclude(catalog_state=CatalogState.DONE).update(
            catalog_state=CatalogState.FAILED, catalog_reason=why
        )
        sentence = f"{snapshot.name} could not be catalogued: {why}"
        self.task.tell("catalog-failed", sentence, level=Level.WARNING)


def catalog_phase(task: Task, snapshot: Snapshot, *, committed: BackupCopy | None = None) -> int:
    """RULES S1, S4: the inline catalog of a job, with what is still to be catalogued before; returns what failed.

    Killed and suspended jobs leave it for later: what the job was for is done.
    """
    waiting = waiting_for_catalog(snapshot.subclient_id, until=snapshot.taken_at, committed=committed)
    if not waiting:
        return 0
    task.phase(PhaseName.CATALOG)
    with Cataloguer(task=task, committed=committed) as cataloguer, suppress(Stopped):
        for one in waiting:
            cataloguer.catalogue(one)
        return cataloguer.failures
    return 0


def waiting_for_catalog(
    subclient_id: int, *, until: datetime | None = None, committed: BackupCopy | None = None
) -> list[Snapshot]:
    """Snapshots that are to be catalogued, oldest first; what can be listed only once it is copied waits for that."""
    rows = Snapshot.objects.filter(subclient=subclient_id, catalog_state__in=WAITS)
    if until is not None:
        rows = rows.filter(taken_at__lte=until)
    rows = rows.filter(can_be_listed() | Q(pk=committed.snapshot_id if committed is not None else None))
    return list(rows.select_related("subclient__file_server").order_by("taken_at", "pk"))


def neighbours(snapshot: Snapshot) -> tuple[Snapshot | None, Snapshot | None]:
    """The catalogued snapshots before and after this one."""
    done = Snapshot.objects.filter(subclient=snapshot.subclient_id, catalog_state=CatalogState.DONE)
    before = done.filter(taken_at__lt=snapshot.taken_at).order_by("-taken_at").first()
    return before, done.filter(taken_at__gt=snapshot.taken_at).order_by("taken_at").first()


def _on_media(snapshot: Snapshot) -> QuerySet[BackupCopy]:
    """Its backup copies, complete ones first, in order of precedence."""
    rows = BackupCopy.objects.filter(snapshot=snapshot, state__in=states.ON_MEDIA)
    return rows.select_related("media").order_by("state", "copy__precedence")


def _tree_of(reader: BlobReader, row: BackupCopy) -> BlobId:
    return read_snapshot_file(reader.repository, FileId(row.snapshot_file_id or "")).tree


def _roots_of(snapshot: Snapshot) -> list[bytes]:
    return [path.encode("utf-8", "surrogateescape") for path in snapshot.content]


def _sources(roots: tuple[SnapshotRoot, ...], older: dict[str, Path]) -> list[SourceRoot]:
    return [
        SourceRoot(
            directory=root.directory,
            stored_as=StoredPath(root.content_path.encode("utf-8", "surrogateescape")),
            previous=older.get(root.content_path),
            origins=root.origins,
        )
        for root in roots
    ]


def _begun(changes: Iterator[Change]) -> Iterator[Change]:
    """The same, after its first answer: whether the two can be compared shows before anything is told."""
    first = next(changes, None)

    def all_of_it() -> Iterator[Change]:
        if first is not None:
            yield first
        yield from changes

    return all_of_it()
