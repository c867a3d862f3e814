"""The tables of the work: jobs, their history, snapshots, backup copies. What must never be is a constraint here."""

from .backup_copy import BackupCopy
from .choices import (
    AttemptState,
    CopyState,
    EventLevel,
    How,
    Initiator,
    JobState,
    Level,
    Operation,
    PhaseState,
    SnapshotState,
    Want,
)
from .history import JobAttempt, JobEvent, JobException, JobPhase
from .job import Job
from .snapshot import Snapshot

__all__ = [
    "AttemptState",
    "BackupCopy",
    "CopyState",
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
    "Operation",
    "PhaseState",
    "Snapshot",
    "SnapshotState",
    "Want",
]
