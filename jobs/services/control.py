"""What people may ask of a job: kill, suspend, resume, acknowledge. A job that cannot take it says so (RULES J3)."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from jobs import lease
from jobs.models import How, Job, JobState, Operation, Want
from jobs.progress import note
from jobs.rules import states
from jobs.services.dispatch import dispatch
from jobs.services.errors import CannotControl
from jobs.services.finish import end_now, end_parent
from jobs.services.launch import Actor
from policies import audit

_SUSPENDABLE = (Operation.BACKUP_COPY, Operation.RESTORE)


def kill_job(job: Job, *, user: Actor = None, how: str = How.WEB) -> Job:
    """End a job now. A running one ends within seconds, keeps its snapshot and leaves no lock. Raises CannotControl."""
    with transaction.atomic():
        job = _locked(job)
        _refuse_if_over(job)
        _say(job, user, how, "killed", "Kill asked")
        job.want, job.want_at = Want.KILL, timezone.now()
        children = list(job.children.filter(state__in=states.ACTIVE)) if job.awaits_children else []
        if job.state == JobState.RUNNING:
            job.save(update_fields=["want", "want_at"])
            lease.notify(job.pk, Want.KILL)
        elif job.awaits_children:
            job.save(update_fields=["want", "want_at"])
            transaction.on_commit(lambda: end_parent(job.pk))
        else:
            end_now(job, state=JobState.KILLED, reason="killed before it ran" if job.started_at is None else "killed")
        for child in children:
            kill_job(child, user=user, how=how)
    return job


def suspend_job(job: Job, *, user: Actor = None, how: str = How.WEB) -> Job:
    """Stop a copy or restore at its next checkpoint until it is resumed. Raises CannotControl."""
    with transaction.atomic():
        job = _locked(job)
        _refuse_if_over(job)
        if job.operation not in _SUSPENDABLE:
            raise CannotControl(f"A {job.get_operation_display().lower()} job cannot be suspended.", job=job)
        if job.state == JobState.SUSPENDED or job.want == Want.SUSPEND:
            raise CannotControl(f"Job {job.pk} is already suspended.", job=job)
        if job.want == Want.KILL:
            raise CannotControl(f"Job {job.pk} is being killed.", job=job)
        _say(job, user, how, "suspended", "Suspend asked")
        if job.state == JobState.RUNNING:
            job.want, job.want_at = Want.SUSPEND, timezone.now()
            lease.notify(job.pk, Want.SUSPEND)
        else:
            job.state, job.state_reason, job.retry_at = JobState.SUSPENDED, "", None
        job.save(update_fields=["want", "want_at", "state", "state_reason", "retry_at"])
    return job


def resume_job(job: Job, *, user: Actor = None, how: str = How.WEB) -> Job:
    """Let a suspended job go on from what was written. Raises CannotControl."""
    with transaction.atomic():
        job = _locked(job)
        if job.state != JobState.SUSPENDED:
            raise CannotControl(f"Job {job.pk} is not suspended, it is {_state(job)}.", job=job)
        _say(job, user, how, "resumed", "Resumed")
        if job.attempts.filter(number=job.attempt).exists():
            job.attempt += 1
        job.state, job.state_reason, job.want, job.retry_at = JobState.PENDING, "resumed", Want.RUN, None
        job.save(update_fields=["state", "state_reason", "want", "retry_at", "attempt"])
    return dispatch(job.pk)


def acknowledge_job(job: Job, *, user: Actor) -> Job:
    """Somebody has seen it: it no longer asks for attention. Raises CannotControl."""
    with transaction.atomic():
        job = _locked(job)
        if job.state not in (JobState.FAILED, JobState.COMPLETED_WITH_ERRORS):
            raise CannotControl(f"Job {job.pk} is {_state(job)}: there is nothing to acknowledge.", job=job)
        if job.acknowledged_at is None:
            person = user if user is not None and user.is_authenticated else None
            Job.objects.filter(pk=job.pk).update(acknowledged_at=timezone.now(), acknowledged_by=person)
            note(job.pk, "acknowledged", f"Acknowledged by {person or 'the system'}.")
    job.refresh_from_db()
    return job


def _locked(job: Job) -> Job:
    return Job.objects.select_for_update(of=("self",)).get(pk=job.pk)


def _refuse_if_over(job: Job) -> None:
    if job.state in states.FINAL:
        raise CannotControl(f"Job {job.pk} is already over: {_state(job)}.", job=job)


def _state(job: Job) -> str:
    return str(job.get_state_display()).lower()


def _say(job: Job, user: Actor, how: str, code: str, what: str) -> None:
    who = f" by {user}" if user is not None and user.is_authenticated else ""
    note(job.pk, f"{code}-asked", f"{what}{who}.")
    audit_how = how if how in audit.How.values else audit.How.SYSTEM
    audit.record(action=audit.Action.OPERATED, instance=job, user=user, how=audit_how, sentence=f"{what}: {job}")
