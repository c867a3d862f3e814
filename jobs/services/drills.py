"""Launching restore drills: a few files of each backup copy of a subclient, restored and compared."""

from __future__ import annotations

import secrets
from typing import Any, Final

from django.db import IntegrityError, transaction

from jobs.models import BackupCopy, How, Initiator, Job, Operation, ScheduleRun, Snapshot
from jobs.rules import states
from jobs.selectors import active_jobs
from jobs.services.dispatch import dispatch
from jobs.services.errors import CannotLaunch, NothingNew
from jobs.services.launch import Actor, create_job
from jobs.services.launch_many import Launched, Scope, subclients_of
from jobs.services.medium_turns import MEDIA
from jobs.services.refusals import refuse_inactive
from policies.models import Copy, Subclient

DEFAULT_FILES: Final = 25
DEFAULT_MIB: Final = 1024
MOST_FILES: Final = 10_000
MOST_MIB: Final = 1024 * 1024

FILES: Final = "files"
MIB: Final = "mib"
SEED: Final = "seed"
ROWS: Final = "backup_copies"
ONLY_COPY: Final = "only_copy"
"""Parameters of a drill. ``ROWS``: ids of the backup copies; ``ONLY_COPY``: the id of the copy that was asked for."""

_MOST_SEED: Final = 2**31


def launch_drill(
    subclient: Subclient,
    copy: Copy | None = None,
    *,
    snapshot: Snapshot | None = None,
    files: int = DEFAULT_FILES,
    mib: int = DEFAULT_MIB,
    seed: int | None = None,
    user: Actor = None,
    initiator: str = Initiator.PERSON,
    how: str = How.WEB,
    schedule_run: ScheduleRun | None = None,
) -> Job:
    """Restore some files of the newest backup copy in each copy, or in ``copy``, or of ``snapshot``; and compare them.

    ``files`` and ``mib`` bound what is restored of each; ``seed`` chooses the files, None = by chance, and is kept with
    the job. One at a time per subclient. Raises CannotLaunch; NothingNew where nothing was copied yet.
    """
    refuse_inactive(subclient)
    if not 1 <= files <= MOST_FILES:
        raise CannotLaunch(f"A drill restores 1 to {MOST_FILES:,} files.")
    if not 1 <= mib <= MOST_MIB:
        raise CannotLaunch(f"A drill restores 1 to {MOST_MIB:,} MiB.")
    if running := _running(subclient):
        raise _is_running(subclient, running)
    rows = _newest(subclient, copy, snapshot)
    if not rows:
        where = f" to {copy.name}" if copy is not None else ""
        raise NothingNew(f"Nothing of {subclient.path} was copied{where} yet.", hint="Make a backup copy first.")
    parameters: dict[str, Any] = {
        FILES: files,
        MIB: mib,
        SEED: secrets.randbelow(_MOST_SEED) if seed is None else seed,
        ROWS: [row.pk for row in rows],
        MEDIA: sorted({row.media_id for row in rows}),
        **({ONLY_COPY: copy.pk} if copy is not None else {}),
    }
    try:
        with transaction.atomic():
            job = create_job(
                operation=Operation.DRILL,
                subclient=subclient,
                user=user,
                initiator=initiator,
                how=how,
                snapshot=rows[0].snapshot,
                media_label=", ".join(sorted({row.media.name for row in rows})),
                parameters=parameters,
                schedule_run=schedule_run,
            )
    except IntegrityError:
        if (running := _running(subclient)) is None:
            raise
        raise _is_running(subclient, running) from None
    return dispatch(job.pk)


def launch_drills(*, scope: Scope, **given: Any) -> Launched:
    """For every active subclient of the scope; see :func:`launch_drill`. Nothing copied yet is no refusal."""
    launched = Launched()
    for subclient in subclients_of(scope):
        try:
            launched.jobs.append(launch_drill(subclient, **given))
        except NothingNew:
            continue
        except CannotLaunch as refusal:
            launched.refused.append(f"{subclient.path}: {refusal.sentence}")
    return launched


def drill_wishes(job: Job) -> dict[str, Any]:
    """What a drill was asked for, as keywords of :func:`launch_drill`: with the same seed."""
    only = Copy.objects.filter(pk=job.parameters.get(ONLY_COPY)).first()
    return {"copy": only, **{name: job.parameters[name] for name in (FILES, MIB, SEED)}}


def _newest(subclient: Subclient, copy: Copy | None, snapshot: Snapshot | None) -> list[BackupCopy]:
    """One row for each copy: its newest on media, the newest snapshot first."""
    rows = BackupCopy.objects.filter(snapshot__subclient=subclient, state__in=states.ON_MEDIA, media__is_active=True)
    rows = rows.filter(copy=copy) if copy is not None else rows.filter(copy__policy=subclient.policy_id)
    if snapshot is not None:
        rows = rows.filter(snapshot=snapshot)
    newest = rows.order_by("copy_id", "-snapshot__taken_at", "-snapshot_id").distinct("copy_id")
    found = newest.select_related("snapshot", "media", "copy")
    return sorted(found, key=lambda row: (row.snapshot.taken_at, -row.copy.precedence), reverse=True)


def _running(subclient: Subclient) -> Job | None:
    return active_jobs().filter(operation=Operation.DRILL, subclient=subclient).first()


def _is_running(subclient: Subclient, job: Job) -> CannotLaunch:
    return CannotLaunch(f"Job {job.pk} already drills {subclient.path}: wait until it is over.", job=job)
