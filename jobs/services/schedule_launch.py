"""What a schedule starts, per operation: its scope handed to the services that launch. When, is in ``schedules``."""

from __future__ import annotations

from typing import Any

from jobs.models import ScheduleRun
from jobs.services.errors import CannotLaunch
from jobs.services.launch_many import Launched, Scope, launch_backup_copies, launch_snapshots
from policies.models import FileServer, Schedule, ScheduledOperation, StoragePolicy, Subclient


def launch_scheduled(schedule: Schedule, *, run: ScheduleRun, **who: Any) -> Launched:
    """Launch everything the schedule is about; ``who`` = initiator, how and user. What cannot be is in ``refused``."""
    try:
        match schedule.operation:
            case ScheduledOperation.SNAPSHOT:
                return launch_snapshots(scope=_sources(schedule), level=schedule.level, schedule_run=run, **who)
            case ScheduledOperation.BACKUP_COPY:
                return launch_backup_copies(scope=_sources(schedule), copy=schedule.copy, schedule_run=run, **who)
            case _:
                raise CannotLaunch(f"{schedule.get_operation_display()} cannot be launched by a schedule.")
    except CannotLaunch as refusal:
        return Launched(refused=[refusal.sentence])


def _sources(schedule: Schedule) -> Scope:
    scope = schedule.scope
    if isinstance(scope, StoragePolicy | FileServer | Subclient):
        return scope
    raise CannotLaunch(f"What the schedule {schedule.name} is of was deleted.")
