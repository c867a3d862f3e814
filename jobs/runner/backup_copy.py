"""Backup copy jobs: rows to a frozen plan, the snapshot opened by its driver, the engine run, the result to rows."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jobs.engine.errors import SnapshotMissing, SourceUnavailable
from jobs.engine.events import Level, PhaseName
from jobs.engine.ids import FileId
from jobs.engine.operations import backup_copy
from jobs.engine.plan import CopyPlan, CopySettings, SourceRoot, StoredPath
from jobs.engine.snapshots.base import Capability, Dumper, DumpOrder, OpenDump, SnapshotRef, SnapshotRoot
from jobs.models import BackupCopy
from jobs.rules import levels, tokens
from jobs.runner import dump_copy, repository_copy
from jobs.runner.after_copy import guard, inline_catalog
from jobs.runner.copy_base import CopyBase, choose_base, is_on_media, store_level
from jobs.runner.copy_record import DumpTokens, record_copy, usage_of
from jobs.runner.former_files import forget_former
from jobs.runner.opened_media import open_media
from jobs.runner.references import ref_from_row
from jobs.runner.snapshot_sources import ReplicaMissing, SnapshotSource, choose_source, replica_losses
from jobs.runner.task import Task
from jobs.services.copy_states import mark_copying
from jobs.services.failures import ConfigurationDeleted
from jobs.services.feeding import is_fed_from_media
from jobs.services.outcomes import Done, Failed, Outcome
from policies.models import Copy, Media, Subclient
from policies.resolve import media_password
from policies.services.media import ensure_repository
from snapcopy_site.lib.home import Home


def run(task: Task) -> Outcome:
    """Copy the job's snapshot to its copy's medium. A snapshot that is gone fails the job and lets newer ones go on."""
    job, row = task.job, task.job.backup_copy
    if row is None or job.subclient is None or job.copy is None or job.copy.media is None:
        raise ConfigurationDeleted("The subclient, copy or snapshot of this job was deleted.")
    if is_fed_from_media(job.copy):
        return repository_copy.run(task, row)
    copy = dump_copy.run if dump_copy.is_dumped(job.subclient) else _copy
    try:
        return copy(task, row, job.subclient, job.copy, job.copy.media)
    except ReplicaMissing as error:
        return Failed.by(error)
    except SnapshotMissing as error:
        return Failed.by(error, snapshot_is_gone=True)
    except SourceUnavailable as error:
        return Failed.by(error, source_is_offline=True)


def _copy(task: Task, row: BackupCopy, subclient: Subclient, copy: Copy, media: Media) -> Outcome:
    task.phase(PhaseName.PREPARE)
    source = choose_source(task, row, subclient, copy)
    driver, password = open_media(task, media), media_password(media)
    try:
        if media.repository_id is None:
            repository = ensure_repository(media)
            repository.media.close()
            task.tell("repository-created", f"The medium {media.name} has the repository {repository.id[:8]} now.")
        chosen = choose_base(row, subclient, copy, source)
        base, decision = chosen.row, chosen.decision
        store_level(task.job, decision, row.snapshot)
        older = source.older(base, mark_copying(row, job_id=task.job.pk, base=base))
        is_dump = chosen.base_dates is not None
        unfinished = not is_dump and row.exceptions > 0 and not row.is_damaged and is_on_media(row)
        if unfinished:
            task.tell("only-the-failed", "Only what could not be read is read now; all else comes from that copy.")
        with replica_losses(source), ExitStack() as stack:
            opened = _open_sources(source, None if unfinished else older, chosen, stack)
            plan = _plan(task, row, media, opened.roots, row if unfinished else base)
            result = backup_copy.run(plan, driver, password, task.recorder, task.orders, task.clock)
            dump = _tokens_of(task, opened, row, decision, server_id=source.server_id(subclient))
        usage = usage_of(driver)
    finally:
        driver.close()
    exceptions = max(result.counters.exceptions, task.recorder.exceptions)
    is_part = is_dump and decision.level is not levels.RunLevel.FULL
    guarded = 0 if is_part else guard(task, row, subclient, result, is_dump=is_dump)
    uncatalogued = inline_catalog(task, row, subclient, result, is_partial=exceptions > 0)
    return Done(
        exceptions=exceptions + guarded + uncatalogued,
        result={"snapshot_file_id": result.snapshot_file_id, "tree_id": result.tree_id, "source": result.source_note},
        record=partial(
            record_copy,
            row,
            media,
            base,
            decision,
            result,
            exceptions=exceptions,
            usage=usage,
            dump=dump,
        ),
        afterwards=partial(forget_former, task.job.pk, row.pk),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """What is read. ``dump`` None = the snapshot's own directories."""

    roots: tuple[SourceRoot, ...]
    dump: OpenDump | None = None


def _open_sources(source: SnapshotSource, base: SnapshotRef | None, chosen: CopyBase, stack: ExitStack) -> _Opened:
    """The snapshot's roots, and beside each the older snapshot's, if the engine can tell what changed between them.

    ``base`` None, or gone meanwhile: the copy walks the tree and compares with the parent on the medium. An engine
    that dumps is told what to build on instead (RULES L5).
    """
    engine = source.engine
    if chosen.base_dates is not None and isinstance(engine, Dumper):
        order = DumpOrder(level=chosen.decision.number, base_dates=chosen.base_dates)
        dump = stack.enter_context(engine.open_dump(source.ref, order))
        return _Opened(roots=tuple(_source_root(root) for root in dump.roots), dump=dump)
    roots = stack.enter_context(engine.open(source.ref))
    older: dict[str, Path] = {}
    if base is not None and Capability.DIFF in engine.capabilities:
        with suppress(SnapshotMissing):
            before = stack.enter_context(engine.open(base))
            older = {root.content_path: root.directory for root in before}
    return _Opened(roots=tuple(_source_root(root, older.get(root.content_path)) for root in roots))


def _source_root(root: SnapshotRoot, previous: Path | None = None) -> SourceRoot:
    return SourceRoot(
        directory=root.directory,
        stored_as=StoredPath(root.content_path.encode("utf-8", "surrogateescape")),
        previous=previous,
        origins=root.origins,
    )


def _tokens_of(
    task: Task, opened: _Opened, row: BackupCopy, decision: levels.Decision, *, server_id: int
) -> DumpTokens | None:
    """What the storage gave with the dump, for the next one (RULES L5); None = it was no dump."""
    if opened.dump is None:
        return None
    told = tokens.accepted(opened.dump.dump_dates(), content=row.snapshot.content, number=decision.number)
    for problem in told.problems:
        task.tell("dump-token", f"{problem} The next copy will be full.", level=Level.WARNING)
    return DumpTokens(server_id=server_id, dates=told.dates)


def _plan(
    task: Task, row: BackupCopy, media: Media, roots: tuple[SourceRoot, ...], base: BackupCopy | None
) -> CopyPlan:
    """``base`` is the row itself where a partial copy is completed (RULES J6)."""
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
