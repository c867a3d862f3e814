"""Verification jobs: the structure of a repository, and the data of a part of it, read and compared (RULES J1).

Which packs are read is decided so that in the end all are; what was read stays read when the job is stopped. What is
found is kept with the medium and marks the backup copies it touches. A failed verification fails its job.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from django.utils import timezone

from jobs.engine.errors import Stopped
from jobs.engine.ids import FileId
from jobs.engine.operations import check
from jobs.engine.operations.rotation import Pace
from jobs.engine.operations.touching import Touched
from jobs.models import Job, JobState
from jobs.progress import clean, display
from jobs.rules.verification import coming_seconds, runs_for
from jobs.runner.opened_media import open_media
from jobs.runner.sealing import seal_configuration
from jobs.runner.task import Task
from jobs.services import damage
from jobs.services.failures import ConfigurationDeleted, VerificationFailed
from jobs.services.outcomes import Done, Failed, Outcome
from jobs.services.readings import MediumLedger
from jobs.services.upkeep import DEFAULT_PERCENT, PERCENT, WITHIN_DAYS
from policies.models import Media
from policies.resolve import media_password

MOST_KEPT: Final = 100
"""Problems and paths that stay with the job; the counts are of all. The medium's own page has them all."""

_DAY_SECONDS: Final = 86_400


def run(task: Task) -> Outcome:
    """Check it; what is wrong is told in the result, and the job fails with the first problem's words."""
    media = task.job.media
    if media is None:
        raise ConfigurationDeleted("The medium of this job was deleted.")
    plan = check.CheckPlan(
        pace=pace_of(task.job), suspects=damage.suspects(media), expected=tuple(damage.expected_files(media))
    )
    found = _check(task, media, plan)
    damage.record_findings(media, task.job, found)
    result = result_of(found) | _asked(task.job)
    if found.ok:
        return Done(result=result)
    keep_result(task.job, result)
    return Failed.by(_failure(found, media.name))


def pace_of(job: Job) -> Pace:
    """What was asked; by a schedule so much that it keeps its promise."""
    schedule = job.schedule_run.schedule if job.schedule_run is not None else None
    if (days := job.parameters.get(WITHIN_DAYS)) is not None:
        now = timezone.now()
        coming = coming_seconds(schedule.recurrence, days=days, after=now) if schedule is not None else ()
        return Pace(seconds=int(days) * _DAY_SECONDS, coming=coming)
    percent = float(job.parameters.get(PERCENT, DEFAULT_PERCENT))
    return Pace(percent=percent, runs=runs_for(percent) if schedule is not None and percent else None)


def _check(task: Task, media: Media, plan: check.CheckPlan) -> check.CheckResult:
    driver, password = open_media(task, media), media_password(media)
    ledger = MediumLedger(media)
    try:
        found = check.run(plan, driver, password, task.recorder, task.orders, task.clock, ledger=ledger)
        if found.ok:
            seal_configuration(task, media, driver, password)
    except Stopped:
        ledger.settle(is_complete=False)
        raise
    finally:
        driver.close()
    ledger.settle(is_complete=not plan.pace.reads_nothing)
    return found


def keep_result(job: Job, result: dict[str, object]) -> None:
    """For a job that fails: its result is written before its end."""
    mine = Job.objects.filter(pk=job.pk, attempt=job.attempt, state=JobState.RUNNING)
    mine.update(result=job.result | result)


def _failure(found: check.CheckResult, name: str) -> VerificationFailed:
    count = found.problem_count
    first = found.problems[0].sentence
    if count == 1:
        return VerificationFailed(f"A problem was found on {name}: {first}")
    return VerificationFailed(f"{count:,} problems were found on {name}; the first: {first}")


def _asked(job: Job) -> dict[str, object]:
    return {name: job.parameters[name] for name in (PERCENT, WITHIN_DAYS) if name in job.parameters}


def result_of(found: check.CheckResult) -> dict[str, object]:
    """What stays with the job."""
    return {
        "ok": found.ok,
        "snapshot_files": found.snapshot_files,
        "trees": found.trees,
        "blobs": found.blobs,
        "packs": found.packs,
        "packs_bytes": found.packs_bytes,
        "packs_read": found.packs_read,
        "bytes_read": found.bytes_read,
        "unreferenced_packs": found.unreferenced_packs,
        "unreferenced_bytes": found.unreferenced_bytes,
        "damaged_packs": len(found.damaged),
        "problems_count": found.problem_count,
        "problems": [
            {"name": clean(problem.name), "sentence": clean(problem.sentence), "hint": problem.hint}
            for problem in found.problems[:MOST_KEPT]
        ],
        "copies_touched": len(touched_files(found)),
        "touched_count": found.touched_count,
        "touched": _paths(found.touched[:MOST_KEPT]),
    }


def touched_files(found: check.CheckResult) -> frozenset[FileId]:
    """Snapshot files of which something is damaged."""
    return frozenset([*found.files_touched, *found.folders_touched, *found.unreadable_files])


def _paths(touched: Iterable[Touched]) -> list[dict[str, object]]:
    return [{"path": display(one.path), "is_folder": one.is_folder, "copies": len(one.files)} for one in touched]
