"""Prune jobs: the files of aged backup copies forgotten, their space freed, then the rows (RULES R4).

Killed anywhere, the next run does the rest: what is gone from the repository already counts as forgotten.
"""

from __future__ import annotations

from datetime import UTC, datetime

from django.db.models import Sum
from django.utils import timezone

from jobs.engine.errors import DeletionRefused, EngineError
from jobs.engine.events import Event, Level, Notice, PhaseName, Sink
from jobs.engine.media.base import Media as MediaDriver
from jobs.engine.media.base import Usage
from jobs.engine.operations import forget, prune
from jobs.engine.plan import Secret
from jobs.engine.repository.repository import Repository
from jobs.engine.repository.snapshot_file import list_snapshot_files
from jobs.models import BackupCopy, CopyState
from jobs.rules.holds import Hold
from jobs.runner.doomed import aged_rows, superseded
from jobs.runner.opened_media import open_media
from jobs.runner.sealing import outdated_configurations, seal_configuration
from jobs.runner.task import Task
from jobs.services.failures import ConfigurationDeleted
from jobs.services.outcomes import Done, Outcome
from policies.models import Media
from policies.resolve import media_password
from policies.services.media import record_pruned_bytes
from snapcopy_site.lib.home import Home


def run(task: Task) -> Outcome:
    """Forget, then prune. Only files that this installation wrote, and whose backup copies are aged, go."""
    media = task.job.media
    if media is None:
        raise ConfigurationDeleted("The medium of this job was deleted.")
    task.phase(PhaseName.PREPARE)
    doomed = list(aged_rows(media).values_list("pk", "snapshot_file_id"))
    driver, password = open_media(task, media), media_password(media)
    try:
        forgotten, replaced = _forget(task, media, driver, password, {file_id for _, file_id in doomed if file_id})
        plan = prune.PrunePlan(index_cache=Home.current().index_cache(media.pk))
        result = prune.run(plan, driver, password, task.recorder, task.orders, task.clock)
        seal_configuration(task, media, driver, password)
        stored, usage = result.bytes_before - result.freed_bytes, _usage(driver)
    except DeletionRefused as error:
        seal_configuration(task, media, driver, password)
        return _kept(task, media, [pk for pk, _ in doomed], error)
    finally:
        driver.close()
    ids = [pk for pk, _ in doomed]
    logical = BackupCopy.objects.filter(pk__in=ids).aggregate(total=Sum("logical_bytes"))["total"] or 0
    return Done(
        result={
            "aged_copies": len(ids),
            "forgotten": forgotten,
            "replaced_forgotten": replaced,
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


def _kept(task: Task, media: Media, ids: list[int], error: DeletionRefused) -> Outcome:
    """An append-only medium does what it is for: the job is done, and what has aged stays in the lists (RULES R7)."""
    aged = len(ids)
    until = datetime.fromtimestamp(error.until_ns / 1e9, tz=UTC) if error.until_ns is not None else None
    stay = f"{aged} aged backup {'copy stays' if aged == 1 else 'copies stay'} on it; the next pruning tries again."
    task.tell("deletions-refused", f"The medium refuses deletes: {error.sentence} {stay}", level=Level.WARNING)
    stored = media.stored_bytes or 0
    nothing = ("forgotten", "replaced_forgotten", "logical_bytes", "freed_bytes", "unused_bytes_left")
    packs = ("packs_before", "packs_removed", "packs_repacked")
    figures: dict[str, object] = dict.fromkeys((*nothing, *packs), 0)
    figures |= {"aged_copies": aged, "bytes_before": stored, "bytes_after": stored, "is_kept": True}
    locked = {"refused": error.sentence, "locked_until": until.isoformat() if until is not None else None}
    return Done(result=figures | locked, record=lambda: mark_locked(ids, until))


def mark_locked(ids: list[int], until: datetime | None) -> None:
    """RULES R7: what holds aged backup copies on their medium. *Retain until* is the end of the lock, if known."""
    said = f"{Hold.LOCKED.value.capitalize()}: the medium refuses deletes; each pruning tries again."
    rows = BackupCopy.objects.filter(pk__in=ids, state=CopyState.AGED, forgotten_at__isnull=True)
    rows.update(retain_until=until, retain_reason=said)


def _forget(task: Task, media: Media, driver: MediaDriver, password: Secret, aged: set[str]) -> tuple[int, int]:
    """How many files of aged backup copies went, and how many that others replaced.

    Ids that are not there are left out: an earlier run was killed after it had removed them.
    """
    files = list_snapshot_files(Repository.open(driver, password, clock=task.clock))
    forgotten = [file.id for file in files if file.id in aged]
    replaced = superseded(media, files)
    ids = tuple(file_id for file_id in (*forgotten, *replaced, *outdated_configurations(files)) if file_id)
    if ids:
        plan = forget.ForgetPlan(ids=ids)
        forget.run(plan, driver, password, _Notices(task.recorder), task.orders, task.clock)
    return len(forgotten), len(replaced)


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
