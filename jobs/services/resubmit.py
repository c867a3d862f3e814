"""The same request again, as a new job."""

from __future__ import annotations

from typing import Any

from jobs.models import How, Initiator, Job, Level, Operation, SnapshotReplica
from jobs.progress import note
from jobs.rules import states
from jobs.services.attaching import attach_wishes, launch_attach
from jobs.services.catalog import catalog_wishes, launch_catalog
from jobs.services.deletion import launch_snapshot_deletion
from jobs.services.drills import drill_wishes, launch_drill
from jobs.services.errors import CannotLaunch
from jobs.services.launch import (
    Actor,
    launch_backup_copy,
    launch_demo,
    launch_snapshot,
    launch_test,
)
from jobs.services.mounts import active_mount_of, launch_mount, launch_unmount
from jobs.services.reconcile import reconcile_again
from jobs.services.restores_again import restore_again
from jobs.services.secondary import delete_replica, launch_secondary_copy
from jobs.services.upkeep import (
    COPY_AGAIN,
    PERCENT,
    WITHIN_DAYS,
    launch_aging,
    launch_prune,
    launch_repair,
    launch_verify,
)
from policies.models import FileServer, Media


def resubmit_job(job: Job, *, user: Actor = None, initiator: str = Initiator.PERSON, how: str = How.WEB) -> Job:
    """The same request again as a new job. Raises CannotLaunch when it is not over, or no longer makes sense."""
    if job.state not in states.FINAL:
        raise CannotLaunch(f"Job {job.pk} is not over yet.", job=job)
    who: dict[str, Any] = {"user": user, "initiator": initiator, "how": how}
    match job.operation:
        case Operation.SNAPSHOT if job.subclient:
            again = launch_snapshot(job.subclient, level=job.asked_level or Level.INCREMENTAL, **who)
        case Operation.BACKUP_COPY if job.subclient and job.copy and job.snapshot:
            again = launch_backup_copy(job.subclient, job.copy, snapshot=job.snapshot, recopy=True, **who)
        case Operation.RESTORE if job.snapshot:
            again = restore_again(job, job.snapshot, only_failed=job.reads_only_the_failed_again, **who)
        case Operation.SECONDARY_COPY if job.subclient and job.copy:
            again = launch_secondary_copy(subclient=job.subclient, copy=job.copy, **who)
        case Operation.DELETE_SNAPSHOT if job.replica:
            again = _delete_again(job.replica, job)
        case Operation.DELETE_SNAPSHOT if job.snapshot:
            again = launch_snapshot_deletion(job.snapshot, **who)
        case Operation.AGING:
            again = launch_aging(**who)
        case Operation.PRUNE if job.media:
            again = launch_prune(media=job.media, **who)
        case Operation.VERIFY if job.media:
            again = launch_verify(media=job.media, **_how_much(job), **who)
        case Operation.REPAIR if job.media:
            again = launch_repair(media=job.media, copy_again=bool(job.parameters.get(COPY_AGAIN)), **who)
        case Operation.ATTACH if job.media:
            again = launch_attach(media=job.media, **attach_wishes(job), **who)
        case Operation.DRILL if job.subclient:
            again = launch_drill(job.subclient, **drill_wishes(job), **who)
        case Operation.CATALOG if job.subclient:
            again = launch_catalog(job.subclient, **catalog_wishes(job), **who)
        case Operation.MOUNT if job.snapshot:
            again = launch_mount(job.snapshot, node=job.node, **who)
        case Operation.UNMOUNT if job.snapshot and (mount := active_mount_of(job.snapshot)):
            again = launch_unmount(mount, **who)
        case Operation.REVERT:
            raise CannotLaunch(
                "A revert is not run again unseen: what it would cost may be another by now.",
                hint="Open “revert” at the snapshot on the page of the subclient.",
            )
        case Operation.RECONCILE:
            again = reconcile_again(job, **who)
        case Operation.TEST:
            again = _test_again(job, who)
        case Operation.DEMO:
            again = launch_demo(**who)
        case _:
            raise CannotLaunch("What this job worked on was deleted.", job=job)
    note(again.pk, "resubmitted", f"The same as job {job.pk}.")
    return again


def _how_much(job: Job) -> dict[str, Any]:
    return {name: job.parameters[name] for name in (PERCENT, WITHIN_DAYS) if name in job.parameters}


def _delete_again(replica: SnapshotReplica, job: Job) -> Job:
    again = delete_replica(replica, reason=replica.state_reason, initiator=job.initiator)
    if again is None:
        raise CannotLaunch(f"{replica.snapshot.name} is gone from {replica.copy.name}, or a job is at it.")
    return again


def _test_again(job: Job, who: dict[str, Any]) -> Job:
    media = Media.objects.filter(pk=job.parameters.get("media")).first()
    file_server = FileServer.objects.filter(pk=job.parameters.get("file_server")).first()
    if media is None and file_server is None:
        raise CannotLaunch("What this job tested was deleted.", job=job)
    return launch_test(media=media, file_server=file_server, **who)
