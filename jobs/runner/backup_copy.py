"""Backup copy jobs: rows to a frozen plan, the snapshot opened by its driver, the engine run, the result to rows."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Final

from django.db.models import F
from django.utils import timezone

from jobs.engine.errors import EngineError, SnapshotMissing, SourceUnavailable
from jobs.engine.events import FileFailed, Level, PhaseName
from jobs.engine.ids import FileId
from jobs.engine.media.base import Media as MediaDriver
from jobs.engine.media.base import Usage
from jobs.engine.operations import backup_copy
from jobs.engine.plan import CopyPlan, CopyResult, CopySettings, SourceRoot, StoredPath
from jobs.engine.repository.layout import FileKind, file_name
from jobs.engine.snapshots.base import Capability, SnapshotEngine
from jobs.models import BackupCopy, CopyState, Job, Snapshot
from jobs.rules import levels
from jobs.runner.references import ref_from_row
from jobs.runner.task import Task
from jobs.selectors import last_copied
from jobs.services.copy_states import mark_copying
from jobs.services.failures import ConfigurationDeleted
from jobs.services.outcomes import Done, Failed, Outcome
from jobs.services.source_guard import guard_source
from policies.models import Copy, Media, Subclient
from policies.resolve import build_engine, incremental_limit, media_password, resolve_media
from policies.services.media import ensure_repository, record_copied_bytes
from snapcopy_site.lib.home import Home

FORMER_FILES: Final = "former_files"
"""Token of a backup copy: ids of the snapshot files that a recopy replaced."""


def run(task: Task) -> Outcome:
    """Copy the job's snapshot to its copy's medium. A snapshot that is gone fails the job and lets newer ones go on."""
    job, row = task.job, task.job.backup_copy
    if row is None or job.subclient is None or job.copy is None or job.copy.media is None:
        raise ConfigurationDeleted("The subclient, copy or snapshot of this job was deleted.")
    try:
        return _copy(task, row, job.subclient, job.copy, job.copy.media)
    except SnapshotMissing as error:
        return Failed.by(error, snapshot_is_gone=True)
    except SourceUnavailable as error:
        return Failed.by(error, source_is_offline=True)


def _copy(task: Task, row: BackupCopy, subclient: Subclient, copy: Copy, media: Media) -> Outcome:
    task.phase(PhaseName.PREPARE)
    engine = build_engine(subclient.file_server)
    driver, password = resolve_media(media), media_password(media)
    try:
        if media.repository_id is None:
            repository = ensure_repository(media)
            task.tell("repository-created", f"The medium {media.name} has the repository {repository.id[:8]} now.")
        base, decision = _base(task, row, subclient, copy)
        older = mark_copying(row, job_id=task.job.pk, base=base)
        with ExitStack() as stack:
            roots = _open_sources(engine, row, older, stack)
            plan = _plan(task, row, media, roots, base)
            result = backup_copy.run(plan, driver, password, task.recorder, task.orders, task.clock)
        usage = _usage(driver)
    finally:
        driver.close()
    exceptions = max(result.counters.exceptions, task.recorder.exceptions)
    guarded = _guard(task, row, subclient, result)
    return Done(
        exceptions=exceptions + guarded,
        result={"snapshot_file_id": result.snapshot_file_id, "tree_id": result.tree_id, "source": result.source_note},
        record=lambda: _record(row, media, base, decision, result, exceptions=exceptions, usage=usage),
    )


def _guard(task: Task, row: BackupCopy, subclient: Subclient, result: CopyResult) -> int:
    """RULES R10: 1 if the source looks as if it were not all there; what was copied is still whole."""
    sentence = guard_source(row, result.counters)
    if not sentence:
        return 0
    where = " and ".join(subclient.content_paths).encode("utf-8", "surrogateescape")
    task.recorder.emit(FileFailed(path=where, error=sentence, code="source-guard"))
    task.tell(
        "source-guard",
        f"{sentence} Nothing of {subclient.path} ages until somebody acknowledges it.",
        level=Level.WARNING,
    )
    return 1


def _open_sources(
    engine: SnapshotEngine, row: BackupCopy, base: Snapshot | None, stack: ExitStack
) -> tuple[SourceRoot, ...]:
    """The snapshot's roots, and beside each the older snapshot's, if the engine can tell what changed between them.

    ``base`` None, or gone meanwhile: the copy walks the tree and compares with the parent on the medium.
    """
    roots = stack.enter_context(engine.open(ref_from_row(row.snapshot)))
    older: dict[str, Path] = {}
    if base is not None and Capability.DIFF in engine.capabilities:
        with suppress(SnapshotMissing):
            before = stack.enter_context(engine.open(ref_from_row(base)))
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


def _base(task: Task, row: BackupCopy, subclient: Subclient, copy: Copy) -> tuple[BackupCopy | None, levels.Decision]:
    """What to compare with (RULES S3, B5, B8), and the level it makes; both are stored with the job.

    An incremental compares with the last copied one of any kind, a differential with the last full that was copied.
    """
    latest = last_copied(subclient, copy, before=row.snapshot)
    full = last_copied(subclient, copy, before=row.snapshot, is_full=True)
    decide = partial(
        levels.copy_level,
        snapshot_level=row.snapshot.ran_level,
        has_base=latest is not None,
        base_number=latest.level_number if latest else None,
        has_full=full is not None,
        limit=incremental_limit(subclient.file_server),
    )
    decision = decide()
    base = {levels.RunLevel.FULL: None, levels.RunLevel.DIFFERENTIAL: full}.get(decision.level, latest)
    if base is not None and not _is_on_media(base):
        base, decision = None, decide(base_is_damaged=True)
    Job.objects.filter(pk=task.job.pk).update(
        ran_level=decision.level.value,
        level_number=decision.number,
        level_reason=decision.reason or _why_not_as_asked(row.snapshot),
    )
    return base, decision


def _why_not_as_asked(snapshot: Snapshot) -> str:
    """The reason of the snapshot job, whose level the copy runs at."""
    is_as_asked = snapshot.job is None or snapshot.asked_level == snapshot.ran_level
    return "" if is_as_asked or snapshot.job is None else snapshot.job.level_reason


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
        settings=CopySettings(state_directory=_state_directory(row), index_cache=Home.current().index_cache(media.pk)),
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
    row: BackupCopy,
    media: Media,
    base: BackupCopy | None,
    decision: levels.Decision,
    result: CopyResult,
    *,
    exceptions: int,
    usage: Usage | None,
) -> None:
    """The copy is on media: its state, level, figures and base change with the job's own end (RULES L4)."""
    counters = result.counters
    used = result.parent_used is not None
    BackupCopy.objects.filter(pk=row.pk).update(
        state=CopyState.PARTIAL if exceptions else CopyState.COPIED,
        state_reason=f"{exceptions} files could not be read" if exceptions else "",
        failures=F("failures") * 0,
        offline_attempts=0,
        offline_since=None,
        parent=base if used else None,
        ran_level=decision.level.value,
        level_number=decision.number,
        tokens=_with_former(row, result.snapshot_file_id),
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


def _with_former(row: BackupCopy, snapshot_file_id: str) -> dict[str, object]:
    """A recopy leaves the snapshot file of before on the medium: remembered, so that pruning can forget it."""
    former = row.snapshot_file_id
    if former is None or former == snapshot_file_id:
        return dict(row.tokens)
    files: list[str] = row.tokens.get(FORMER_FILES, [])
    return {**row.tokens, FORMER_FILES: [*files, former]}
