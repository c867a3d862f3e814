"""Every write of the work that somebody may ask for. Callers import from here."""

from .attaching import launch_attach
from .bulk import Answer, Order, order_jobs
from .catalog import forget_lost, launch_catalog, launch_catalogs
from .control import acknowledge_job, kill_job, resume_job, suspend_job
from .deletion import launch_snapshot_deletion
from .drills import launch_drill, launch_drills
from .errors import CannotControl, CannotLaunch, JobRefusal, NothingNew
from .launch import (
    launch_backup_copy,
    launch_demo,
    launch_snapshot,
    launch_test,
)
from .launch_many import Launched, launch_backup_copies, launch_snapshots
from .marks import Marked, mark_copies, pin_snapshots, recopy, recopy_all, unpin_snapshots
from .priority import set_priority
from .reconcile import launch_reconcile, launch_reconciles
from .removal import retire_snapshot
from .restores import launch_restore
from .restores_again import launch_previewed
from .resubmit import resubmit_job
from .schedules import run_schedule_now, tick
from .secondary import delete_replica, launch_secondary_copies, launch_secondary_copy
from .selection import refresh_selection
from .source_guard import NothingFrozen, acknowledge_source, freeze_aging, guard_source
from .spool import apply_spool
from .undumps import launch_undump
from .upkeep import launch_aging, launch_prune, launch_repair, launch_verify

__all__ = [
    "Answer",
    "CannotControl",
    "CannotLaunch",
    "JobRefusal",
    "Launched",
    "Marked",
    "NothingFrozen",
    "NothingNew",
    "Order",
    "acknowledge_job",
    "acknowledge_source",
    "apply_spool",
    "delete_replica",
    "forget_lost",
    "freeze_aging",
    "guard_source",
    "kill_job",
    "launch_aging",
    "launch_attach",
    "launch_backup_copies",
    "launch_backup_copy",
    "launch_catalog",
    "launch_catalogs",
    "launch_demo",
    "launch_drill",
    "launch_drills",
    "launch_previewed",
    "launch_prune",
    "launch_reconcile",
    "launch_reconciles",
    "launch_repair",
    "launch_restore",
    "launch_secondary_copies",
    "launch_secondary_copy",
    "launch_snapshot",
    "launch_snapshot_deletion",
    "launch_snapshots",
    "launch_test",
    "launch_undump",
    "launch_verify",
    "mark_copies",
    "order_jobs",
    "pin_snapshots",
    "recopy",
    "recopy_all",
    "refresh_selection",
    "resubmit_job",
    "resume_job",
    "retire_snapshot",
    "run_schedule_now",
    "set_priority",
    "suspend_job",
    "tick",
    "unpin_snapshots",
]
