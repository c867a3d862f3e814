"""Launching what keeps everything in shape: aging, and pruning and verifying a medium (RULES R4)."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction

from jobs.models import How, Initiator, Job, Operation, ScheduleRun
from jobs.selectors import active_jobs
from jobs.services.dispatch import dispatch
from jobs.services.errors import CannotLaunch
from jobs.services.launch import Actor, create_job
from policies.models import Media

DEFAULT_PERCENT = 5.0
"""How much of the data a verification reads unless told otherwise."""


def launch_aging(
    *,
    initiator: str = Initiator.PERSON,
    how: str = How.WEB,
    user: Actor = None,
    schedule_run: ScheduleRun | None = None,
) -> Job:
    """Look at every retention now and mark what is over. One at a time; raises CannotLaunch."""
    return _launch(Operation.AGING, None, initiator=initiator, how=how, user=user, schedule_run=schedule_run)


def launch_prune(
    *,
    media: Media,
    initiator: str = Initiator.PERSON,
    how: str = How.WEB,
    user: Actor = None,
    schedule_run: ScheduleRun | None = None,
) -> Job:
    """Forget the aged backup copies of a medium and free their space. Raises CannotLaunch."""
    return _launch(Operation.PRUNE, media, initiator=initiator, how=how, user=user, schedule_run=schedule_run)


def launch_verify(
    *,
    media: Media,
    percent: float = DEFAULT_PERCENT,
    initiator: str = Initiator.PERSON,
    how: str = How.WEB,
    user: Actor = None,
    schedule_run: ScheduleRun | None = None,
) -> Job:
    """Check the repository on a medium and read ``percent`` (0 to 100) of its data. Raises CannotLaunch."""
    if not 0 <= percent <= 100:
        raise CannotLaunch("The part of the data to read is between 0 and 100 percent.")
    return _launch(
        Operation.VERIFY,
        media,
        initiator=initiator,
        how=how,
        user=user,
        schedule_run=schedule_run,
        parameters={"percent": percent},
    )


def _launch(operation: Operation, media: Media | None, **values: Any) -> Job:
    if media is not None:
        _refuse_unready(media)
        values |= {"media": media, "media_label": media.name}
    if running := _in_the_way(operation, media):
        raise _refusal(running)
    try:
        with transaction.atomic():
            job = create_job(operation=operation, subclient=None, **values)
    except IntegrityError:
        if (running := _in_the_way(operation, media)) is None:
            raise
        raise _refusal(running) from None
    return dispatch(job.pk)


def _refuse_unready(media: Media) -> None:
    if not media.is_active:
        raise CannotLaunch(f"The medium {media.name} is switched off.", hint="Switch it on on its form.")
    if media.repository_id is None:
        raise CannotLaunch(
            f"The medium {media.name} has no repository yet: nothing was copied to it.",
            hint="Make a backup copy first.",
        )


def _in_the_way(operation: Operation, media: Media | None) -> Job | None:
    """One aging at all, one prune or verification per medium; the table has a constraint for each."""
    if media is None:
        return active_jobs().filter(operation=operation).first()
    return active_jobs().filter(operation__in=(Operation.PRUNE, Operation.VERIFY), media=media).first()


def _refusal(running: Job) -> CannotLaunch:
    what = {Operation.AGING: "ages already", Operation.PRUNE: "prunes", Operation.VERIFY: "verifies"}
    about = f" {running.media_label}" if running.media_label else ""
    return CannotLaunch(
        f"Job {running.pk} {what[Operation(running.operation)]}{about}: wait until it is over.", job=running
    )
