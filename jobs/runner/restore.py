"""Restore jobs: a backup copy's paths to a directory on the node that runs the job (RULES V)."""

from __future__ import annotations

from pathlib import Path

from jobs.engine.errors import NotInCopy
from jobs.engine.events import PhaseName
from jobs.engine.ids import FileId
from jobs.engine.operations import restore
from jobs.engine.plan import Overwrite, RestorePlan, StoredPath
from jobs.models import Job
from jobs.runner.task import Task
from jobs.services.outcomes import Done, Outcome
from policies.resolve import media_password, resolve_media
from snapcopy_site.lib.home import Home


def run(task: Task) -> Outcome:
    """Restore what the parameters name. Files that could not be restored make it *completed with errors*."""
    row = task.job.backup_copy
    if row is None or row.snapshot_file_id is None:
        raise NotInCopy("The backup copy of this job is no longer on media.")
    task.phase(PhaseName.PREPARE)
    plan = _plan(task.job, FileId(row.snapshot_file_id), Home.current().index_cache(row.media_id))
    driver = resolve_media(row.media)
    try:
        result = restore.run(plan, driver, media_password(row.media), task.recorder, task.orders, task.clock)
    finally:
        driver.close()
    return Done(
        exceptions=max(result.counters.exceptions, task.recorder.exceptions),
        result={
            "target": str(plan.target),
            "files": result.counters.files_done,
            "bytes": result.counters.bytes_done,
            "files_skipped": result.files_skipped,
            "warnings": result.warnings,
        },
    )


def _plan(job: Job, snapshot_file_id: FileId, index_cache: Path) -> RestorePlan:
    given = job.parameters
    return RestorePlan(
        snapshot_file_id=snapshot_file_id,
        target=Path(given["target"]),
        paths=tuple(StoredPath(bytes.fromhex(path)) for path in given["paths"]),
        strip_prefix=StoredPath(bytes.fromhex(given["strip_prefix"])),
        overwrite=Overwrite(given["overwrite"]),
        with_metadata=given["with_metadata"],
        dry_run=given["dry_run"],
        index_cache=index_cache,
    )
