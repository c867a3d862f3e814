"""Prune jobs: the files of aged backup copies forgotten, their space freed, then the rows (RULES R4).

Killed anywhere, the next run does the rest: what is gone from the repository already counts as forgotten.
"""

from __future__ import annotations

from django.db.models import QuerySet, Sum
from django.utils import timezone

from jobs.engine.errors import EngineError
from jobs.engine.events import Event, Notice, PhaseName, Sink
from jobs.engine.ids import FileId
from jobs.engine.media.base import Media as MediaDriver
from jobs.engine.media.base import Usage
from jobs.engine.operations import forget, prune
from jobs.engine.plan import Secret
from jobs.engine.repository.layout import FileKind
from jobs.engine.repository.repository import Repository
from jobs.models import BackupCopy, CopyState
from jobs.rules import states
from jobs.runner.task import Task
from jobs.services.failures import ConfigurationDeleted
from jobs.services.outcomes import Done, Outcome
from policies.models import Media
from policies.resolve import media_password, resolve_media
from policies.services.media import record_pruned_bytes


def run(task: Task) -> Outcome:
    """Forget, then prune. Only files that this installation wrote, and whose backup copies are aged, go."""
    media = task.job.media
    if media is None:
        raise ConfigurationDeleted("The medium of this job was deleted.")
    task.phase(PhaseName.PREPARE)
    driver, password = resolve_media(media), media_password(media)
    try:
        doomed = list(_aged(media).values_list("pk", "snapshot_file_id"))
        forgotten = _forget(task, driver, password, [file_id for _, file_id in doomed if file_id])
        result = prune.run(prune.PrunePlan(), driver, password, task.recorder, task.orders, task.clock)
        stored, usage = result.bytes_before - result.freed_bytes, _usage(driver)
    finally:
        driver.close()
    ids = [pk for pk, _ in doomed]
    logical = BackupCopy.objects.filter(pk__in=ids).aggregate(total=Sum("logical_bytes"))["total"] or 0
    return Done(
        result={
            "aged_copies": len(ids),
            "forgotten": forgotten,
            "logical_bytes": logical,
            "freed_bytes": result.freed_bytes,
            "bytes_before": result.bytes_before,
            "bytes_after": stored,
            "unused_bytes_left": result.unused_bytes_left,
            "packs_before": result.packs_before,
            "packs_removed": result.packs_removed + result.unreferenced_removed,
            "packs_repacked": result.packs_repacked,
        },
        record=lambda: _record(media, ids, stored_bytes=stored, usage=usage),
    )


def _aged(media: Media) -> QuerySet[BackupCopy]:
    """Aged and not gone yet, unless a job still works with it."""
    rows = BackupCopy.objects.filter(media=media, state=CopyState.AGED, forgotten_at__isnull=True)
    return rows.exclude(jobs__state__in=states.ACTIVE)


def _forget(task: Task, driver: MediaDriver, password: Secret, ids: list[str]) -> int:
    """How many files went. Ids that are not there are left out: an earlier run was killed after it had removed them."""
    repository = Repository.open(driver, password, clock=task.clock)
    there = {file_id for file_id, _ in repository.list_files(FileKind.SNAPSHOT)}
    doomed = tuple(FileId(file_id) for file_id in ids if file_id in there)
    if doomed:
        forget.run(forget.ForgetPlan(ids=doomed), driver, password, _Notices(task.recorder), task.orders, task.clock)
    return len(doomed)


class _Notices:
    """Passes on sentences only: forgetting is a part of this job and has no phases of its own."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def emit(self, event: Event) -> None:
        if isinstance(event, Notice):
            self._sink.emit(event)


def _usage(driver: MediaDriver) -> Usage | None:
    """How full the medium is now. A prune that is done does not fail because nobody can tell."""
    try:
        return driver.usage()
    except EngineError:
        return None


def _record(media: Media, ids: list[int], *, stored_bytes: int, usage: Usage | None) -> None:
    BackupCopy.objects.filter(pk__in=ids, state=CopyState.AGED).update(forgotten_at=timezone.now())
    record_pruned_bytes(media, stored_bytes=stored_bytes, usage=usage)
