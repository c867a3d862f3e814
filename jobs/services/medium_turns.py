"""Who has to wait for whom on a medium: a prune or a repair needs a repository for itself, everything else shares it.

The repository's own lock would refuse, too; here a job that would be refused waits for its turn instead, and says for
what. Decided while places are given, one job at a time, so that a prune and a copy never get a place together. What
is said here of prunes holds for repairs.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.db.models import Q, QuerySet
from django.utils import timezone

from jobs.models import BackupCopy, Job, JobState, Operation
from jobs.rules import states

PATIENCE: Final = timedelta(hours=1)
"""A prune that has waited so long for its turn goes before copies that have no place yet."""

MEDIA: Final = "media"
"""Parameter of a drill: the ids of the media it restores from."""

_ALONE: Final = {Operation.PRUNE: ("pruning", "pruned"), Operation.REPAIR: ("repairing", "repaired")}
_ON_A_NODE: Final = (JobState.QUEUED, JobState.RUNNING)


def waits_for_medium(job: Job) -> str:
    """What the job has to wait for, as a sentence; empty = it may go."""
    media = media_of(job) | _media_of_trees(job)
    if not media:
        return ""
    others = Job.objects.exclude(pk=job.pk)
    if job.operation in _ALONE:
        busy = others.filter(_uses(media) | _catalogues(media), state__in=_ON_A_NODE).order_by("pk").first()
        if busy is None:
            return ""
        what = busy.get_operation_display().lower()
        need = _ALONE[Operation(job.operation)][0]
        return f"{job.media_label} is in use by job {busy.pk} ({what}); {need} needs it for itself."
    prunes = others.filter(operation__in=_ALONE, media__in=media)
    if running := prunes.filter(state__in=_ON_A_NODE).first():
        return f"{running.media_label} is being {_ALONE[Operation(running.operation)][1]} by job {running.pk}."
    since = timezone.now() - PATIENCE
    if first := prunes.filter(state=JobState.WAITING, want=Job.Want.RUN, created_at__lt=since).first():
        done = _ALONE[Operation(first.operation)][1]
        return f"{first.media_label} is to be {done} by job {first.pk}, which has waited long enough."
    return ""


def jobs_using(media_id: int) -> int:
    """How many running jobs read or write a medium."""
    alone = Q(operation__in=_ALONE, media_id=media_id)
    return Job.objects.filter(_uses({media_id}) | alone, state=JobState.RUNNING).distinct().count()


def media_of(job: Job) -> set[int]:
    """The media whose repositories the job uses: also the one that another backup copy is read from."""
    if job.operation in (Operation.PRUNE, Operation.VERIFY, Operation.REPAIR, Operation.ATTACH):
        return {job.media_id} if job.media_id else set()
    if job.operation == Operation.RESTORE:
        return {job.backup_copy.media_id} if job.backup_copy else set()
    if job.operation == Operation.DRILL:
        return set(job.parameters.get(MEDIA, ()))
    if job.operation == Operation.BACKUP_COPY and job.copy is not None:
        source = job.copy.source
        return {pk for pk in (job.copy.media_id, source.media_id if source else None) if pk}
    return set()


def _uses(media: set[int]) -> Q:
    copies = Q(copy__media__in=media) | Q(copy__source__media__in=media)
    drills = Q(*(Q(parameters__contains={MEDIA: [pk]}) for pk in media), _connector=Q.OR)
    return (
        (Q(operation=Operation.DRILL) & drills)
        | Q(operation__in=(Operation.VERIFY, Operation.ATTACH), media__in=media)
        | (Q(operation=Operation.BACKUP_COPY) & copies)
        | Q(operation=Operation.RESTORE, backup_copy__media__in=media)
    )


def _media_of_trees(job: Job) -> set[int]:
    """A catalog job reads trees on media where they tell more than the storage does; which ones, the job finds out."""
    if job.operation != Operation.CATALOG:
        return set()
    return set(_on_media().filter(snapshot__subclient=job.subclient_id).values_list("media", flat=True))


def _catalogues(media: set[int]) -> Q:
    """Jobs that may read trees there."""
    return Q(
        operation=Operation.CATALOG, subclient__in=_on_media().filter(media__in=media).values("snapshot__subclient")
    )


def _on_media() -> QuerySet[BackupCopy]:
    return BackupCopy.objects.filter(state__in=states.ON_MEDIA)
