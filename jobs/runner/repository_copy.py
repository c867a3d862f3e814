"""Backup copies fed from another backup copy: repository to repository, without the snapshot (RULES B4-B6)."""

from __future__ import annotations

from functools import partial

from jobs.engine.events import Level, PhaseName
from jobs.engine.ids import FileId
from jobs.engine.operations import repository_copy
from jobs.engine.operations.repository_copy import RepositoryCopyPlan
from jobs.models import BackupCopy, Job
from jobs.rules import levels
from jobs.runner.copy_base import is_on_media
from jobs.runner.copy_record import DumpTokens, record_copy, usage_of
from jobs.runner.former_files import forget_former
from jobs.runner.opened_media import open_media
from jobs.runner.task import Task
from jobs.selectors import bases_of
from jobs.services.copy_states import DUMP_DATES, DUMPED_FROM, mark_copying
from jobs.services.failures import ConfigurationDeleted, SourceNotThere
from jobs.services.feeding import Supply, feed_of, source_row
from jobs.services.outcomes import Done, Outcome
from policies.models import Copy, Media, Subclient
from policies.resolve import media_password
from policies.services.media import ensure_repository
from snapcopy_site.lib.home import Home


def run(task: Task, row: BackupCopy) -> Outcome:
    """Bring the row's backup copy from the medium of the copy that feeds it. Raises SourceNotThere."""
    job = task.job
    if job.subclient is None or job.copy is None or job.copy.media is None:
        raise ConfigurationDeleted("The subclient or copy of this job was deleted.")
    task.phase(PhaseName.PREPARE)
    source = source_row(row.snapshot, job.copy)
    feed = feed_of(row.snapshot, job.copy)
    if feed.supply is not Supply.READY or source is None or source.snapshot_file_id is None:
        raise SourceNotThere(feed.sentence)
    return _copy(task, row, source, FileId(source.snapshot_file_id), job.subclient, job.copy, job.copy.media)


def _copy(  # noqa: PLR0917 - the row, where it comes from and where it goes
    task: Task, row: BackupCopy, source: BackupCopy, file_id: FileId, subclient: Subclient, copy: Copy, media: Media
) -> Outcome:
    drivers = open_media(task, source.media), open_media(task, media)
    try:
        if media.repository_id is None:
            repository = ensure_repository(media)
            repository.media.close()
            task.tell("repository-created", f"The medium {media.name} has the repository {repository.id[:8]} now.")
        base, decision = _base(task, source, subclient, copy, row)
        mark_copying(row, job_id=task.job.pk, base=base)
        task.tell("copy-source", f"Fed from the backup copy {source.copy.name} on {source.media.name}.")
        result = repository_copy.run(
            RepositoryCopyPlan(
                snapshot_file_id=file_id,
                source_id=source.media.repository_id,
                target_id=media.repository_id,
                source_index_cache=Home.current().index_cache(source.media_id),
                target_index_cache=Home.current().index_cache(media.pk),
            ),
            drivers[0],
            media_password(source.media),
            drivers[1],
            media_password(media),
            task.recorder,
            task.orders,
            task.clock,
        )
        usage = usage_of(drivers[1])
    finally:
        for driver in drivers:
            driver.close()
    if source.exceptions:
        sentence = f"The copy it is fed from lacks {source.exceptions} files that could not be read, so this one does."
        task.tell("source-is-partial", sentence, level=Level.WARNING)
    return Done(
        result={"snapshot_file_id": result.snapshot_file_id, "tree_id": result.tree_id, "source": result.source_note},
        record=partial(
            record_copy,
            row,
            media,
            base,
            decision,
            result,
            exceptions=source.exceptions,
            usage=usage,
            dump=_dump_of(source),
        ),
        afterwards=partial(forget_former, task.job.pk, row.pk),
    )


def _base(
    task: Task, source: BackupCopy, subclient: Subclient, copy: Copy, row: BackupCopy
) -> tuple[BackupCopy | None, levels.Decision]:
    """The newest copy before it, and its level: that of the copy it is fed from, or full where none is left (B8)."""
    latest, full = bases_of(subclient, copy, before=row.snapshot)
    if _dump_of(source) is not None:
        # A dump holds what it holds, wherever it is brought.
        level = levels.RunLevel(source.ran_level or levels.RunLevel.FULL)
        decision = levels.Decision(level=level, number=source.level_number or 0)
    else:
        decision = levels.copy_level(
            snapshot_level=source.ran_level or levels.RunLevel.FULL.value,
            has_base=latest is not None,
            base_is_lost=latest is not None and not is_on_media(latest),
            base_number=latest.level_number if latest is not None else None,
            has_full=full is not None,
        )
    Job.objects.filter(pk=task.job.pk).update(
        ran_level=decision.level.value, level_number=decision.number, level_reason=decision.reason
    )
    return None if decision.level is levels.RunLevel.FULL else latest, decision


def _dump_of(source: BackupCopy) -> DumpTokens | None:
    """The tokens that come along with a dump; None = it is none (RULES L5)."""
    if DUMPED_FROM not in source.tokens:
        return None
    return DumpTokens(server_id=source.tokens[DUMPED_FROM], dates=source.tokens.get(DUMP_DATES, {}))
