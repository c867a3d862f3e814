"""Launching jobs: refusals first, then the row, then the queue after the commit (RULES J2)."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import IntegrityError, transaction
from django.utils import timezone

from jobs.models import (
    BackupCopy,
    CopyState,
    How,
    Initiator,
    Job,
    JobState,
    Level,
    Operation,
    ScheduleRun,
    Snapshot,
)
from jobs.selectors import active_backup_copy_job, active_jobs
from jobs.services.chain import GOES_ON, ask_after
from jobs.services.dispatch import dispatch
from jobs.services.errors import CannotLaunch, NothingNew
from jobs.services.feeding import Supply, feed_of
from jobs.services.refusals import (
    first_backup_copy,
    hint_for_nothing,
    nothing_waits,
    refuse_inactive,
    refuse_wrong_copy,
)
from jobs.services.selection import next_to_copy, pick_row, refresh_selection, row_of, skip_overdue
from policies.models import AccessNode, Copy, FileServer, Media, Subclient

Actor = AbstractBaseUser | AnonymousUser | None


def launch_snapshot(
    subclient: Subclient,
    *,
    user: Actor = None,
    initiator: str = Initiator.PERSON,
    how: str = How.WEB,
    level: str = Level.INCREMENTAL,
    schedule_run: ScheduleRun | None = None,
) -> Job:
    """Snapshot now. One at a time per subclient; raises CannotLaunch."""
    with transaction.atomic():
        Subclient.objects.select_for_update().get(pk=subclient.pk)
        refuse_inactive(subclient)
        running = active_jobs().filter(operation=Operation.SNAPSHOT, subclient=subclient).first()
        if running is not None:
            raise CannotLaunch(f"Job {running.pk} is already taking a snapshot of {subclient.path}.", job=running)
        job = create_job(
            operation=Operation.SNAPSHOT,
            subclient=subclient,
            user=user,
            initiator=initiator,
            how=how,
            asked_level=level,
            schedule_run=schedule_run,
        )
    return dispatch(job.pk)


def launch_backup_copy(
    subclient: Subclient,
    copy: Copy | None = None,
    *,
    snapshot: Snapshot | None = None,
    user: Actor = None,
    initiator: str = Initiator.PERSON,
    how: str = How.WEB,
    parent: Job | None = None,
    recopy: bool = False,
    schedule_run: ScheduleRun | None = None,
) -> Job:
    """Copy now: the oldest waiting snapshot, and after it the next until none waits; or just ``snapshot``.

    ``copy`` None = the policy's first backup copy. A request beside a running one attaches to it: the running job is
    returned and goes on with what waits, or with the one asked for (RULES B11). ``recopy`` copies a snapshot that is on
    media already (RULES B4).
    Raises CannotLaunch; NothingNew when no snapshot waits.
    """
    refuse_inactive(subclient)
    copy = copy or first_backup_copy(subclient)
    refuse_wrong_copy(subclient, copy)
    asked = _row_asked_for(snapshot, copy, recopy=recopy) if snapshot else None
    if attached := _attached(subclient, copy, asked, parent):
        return attached
    row = asked or _row_to_copy(subclient, copy)
    try:
        with transaction.atomic():
            job = create_job(
                operation=Operation.BACKUP_COPY,
                subclient=subclient,
                user=user,
                initiator=initiator,
                how=how,
                copy=copy,
                media_label=copy.media.name if copy.media else "",
                snapshot=row.snapshot,
                backup_copy=row,
                parent=parent,
                asked_level=row.snapshot.asked_level,
                parameters={GOES_ON: snapshot is None},
                schedule_run=schedule_run,
            )
    except IntegrityError:
        if attached := _attached(subclient, copy, asked, parent):
            return attached
        raise
    return dispatch(job.pk)


def launch_test(
    *,
    media: Media | None = None,
    file_server: FileServer | None = None,
    node: AccessNode | None = None,
    user: Actor = None,
    initiator: str = Initiator.PERSON,
    how: str = How.WEB,
) -> Job:
    """**Test** of exactly one medium or file server on a node; the report is in ``result`` and at the object."""
    if (media is None) == (file_server is None):
        raise ValueError("exactly one of media and file_server")
    job = create_job(
        operation=Operation.TEST,
        subclient=None,
        user=user,
        initiator=initiator,
        how=how,
        media_label=media.name if media else "",
        file_server_label=file_server.name if file_server else "",
        parameters={
            **({"media": media.pk} if media else {}),
            **({"file_server": file_server.pk} if file_server else {}),
            **({"node": node.name} if node else {}),
        },
    )
    return dispatch(job.pk)


def launch_demo(*, user: Actor = None, initiator: str = Initiator.PERSON, how: str = How.WEB) -> Job:
    """Try with sample data: a job that configures, snaps, copies and restores a small tree. Raises CannotLaunch."""
    running = active_jobs().filter(operation=Operation.DEMO).first()
    if running is not None:
        raise CannotLaunch(f"Job {running.pk} is already preparing the sample data.", job=running)
    done = Job.objects.filter(operation=Operation.DEMO, state=JobState.COMPLETED).first()
    if done is not None:
        raise CannotLaunch(f"The sample data is there already: job {done.pk} made it.", job=done)
    job = create_job(operation=Operation.DEMO, subclient=None, user=user, initiator=initiator, how=how)
    return dispatch(job.pk)


def create_job(
    *, operation: str, subclient: Subclient | None, user: Actor, initiator: str, how: str, **values: Any
) -> Job:
    """A row that waits for its node. Labels are taken now, so that history reads when names change."""
    person = user if isinstance(user, User) else None
    copy = values.get("copy")
    labels = {"copy_label": copy.name} if copy else {}
    if subclient is not None:
        labels |= {"subclient_label": subclient.path, "file_server_label": subclient.file_server.name}
    values = {**labels, **values}
    return Job.objects.create(
        operation=operation,
        state=JobState.PENDING,
        state_reason="looking for a node",
        subclient=subclient,
        started_by=person,
        started_by_label=str(person) if person else "",
        initiator=initiator,
        how=how,
        **values,
    )


def _attached(subclient: Subclient, copy: Copy, asked: BackupCopy | None, parent: Job | None) -> Job | None:
    """The running job, which goes on with the request. None = none runs; what ended just now goes on with nothing."""
    running = active_backup_copy_job(subclient, copy)
    return ask_after(running, asked, parent=parent) if running is not None else None


def _row_to_copy(subclient: Subclient, copy: Copy) -> BackupCopy:
    """The oldest that waits, after the rules were asked again (RULES B2, B5, B10)."""
    refresh_selection(subclient)
    skip_overdue(subclient, copy)
    row = next_to_copy(subclient, copy)
    if row is None:
        raise NothingNew(nothing_waits(subclient, copy), hint=hint_for_nothing(subclient, copy))
    return row


def _row_asked_for(snapshot: Snapshot, copy: Copy, *, recopy: bool) -> BackupCopy:
    """Asking for one snapshot by name picks it (RULES B4)."""
    feed = feed_of(snapshot, copy)
    if feed.supply in (Supply.LATER, Supply.NEVER):
        raise CannotLaunch(feed.sentence)
    row = row_of(snapshot, copy)
    if row.is_on_media and not recopy:
        raise CannotLaunch(
            f"{snapshot.name} is already copied to {copy.name}.", hint="Choose “Copy again” to copy it once more."
        )
    if row.state == CopyState.PREVENTED:
        raise CannotLaunch(
            f"{snapshot.name} is prevented from being copied to {copy.name}.", hint="Leave it to the rules first."
        )
    if row.state == CopyState.AGED:
        raise CannotLaunch(f"The retention of {snapshot.name} on {copy.name} is over: it is not copied again.")
    if not row.is_on_media and row.state != CopyState.COPYING:
        pick_row(row, reason="Picked by hand.", now=timezone.now())
    return row
