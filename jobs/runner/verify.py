"""Verification jobs: the structure of a repository, and the data of a part of it, read and compared (RULES J1).

What is found is the job's result: what is damaged, and which paths it touches. A failed verification fails its job.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from jobs.engine.operations import check
from jobs.engine.operations.marking import Touched
from jobs.models import Job, JobState
from jobs.progress import clean, display
from jobs.runner.task import Task
from jobs.services.failures import ConfigurationDeleted, VerificationFailed
from jobs.services.outcomes import Done, Failed, Outcome
from jobs.services.upkeep import DEFAULT_PERCENT
from policies.resolve import media_password, resolve_media

MOST_KEPT: Final = 100
"""Problems and paths that stay with the job; the counts are of all."""


def run(task: Task) -> Outcome:
    """Check it; what is wrong is told in the result, and the job fails with the first problem's words."""
    media = task.job.media
    if media is None:
        raise ConfigurationDeleted("The medium of this job was deleted.")
    plan = check.CheckPlan(read_data_percent=float(task.job.parameters.get("percent", DEFAULT_PERCENT)))
    driver, password = resolve_media(media), media_password(media)
    try:
        found = check.run(plan, driver, password, task.recorder, task.orders, task.clock)
    finally:
        driver.close()
    result = _result(found, plan.read_data_percent)
    if found.ok:
        return Done(result=result)
    mine = Job.objects.filter(pk=task.job.pk, attempt=task.job.attempt, state=JobState.RUNNING)
    mine.update(result=task.job.result | result)
    return Failed.by(_failure(found, media.name))


def _failure(found: check.CheckResult, name: str) -> VerificationFailed:
    count = len(found.problems)
    first = found.problems[0].sentence
    if count == 1:
        return VerificationFailed(f"A problem was found on {name}: {first}")
    return VerificationFailed(f"{count:,} problems were found on {name}; the first: {first}")


def _result(found: check.CheckResult, percent: float) -> dict[str, object]:
    return {
        "ok": found.ok,
        "percent": percent,
        "snapshot_files": found.snapshot_files,
        "trees": found.trees,
        "blobs": found.blobs,
        "packs": found.packs,
        "packs_read": found.packs_read,
        "bytes_read": found.bytes_read,
        "unreferenced_packs": found.unreferenced_packs,
        "unreferenced_bytes": found.unreferenced_bytes,
        "problems_count": len(found.problems),
        "problems": [
            {"name": clean(problem.name), "sentence": clean(problem.sentence), "hint": problem.hint}
            for problem in found.problems[:MOST_KEPT]
        ],
        "touched_count": len(found.touched),
        "touched": _paths(found.touched[:MOST_KEPT]),
    }


def _paths(touched: Iterable[Touched]) -> list[dict[str, str]]:
    return [{"snapshot_file": (one.snapshot or "")[:16], "path": display(one.path)} for one in touched]
