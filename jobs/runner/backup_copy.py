"""Backup copy jobs: rows to a frozen plan, the snapshot opened by its driver, the engine run, the result to rows."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path

from django.db.models import F
from django.utils import timezone

from jobs.engine.errors import EngineError, SnapshotMissing
from jobs.engine.events import PhaseName
from jobs.engine.ids import FileId
from jobs.engine.media.base import Media as MediaDriver
from jobs.engine.media.base import Usage
from jobs.engine.operations import backup_copy
from jobs.engine.plan import CopyPlan, CopyResult, CopySettings, SourceRoot, StoredPath
from jobs.engine.repository.layout import FileKind, file_name
from jobs.engine.snapshots.base import Capability, SnapshotEngine
from jobs.models import BackupCopy, CopyState, Job
from jobs.rules import levels
from jobs.runner.references import ref_from_row
from jobs.runner.task import Task
from jobs.selectors import last_copied
from jobs.services.failures import ConfigurationDeleted
from jobs.services.outcomes import Done, Failed, Outcome
from jobs.services.selection import mark_copying
from policies.models import Copy, Media, Subclient
from policies.resolve import build_engine, media_password, resolve_media
from policies.services.media import ensure_repository, record_copied_bytes
from snapcopy_site.lib.home import Home


def run(task: Task) -> Outcome:
    """Copy the job's snapshot to its copy's medium. A snapshot that is gone fails the job and lets newer ones go on."""
    job, row = task.job, task.job.backup_copy
    if row is None or job.subclient is None or job.copy is None or job.copy.media is None:
        raise ConfigurationDeleted("The subclient, copy or snapshot of this job was deleted.")
    try:
        return _copy(task, row, job.subclient, job.copy, job.copy.media)
    except SnapshotMissing as error:
        return Failed.by(error, snapshot_is_gone=True)


def _copy(task: Task, row: BackupCopy, subclient: Subclient, copy: Copy, media: Media) -> Outcome:
    task.phase(PhaseName.PREPARE)
    engine = build_engine(subclient.file_server)
    driver, password = resolve_media(media), media_password(media)
    try:
        if media.repository_id is None:
            repository = ensure_repository(media)
            task.tell("repository-created", f"The medium {media.name} has the repository {repository.id[:8]} now.")
        base = _base(task, row, subclient, copy)
        mark_copying(row, job_id=task.job.pk)
        with ExitStack() as stack:
            roots = _open_sources(engine, row, base, stack)
            plan = _plan(task, row, media, roots, base)
            result = backup_copy.run(plan, driver, password, task.recorder, task.orders, task.clock)
        usage = _usage(driver)
    finally:
        driver.close()
    exceptions = max(result.counters.exceptions, task.recorder.exceptions)
    return Done(
        exceptions=exceptions,
        result={"snapshot_file_id": result.snapshot_file_id, "tree_id": result.tree_id, "source": result.source_note},
        record=lambda: _record(row, media, base, result, exceptions=exceptions, usage=usage),
    )


def _open_sources(
    engine: SnapshotEngine, row: BackupCopy, base: BackupCopy | None, stack: ExitStack
) -> tuple[SourceRoot, ...]:
    """The snapshot's roots, and beside each the older snapshot's, if the engine can tell what changed between them."""
    roots = stack.enter_context(engine.open(ref_from_row(row.snapshot)))
    older: dict[str, Path] = {}
    if base is not None and Capability.DIFF in engine.capabilities and base.snapshot.is_present:
        with suppress(SnapshotMissing):
            before = stack.enter_context(engine.open(ref_from_row(base.snapshot)))
            older = {root.content_path: root.directory for root in before}
    return tuple(
        SourceRoot(
            directory=root.directory,
            stored_as=StoredPath(root.content_path.encode("utf-8", "surrogateescape")),
            previous=older.get(root.content_path),
            origins=root.origins,
        )
        for root in roots
    )


def _base(task: Task, row: BackupCopy, subclient: Subclient, copy: Copy) -> BackupCopy | None:
    """What to compare with (RULES B5, B8), and the level it makes; both are stored with the job."""
    base = last_copied(subclient, copy, before=row.snapshot)
    is_gone = base is not None and not _is_on_media(base)
    decision = levels.copy_level(
        snapshot_level=row.snapshot.ran_level, has_base=base is not None, base_is_damaged=is_gone
    )
    Job.objects.filter(pk=task.job.pk).update(ran_level=decision.level.value, level_reason=decision.reason)
    BackupCopy.objects.filter(pk=row.pk).update(ran_level=decision.level.value)
    return None if decision.level is levels.RunLevel.FULL else base


def _is_on_media(base: BackupCopy) -> bool:
    driver = resolve_media(base.media)
    try:
        return driver.exists(file_name(FileKind.SNAPSHOT, FileId(base.snapshot_file_id or "")))
    finally:
        driver.close()


def _plan(
    task: Task, row: BackupCopy, media: Media, roots: tuple[SourceRoot, ...], base: BackupCopy | None
) -> CopyPlan:
    subclient = row.snapshot.subclient
    return CopyPlan(
        roots=roots,
        hostname=subclient.file_server.name,
        username="snapcopy",
        taken_at_ns=ref_from_row(row.snapshot).taken_at_ns,
        parent=FileId(base.snapshot_file_id) if base and base.snapshot_file_id else None,
        repository_id=media.repository_id,
        tags=(f"subclient={subclient.path}", f"snapshot={row.snapshot.name}", f"job={task.job.pk}"),
        settings=CopySettings(state_directory=_state_directory(row)),
    )


def _state_directory(row: BackupCopy) -> Path:
    """One per subclient and copy, on the node that copies; safe to lose."""
    return Home.current().path / "copy-state" / f"{row.snapshot.subclient_id}-{row.copy_id}"


def _usage(driver: MediaDriver) -> Usage | None:
    """How full the medium is now. A copy that is done does not fail because nobody can tell."""
    try:
        return driver.usage()
    except EngineError:
        return None


def _record(
    row: BackupCopy, media: Media, base: BackupCopy | None, result: CopyResult, *, exceptions: int, usage: Usage | None
) -> None:
    """The copy is on media: its state, figures and base change with the job's own end (RULES L4)."""
    counters = result.counters
    used = result.parent_used is not None
    BackupCopy.objects.filter(pk=row.pk).update(
        state=CopyState.PARTIAL if exceptions else CopyState.COPIED,
        state_reason=f"{exceptions} files could not be read" if exceptions else "",
        failures=F("failures") * 0,
        parent=base if used else None,
        snapshot_file_id=result.snapshot_file_id,
        tree_id=result.tree_id,
        files=counters.files_done,
        logical_bytes=counters.bytes_done,
        new_bytes=counters.bytes_new,
        stored_bytes=counters.bytes_stored,
        exceptions=exceptions,
        copied_at=timezone.now(),
    )
    record_copied_bytes(media, stored_bytes=counters.bytes_stored, usage=usage)
