"""The tables of the work: jobs, their history, snapshots, backup copies. What must never be is a constraint here."""

from .backup_copy import BackupCopy
from .catalog import CatalogFolder, CatalogKind, CatalogOwner, CatalogVersion
from .choices import (
    AttemptState,
    CatalogState,
    CopyState,
    EventLevel,
    How,
    Initiator,
    JobState,
    Level,
    Mark,
    MountState,
    MountWay,
    Operation,
    PhaseState,
    SlotState,
    SnapshotState,
    Want,
)
from .damage import DamagedPack, DamagedPath
from .drill import DrillComparison, DrillResult
from .dump_date import DumpDate
from .history import JobAttempt, JobEvent, JobException, JobPhase
from .job import Job
from .mount import SnapshotMount
from .reading import MediumReading, PackReading
from .replica import SnapshotReplica
from .schedule_run import ScheduleRun
from .snapshot import Snapshot

__all__ = [
    "AttemptState",
    "BackupCopy",
    "CatalogFolder",
    "CatalogKind",
    "CatalogOwner",
    "CatalogState",
    "CatalogVersion",
    "CopyState",
    "DamagedPack",
    "DamagedPath",
    "DrillComparison",
    "DrillResult",
    "DumpDate",
    "EventLevel",
    "How",
    "Initiator",
    "Job",
    "JobAttempt",
    "JobEvent",
    "JobException",
    "JobPhase",
    "JobState",
    "Level",
    "Mark",
    "MediumReading",
    "MountState",
    "MountWay",
    "Operation",
    "PackReading",
    "PhaseState",
    "ScheduleRun",
    "SlotState",
    "Snapshot",
    "SnapshotMount",
    "SnapshotReplica",
    "SnapshotState",
    "Want",
]
