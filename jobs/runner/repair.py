"""Repair jobs: what is damaged on a medium comes back from other media and from held snapshots, the rest is named.

Killed anywhere, the repository is no worse, and the next attempt does the rest. What is left is marked at the backup
copies it touches; those whose snapshot is still there may be copied again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from jobs.engine.errors import Stopped
from jobs.engine.events import Event, Level, PhaseName, PhaseStarted, Sink
from jobs.engine.ids import FileId
from jobs.engine.media.base import Media as MediaDriver
from jobs.engine.operations import check, mend
from jobs.engine.plan import Secret
from jobs.models import BackupCopy, Initiator
from jobs.runner.mending_sources import blob_sources, instead_of, is_held
from jobs.runner.opened_media import open_media
from jobs.runner.task import Task
from jobs.runner.verify import keep_result, result_of
from jobs.services import CannotLaunch, damage
from jobs.services.failures import ConfigurationDeleted, RepairIncomplete
from jobs.services.marks import recopy
from jobs.services.outcomes import Done, Failed, Outcome
from jobs.services.readings import MediumLedger
from jobs.services.upkeep import COPY_AGAIN
from policies.models import Media
from policies.resolve import media_password

MOST_NAMED: Final = 100
"""So many that could not be copied again are named; they are counted beyond it."""


@dataclass(slots=True, kw_only=True)
class _CopiedAgain:
    """Jobs that copy damaged snapshots once more, and a sentence for each that cannot be."""

    jobs: list[int] = field(default_factory=list)
    copies: int = 0
    refused: list[str] = field(default_factory=list)


def run(task: Task) -> Outcome:
    """Mend, look again at all that was or is suspect, and keep what is still damaged. That is a failed job."""
    media = task.job.media
    if media is None:
        raise ConfigurationDeleted("The medium of this job was deleted.")
    driver, password = open_media(task, media), media_password(media)
    try:
        mended = _mend(task, media, driver, password)
        _rename(media, mended.renamed)
        found = _look_again(task, media, driver, password, mended)
    finally:
        driver.close()
    damage.record_findings(media, task.job, found, tried=True)
    again = _copy_again(task, media) if task.job.parameters.get(COPY_AGAIN) else _CopiedAgain()
    result = result_of(found) | _told(mended, again)
    if found.ok:
        return Done(result=result)
    keep_result(task.job, result)
    return Failed.by(_incomplete(found, media, again))


def _mend(task: Task, media: Media, driver: MediaDriver, password: Secret) -> mend.MendResult:
    plan = mend.MendPlan(
        suspects=damage.suspects(media), expected=tuple(damage.expected_files(media)), instead=instead_of(media)
    )
    with blob_sources(task, media) as sources:
        return mend.run(plan, driver, password, task.recorder, task.orders, task.clock, sources=sources)


def _rename(media: Media, renamed: Mapping[FileId, FileId]) -> None:
    """At once, not with the job's end: the files of before are gone already."""
    for old, new in renamed.items():
        BackupCopy.objects.filter(media=media, snapshot_file_id=old).update(snapshot_file_id=new)


def _look_again(
    task: Task, media: Media, driver: MediaDriver, password: Secret, mended: mend.MendResult
) -> check.CheckResult:
    """The structure, what was written, and what was suspect: it takes the place of all that was known."""
    plan = check.CheckPlan(
        suspects=damage.suspects(media) | frozenset(mended.written), expected=tuple(damage.expected_files(media))
    )
    ledger = MediumLedger(media)
    try:
        sink = _WithoutPreparing(task.recorder)
        found = check.run(plan, driver, password, sink, task.orders, task.clock, ledger=ledger)
    except Stopped:
        ledger.settle(is_complete=False)
        raise
    ledger.settle(is_complete=False)
    return found


class _WithoutPreparing:
    """The second look is the last phase of this job, not the beginning of another."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def emit(self, event: Event) -> None:
        if event != PhaseStarted(phase=PhaseName.PREPARE):
            self._sink.emit(event)


def _copy_again(task: Task, media: Media) -> _CopiedAgain:
    """RULES B4: a recopy of each damaged backup copy whose snapshot is still there; oldest first (B5)."""
    again = _CopiedAgain()
    rows = damage.damaged_copies(media)
    held = set(rows.filter(is_held()).values_list("pk", flat=True))
    chosen = rows.select_related("snapshot__subclient__file_server", "snapshot__subclient__policy", "copy__policy")
    for row in chosen.order_by("snapshot__taken_at", "pk"):
        if row.pk not in held:
            again.refused.append(f"{row.snapshot.name} cannot be copied to {row.copy.name} again: it is gone.")
            continue
        try:
            job = recopy(row, user=task.job.started_by, initiator=Initiator(task.job.initiator), how=task.job.how)
        except CannotLaunch as refusal:
            again.refused.append(f"{row.snapshot.name} was not copied to {row.copy.name} again: {refusal.sentence}")
            continue
        again.copies += 1
        if job.pk not in again.jobs:
            again.jobs.append(job.pk)
            task.tell("copied-again", f"Job {job.pk} copies {row.snapshot.name} to {row.copy.name} again.")
    for sentence in again.refused[:MOST_NAMED]:
        task.tell("not-copied-again", sentence, level=Level.WARNING)
    return again


def _told(mended: mend.MendResult, again: _CopiedAgain) -> dict[str, object]:
    return {
        "packs_removed": mended.packs_removed,
        "blobs_saved": mended.blobs_saved,
        "blobs_back": mended.blobs_back,
        "blobs_lost": mended.blobs_lost,
        "brought": [{"source": label, "blobs": count} for label, count in mended.brought.items()],
        "index_rebuilt": mended.index_rebuilt,
        "files_written_again": len(mended.renamed),
        "copied_again": again.copies,
        "copied_again_jobs": again.jobs[:MOST_NAMED],
        "not_copied_again": again.refused[:MOST_NAMED],
    }


def _incomplete(found: check.CheckResult, media: Media, again: _CopiedAgain) -> RepairIncomplete:
    paths = f"{found.touched_count:,} path{'' if found.touched_count == 1 else 's'}"
    sentence = f"{paths} on {media.name} cannot be brought back." if found.touched_count else found.problems[0].sentence
    if not again.copies:
        return RepairIncomplete(sentence)
    return RepairIncomplete(
        f"{sentence} {again.copies:,} backup cop{'y is' if again.copies == 1 else 'ies are'} made again.",
        hint="Verify the medium when those jobs are over.",
    )
