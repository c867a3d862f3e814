"""Launching what keeps everything in shape: aging; pruning, verifying and repairing a medium (RULES R4)."""

from __future__ import annotations

from typing import Any, Final

from django.db import IntegrityError, transaction

from jobs.models import How, Initiator, Job, Operation, ScheduleRun
from jobs.selectors import active_jobs
from jobs.services.dispatch import dispatch
from jobs.services.errors import CannotLaunch
from jobs.services.launch import Actor, create_job
from policies import audit
from policies.models import Media

DEFAULT_PERCENT = 5.0
"""How much of the data a verification reads unless told otherwise."""

PERCENT: Final = "percent"
WITHIN_DAYS: Final = "within_days"
"""Parameters of a verification: one of them."""

COPY_AGAIN: Final = "copy_again"
"""Parameter of a repair: damaged copies whose snapshot is still there are copied once more."""

OF_A_MEDIUM: Final = (Operation.PRUNE, Operation.VERIFY, Operation.REPAIR, Operation.ATTACH)
"""One of these at a time per medium."""

_WORDS: Final = {
    Operation.AGING: "ages already",
    Operation.PRUNE: "prunes",
    Operation.VERIFY: "verifies",
    Operation.REPAIR: "repairs",
    Operation.ATTACH: "attaches",
}


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
    percent: float | None = None,
    within_days: int | None = None,
    initiator: str = Initiator.PERSON,
    how: str = How.WEB,
    user: Actor = None,
    schedule_run: ScheduleRun | None = None,
) -> Job:
    """Check the repository on a medium, and read a part of its data.

    ``percent`` (0 to 100) of it, what was not read for longest first; or what was not read ``within_days``, and by a
    schedule as much as it takes that this never happens. Neither = the default. Raises CannotLaunch.
    """
    if percent is not None and within_days is not None:
        raise ValueError("one of percent and within_days")
    if percent is not None and not 0 <= percent <= 100:
        raise CannotLaunch("The part of the data to read is between 0 and 100 percent.")
    if within_days is not None and not 1 <= within_days <= 32_000:
        raise CannotLaunch("The number of days within which everything is read is at least 1.")
    asked = (
        {WITHIN_DAYS: within_days}
        if within_days is not None
        else {PERCENT: DEFAULT_PERCENT if percent is None else percent}
    )
    return _launch(
        Operation.VERIFY,
        media,
        initiator=initiator,
        how=how,
        user=user,
        schedule_run=schedule_run,
        parameters=asked,
    )


def launch_repair(
    *,
    media: Media,
    copy_again: bool = True,
    initiator: str = Initiator.PERSON,
    how: str = How.WEB,
    user: Actor = None,
) -> Job:
    """Bring back what is damaged on a medium, from snapshots and other media. Raises CannotLaunch.

    ``copy_again``: what does not come back is copied once more where its snapshot is still there. Audited.
    """
    parameters = {COPY_AGAIN: True} if copy_again else {}
    job = _launch(Operation.REPAIR, media, initiator=initiator, how=how, user=user, parameters=parameters)
    known = how if how in audit.How.values else audit.How.SYSTEM
    sentence = f"Repair of the medium {media.name}: job {job.pk}"
    audit.record(action=audit.Action.OPERATED, instance=media, user=user, how=known, sentence=sentence)
    return job


def _launch(operation: Operation, media: Media | None, **values: Any) -> Job:
    if media is not None:
        _refuse_unready(media)
    return launch_of_medium(operation, media, **values)


def launch_of_medium(operation: Operation, media: Media | None, **values: Any) -> Job:
    """One of these at a time per medium, whatever its state. Raises CannotLaunch."""
    if media is not None:
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
    """One aging at all, one prune, verification or repair per medium; the table has a constraint for each."""
    if media is None:
        return active_jobs().filter(operation=operation).first()
    return active_jobs().filter(operation__in=OF_A_MEDIUM, media=media).first()


def _refusal(running: Job) -> CannotLaunch:
    about = f" {running.media_label}" if running.media_label else ""
    return CannotLaunch(
        f"Job {running.pk} {_WORDS[Operation(running.operation)]}{about}: wait until it is over.", job=running
    )
