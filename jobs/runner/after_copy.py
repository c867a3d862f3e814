"""What follows a copy that is committed, before its job ends: the source guard (R10) and the inline catalog (S4)."""

from __future__ import annotations

from jobs.engine.events import FileFailed, Level
from jobs.engine.plan import CopyResult
from jobs.models import BackupCopy, CopyState
from jobs.runner.cataloguing import catalog_phase
from jobs.runner.task import Task
from jobs.services.source_guard import guard_source
from policies.models import CatalogMode, Subclient


def inline_catalog(task: Task, row: BackupCopy, subclient: Subclient, result: CopyResult, *, is_partial: bool) -> int:
    """RULES S4: an inline catalog is made of what was just written: nothing of the source is read again.

    What is committed stays copied, whatever becomes of the catalog; returns how many snapshots it failed for.
    """
    if subclient.policy.catalog != CatalogMode.INLINE:
        return 0
    committed = BackupCopy.objects.select_related("media").get(pk=row.pk)
    committed.state = CopyState.PARTIAL if is_partial else CopyState.COPIED
    committed.snapshot_file_id = result.snapshot_file_id
    return catalog_phase(task, row.snapshot, committed=committed)


def guard(task: Task, row: BackupCopy, subclient: Subclient, result: CopyResult, *, is_dump: bool) -> int:
    """RULES R10: 1 if the source looks as if it were not all there; what was copied is still whole."""
    sentence = guard_source(row, result.counters, is_full=is_dump)
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
