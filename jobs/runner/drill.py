"""Restore drills: a few files of backup copies restored to the node's own scratch directory, and compared (RULES J1).

A drill that does not get back what was copied is a failed job: it calls for a person. Nothing it restored stays.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Final, TypedDict

from django.utils import timezone

from jobs.engine.errors import EngineError, SnapshotMissing
from jobs.engine.events import Level
from jobs.engine.ids import FileId
from jobs.engine.operations import drill
from jobs.engine.plan import SourceRoot
from jobs.models import BackupCopy, DrillComparison, DrillResult, Job, JobState, Operation
from jobs.progress import clean, display
from jobs.rules import states
from jobs.runner.held import open_held
from jobs.runner.opened_media import open_media
from jobs.runner.task import Task
from jobs.runner.verify import keep_result
from jobs.services.drills import FILES, MIB, ROWS, SEED
from jobs.services.failures import ConfigurationDeleted, DrillFailed
from jobs.services.outcomes import Done, Failed, Outcome
from policies.resolve import media_password
from snapcopy_site.lib.home import Home

MOST_NAMED: Final = 100
"""So many of the chosen paths, and of what is wrong, stay with the job."""


class _Told(TypedDict):
    """What stays with the job of one backup copy."""

    copy: str
    media: str
    snapshot: str
    taken_at: str
    files: int
    bytes: int
    compared_with: str
    seconds: float
    too_large: int
    differences: int
    problems: list[dict[str, str]]
    paths: list[str]


def run(task: Task) -> Outcome:
    """One backup copy after the other; what a killed attempt had found is found again, by the same seed."""
    rows = BackupCopy.objects.filter(pk__in=task.job.parameters[ROWS], state__in=states.ON_MEDIA)
    chosen = rows.select_related("snapshot__subclient__file_server", "snapshot__subclient__policy", "copy", "media")
    told: list[_Told] = [_drill(task, row) for row in chosen.order_by("copy__precedence", "pk")]
    if not told:
        raise ConfigurationDeleted("The backup copies that were to be drilled are no longer on media.")
    wrong = sum(one["differences"] for one in told)
    result: dict[str, object] = {
        "ok": not wrong,
        "seed": task.job.parameters[SEED],
        "files": sum(one["files"] for one in told),
        "bytes": sum(one["bytes"] for one in told),
        "differences": wrong,
        "copies": told,
    }
    if not wrong:
        return Done(result=result)
    keep_result(task.job, result)
    return Failed.by(_failure(told))


def clear_leftovers() -> int:
    """Scratch directories whose drill is not running any more: a killed process left them. Returns how many."""
    place = _place()
    try:
        left = list(place.iterdir())
    except OSError:
        return 0
    cleared = 0
    for scratch in left:
        job, _, attempt = scratch.name.partition("-")
        known = job.isdigit() and attempt.partition("-")[0].isdigit()
        drills = Job.objects.filter(operation=Operation.DRILL, state=JobState.RUNNING)
        if known and drills.filter(pk=int(job), attempt=int(attempt.partition("-")[0])).exists():
            continue
        drill.remove_scratch(scratch)
        cleared += 1
    return cleared


def _drill(task: Task, row: BackupCopy) -> _Told:
    given = task.job.parameters
    place = _place()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    driver = open_media(task, row.media)
    try:
        with ExitStack() as stack:
            roots = _held(task, row, stack)
            plan = drill.DrillPlan(
                snapshot_file_id=FileId(row.snapshot_file_id or ""),
                scratch=place / f"{task.job.pk}-{task.job.attempt}-{row.pk}",
                seed=given[SEED],
                files=given[FILES],
                most_bytes=_bound(task, place),
                expected=row.files,
                roots=roots,
                index_cache=Home.current().index_cache(row.media_id),
            )
            found = drill.run(plan, driver, media_password(row.media), task.recorder, task.orders, task.clock)
    finally:
        driver.close()
    compared_with = DrillComparison.SNAPSHOT if roots else DrillComparison.HASHES
    _record(task.job, row, found, compared_with)
    return _told(row, found, compared_with)


def _place() -> Path:
    return Home.current().path / "drills"


def _held(task: Task, row: BackupCopy, stack: ExitStack) -> tuple[SourceRoot, ...]:
    """The snapshot if it can be read here; else none, and the job says why."""
    try:
        return stack.enter_context(open_held(row.snapshot, node=task.job.node, but_no_aged=True))
    except SnapshotMissing as error:
        level, why = Level.INFO, error.sentence
    except EngineError as error:
        level, why = Level.WARNING, error.sentence
    task.tell("drill-by-hashes", f"{row.copy.name} is compared with the stored hashes. {why}", level=level)
    return ()


def _bound(task: Task, place: Path) -> int:
    """Never more than half of what is free: a drill must not fill the node."""
    asked = int(task.job.parameters[MIB]) << 20
    room = shutil.disk_usage(place).free // 2
    if room < asked:
        sentence = f"Only {room >> 20:,} MiB are restored at once: the scratch directory of this node has no more room."
        task.tell("drill-bounded", sentence, level=Level.WARNING)
    return min(asked, room)


def _record(job: Job, row: BackupCopy, found: drill.DrillResult, compared_with: DrillComparison) -> None:
    values = {
        "copy": row.copy,
        "compared_with": compared_with,
        "files": max(found.files, len(found.problems)),
        "compared_bytes": found.compared_bytes,
        "seconds": found.seconds,
        "differences": len(found.problems),
        "at": timezone.now(),
    }
    DrillResult.objects.update_or_create(job=job, backup_copy=row, defaults=values)


def _told(row: BackupCopy, found: drill.DrillResult, compared_with: DrillComparison) -> _Told:
    return {
        "copy": row.copy.name,
        "media": row.media.name,
        "snapshot": row.snapshot.name,
        "taken_at": row.snapshot.taken_at.isoformat(),
        "files": found.files,
        "bytes": found.compared_bytes,
        "compared_with": compared_with.value,
        "seconds": round(found.seconds, 2),
        "too_large": found.too_large,
        "differences": len(found.problems),
        "problems": [
            {"path": display(path), "sentence": clean(why)} for path, why in list(found.problems.items())[:MOST_NAMED]
        ],
        "paths": [display(path) for path in found.paths[:MOST_NAMED]],
    }


def _failure(told: list[_Told]) -> DrillFailed:
    first = next(one for one in told if one["differences"])
    problem = first["problems"][0]
    count = sum(one["differences"] for one in told)
    what = "1 file was" if count == 1 else f"{count:,} files were"
    return DrillFailed(f"{what} not given back as copied to {first['copy']}: {problem['path']}: {problem['sentence']}.")
