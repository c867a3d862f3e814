"""The list of jobs with its filters and keyset paging, and all that one job's page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from django.db.models import QuerySet
from django.utils import timezone

from jobs.models import Job, JobAttempt, JobEvent, JobException, JobPhase, Operation
from jobs.rules import states
from jobs.selectors import jobs_needing_attention
from jobs.visible import only_visible, visible_jobs
from policies.models import FileServer, Media
from policies.selectors.visible import Person, sees_everything

PAGE: Final = 50
EVENTS_SHOWN: Final = 200
EXCEPTIONS_SHOWN: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What the list is narrowed to; '' and None = everything. Dates are days in the current time zone, inclusive."""

    state: str = ""
    operation: str = ""
    subclient_id: int | None = None
    node_id: int | None = None
    run_id: int | None = None
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Newest first. ``newer``/``older`` are the ids to page from, None = nothing there."""

    jobs: Sequence[Job]
    newer: int | None
    older: int | None


def filtered(wanted: Filter, user: Person) -> QuerySet[Job]:
    """Jobs that match and that the user may see, newest first."""
    jobs = Job.objects.order_by("-pk")
    if wanted.state == "active":
        jobs = jobs.filter(state__in=states.ACTIVE)
    elif wanted.state == "attention":
        jobs = jobs_needing_attention().order_by("-pk")
    elif wanted.state:
        jobs = jobs.filter(state=wanted.state)
    if wanted.operation:
        jobs = jobs.filter(operation=wanted.operation)
    if wanted.subclient_id is not None:
        jobs = jobs.filter(subclient=wanted.subclient_id)
    if wanted.node_id is not None:
        jobs = jobs.filter(node=wanted.node_id)
    if wanted.run_id is not None:
        jobs = jobs.filter(schedule_run=wanted.run_id)
    if wanted.since:
        jobs = jobs.filter(created_at__gte=_midnight(wanted.since))
    if wanted.until:
        jobs = jobs.filter(created_at__lt=_midnight(wanted.until + timedelta(days=1)))
    return only_visible(jobs, user)


def page_of(jobs: QuerySet[Job], *, before: int | None = None, after: int | None = None, size: int = PAGE) -> Page:
    """One page by keyset: older than ``before``, or newer than ``after``, or the newest."""
    if after is not None:
        newer_ones = list(jobs.filter(pk__gt=after).order_by("pk")[: size + 1])
        rows = newer_ones[:size][::-1]
        if len(newer_ones) <= size:
            return page_of(jobs, size=size)
        return Page(jobs=rows, newer=rows[0].pk, older=rows[-1].pk)
    found = list((jobs.filter(pk__lt=before) if before is not None else jobs)[: size + 1])
    rows = found[:size]
    older = rows[-1].pk if len(found) > size else None
    return Page(jobs=rows, newer=rows[0].pk if before is not None and rows else None, older=older)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStory:
    """One job with everything it left."""

    job: Job
    phases: Sequence[JobPhase]
    attempts: Sequence[JobAttempt]
    events: Sequence[JobEvent]
    exceptions: Sequence[JobException]
    children: Sequence[Job]
    parent: Job | None


def story(job_id: int, user: Person) -> JobStory:
    """Six queries. Raises Job.DoesNotExist, also when the user may not see it."""
    job = (
        visible_jobs(user)
        .select_related(
            "subclient__file_server",
            "subclient__policy",
            "copy__policy",
            "snapshot",
            "backup_copy__media",
            "parent",
            "node",
            "acknowledged_by",
            "schedule_run",
        )
        .get(pk=job_id)
    )
    exceptions = job.exceptions.filter(attempt=job.attempt).order_by("pk")[:EXCEPTIONS_SHOWN]
    return JobStory(
        job=job,
        phases=list(job.phases.filter(attempt=job.attempt)),
        attempts=list(job.attempts.all()),
        events=list(job.events.order_by("-at", "-pk")[:EVENTS_SHOWN]),
        exceptions=list(exceptions),
        children=list(only_visible(job.children.order_by("pk"), user)),
        parent=_visible_parent(job, user),
    )


def _visible_parent(job: Job, user: Person) -> Job | None:
    parent = job.parent
    is_seen = parent is not None and (parent.subclient_id == job.subclient_id or sees_everything(user))
    return parent if is_seen else None


def report_of_test(job: Job) -> dict[str, Any] | None:
    """The report a test job made, as long as no later test of the same object replaced it."""
    if job.operation != Operation.TEST or job.started_at is None or job.finished_at is None:
        return None
    given = job.parameters
    owner: type[Media | FileServer] = Media if "media" in given else FileServer
    tested = owner.objects.filter(pk=given.get("media") or given.get("file_server")).first()
    if tested is None or tested.last_tested_at is None:
        return None
    is_its = job.started_at <= tested.last_tested_at <= job.finished_at
    report: dict[str, Any] | None = tested.last_test
    return report if is_its else None


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, datetime.min.time()))
