"""Every write of the work that somebody may ask for. Callers import from here."""

from .control import acknowledge_job, kill_job, resume_job, suspend_job
from .errors import CannotControl, CannotLaunch, JobRefusal, NothingNew
from .launch import (
    launch_backup_copy,
    launch_demo,
    launch_restore,
    launch_snapshot,
    launch_snapshot_deletion,
    launch_test,
)
from .launch_many import Launched, launch_backup_copies, launch_snapshots
from .resubmit import resubmit_job
from .upkeep import launch_aging, launch_prune, launch_verify

__all__ = [
    "CannotControl",
    "CannotLaunch",
    "JobRefusal",
    "Launched",
    "NothingNew",
    "acknowledge_job",
    "kill_job",
    "launch_aging",
    "launch_backup_copies",
    "launch_backup_copy",
    "launch_demo",
    "launch_prune",
    "launch_restore",
    "launch_snapshot",
    "launch_snapshot_deletion",
    "launch_snapshots",
    "launch_test",
    "launch_verify",
    "resubmit_job",
    "resume_job",
    "suspend_job",
]
