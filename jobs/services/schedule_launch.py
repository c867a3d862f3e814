"""What a schedule starts, per operation: its scope handed to the services that launch. When, is in ``schedules``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from jobs.models import Job, ScheduleRun
from jobs.selectors import active_jobs
from jobs.services.catalog import launch_catalogs
from jobs.services.drills import FILES, MIB, launch_drills
from jobs.services.errors import CannotLaunch
from jobs.services.launch_many import Launched, Scope, launch_backup_copies, launch_snapshots
from jobs.services.reconcile import launch_reconciles
from jobs.services.secondary import launch_secondary_copies
from jobs.services.upkeep import OF_A_MEDIUM, PERCENT, WITHIN_DAYS, launch_aging, launch_prune, launch_verify
from policies.models import FileServer, Media, Schedule, ScheduledOperation, StoragePolicy, Subclient, VerifyHow


def launch_scheduled(schedule: Schedule, *, run: ScheduleRun, **who: Any) -> Launched:
    """Launch everything the schedule is about; ``who`` = initiator, how and user. What cannot be is in ``refused``."""
    given = {"schedule_run": run, **who}
    try:
        match schedule.operation:
            case ScheduledOperation.SNAPSHOT:
                return launch_snapshots(scope=_sources(schedule), level=schedule.level, **given)
            case ScheduledOperation.BACKUP_COPY:
                return launch_backup_copies(scope=_sources(schedule), copy=schedule.copy, **given)
            case ScheduledOperation.AGING:
                return Launched(jobs=[launch_aging(**given)])
            case ScheduledOperation.PRUNE:
                return _per_medium(schedule, partial(launch_prune, **given))
            case ScheduledOperation.VERIFY:
                return _per_medium(schedule, partial(launch_verify, **_how_much(schedule), **given))
            case ScheduledOperation.DRILL:
                bounds = {FILES: schedule.drill_files, MIB: schedule.drill_mib}
                return launch_drills(scope=_sources(schedule), **bounds, **given)
            case ScheduledOperation.CATALOG:
                return launch_catalogs(scope=_sources(schedule), **given)
            case ScheduledOperation.SECONDARY_COPY:
                return launch_secondary_copies(scope=_sources(schedule), copy=schedule.copy, **given)
            case ScheduledOperation.RECONCILE:
                return launch_reconciles(scope=_sources(schedule), **given)
            case _:
                raise CannotLaunch(f"This version cannot launch “{schedule.operation}” by a schedule.")
    except CannotLaunch as refusal:
        return Launched(refused=[refusal.sentence])


def waits_for_media(schedule: Schedule) -> str:
    """Why nothing of it can start now, though it can later: a job is at each of its media. Empty = it can."""
    if schedule.operation not in (ScheduledOperation.PRUNE, ScheduledOperation.VERIFY):
        return ""
    wanted = _media(schedule)
    busy = {job.media_id: job for job in active_jobs().filter(operation__in=OF_A_MEDIUM, media__in=wanted)}
    if not wanted or any(medium.pk not in busy for medium in wanted):
        return ""
    return f"Put off until {', '.join(f'job {job.pk}' for job in busy.values())} is done with the medium."


def _how_much(schedule: Schedule) -> dict[str, Any]:
    match schedule.verify_how:
        case VerifyHow.DAYS:
            return {WITHIN_DAYS: schedule.verify_days}
        case VerifyHow.PERCENT:
            return {PERCENT: schedule.verify_percent}
        case _:
            return {PERCENT: 0}


def _media(schedule: Schedule) -> list[Media]:
    """The schedule's medium, or every active one that something was copied to."""
    if schedule.media is not None:
        return [schedule.media]
    return list(Media.objects.filter(is_active=True, repository_id__isnull=False).order_by("name"))


def _per_medium(schedule: Schedule, launch: Callable[..., Job]) -> Launched:
    launched = Launched()
    for medium in _media(schedule):
        try:
            launched.jobs.append(launch(media=medium))
        except CannotLaunch as refusal:
            launched.refused.append(refusal.sentence)
    return launched


def _sources(schedule: Schedule) -> Scope:
    scope = schedule.scope
    if isinstance(scope, StoragePolicy | FileServer | Subclient):
        return scope
    raise CannotLaunch(f"What the schedule {schedule.name} is of was deleted.")
