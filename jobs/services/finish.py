"""The end of an attempt: the one place where a running job leaves that state, whoever found out that it ended.

Everything an end entails happens in one transaction: states, phases, the copy's state, the next job of a chain.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from jobs.engine.events import PhaseName
from jobs.models import (
    AttemptState,
    BackupCopy,
    EventLevel,
    Job,
    JobAttempt,
    JobPhase,
    JobState,
    Operation,
    PhaseState,
    Snapshot,
    Want,
)
from jobs.progress import end_phases, note
from jobs.rules import states
from jobs.rules.retry import MOST_LOST_ATTEMPTS
from jobs.services.chain import next_of_chain
from jobs.services.copy_states import mark_failed, mark_missing, mark_offline, mark_stopped
from jobs.services.dispatch import dispatch
from jobs.services.failures import ProcessLost
from jobs.services.mounts import settle_mount
from jobs.services.outcomes import (
    AwaitsChildren,
    Done,
    Failed,
    Interrupted,
    Killed,
    Outcome,
    Suspended,
    ToRetry,
)
from jobs.services.restarts import retry_wait_seconds
from jobs.services.secondary import next_transfer, settle_replica
from jobs.services.spool import apply_spool

_PHASE_ENDS = {
    AttemptState.COMPLETED: PhaseState.COMPLETED,
    AttemptState.COMPLETED_WITH_ERRORS: PhaseState.COMPLETED,
    AttemptState.FAILED: PhaseState.FAILED,
}


def end_attempt(job_id: int, *, attempt: int, outcome: Outcome, now: datetime | None = None) -> bool:
    """End this attempt of a running job. False = the attempt no longer had the job; nothing was changed."""
    now = now or timezone.now()
    with transaction.atomic():
        job = (
            Job.objects.select_for_update(of=("self",))
            .filter(pk=job_id, attempt=attempt, state=JobState.RUNNING)
            .first()
        )
        if job is None:
            return False
        outcome = _as_wanted(job, outcome)
        follow = _apply(job, outcome, now)
        is_passed_over = _settle_copy(job, outcome, now)
        if job.state in states.FINAL:
            follow += _end_of_job(job, outcome, is_passed_over=is_passed_over, now=now)
        elif isinstance(outcome, ToRetry):
            _tell_parent(job)
        _dispatch_after_commit(follow)
    return True


def end_now(job: Job, *, state: JobState, reason: str) -> None:
    """End a locked job that no process works on: killed while it waited."""
    now = timezone.now()
    _close(job, state, reason, now)
    end_phases(job.pk, attempt=job.attempt, state=PhaseState.INTERRUPTED, at=now)
    job.save()
    note(job.pk, state.value, _sentence(reason))
    _dispatch_after_commit(_end_of_job(job, Killed(reason=reason), now=now))


def end_parent(parent_id: int) -> None:
    """End a job that awaits its children, if none of them is at work any more. Idempotent.

    A failed inline copy never fails the snapshot: *completed with errors* (RULES B9). One that is to be tried again
    later goes on by itself; the snapshot does not wait for it.
    """
    with transaction.atomic():
        parent = Job.objects.select_for_update(of=("self",)).filter(pk=parent_id, awaits_children=True).first()
        if parent is None or parent.state in states.FINAL or children_at_work(parent).exists():
            return
        bad = list(parent.children.exclude(state=JobState.COMPLETED).values_list("pk", flat=True))
        now = timezone.now()
        if parent.want == Want.KILL:
            state, reason = JobState.KILLED, "killed while its backup copy ran; the snapshot is kept"
        elif bad:
            state = JobState.COMPLETED_WITH_ERRORS
            reason = f"the inline backup copy did not complete: job {', '.join(map(str, bad))}"
        else:
            state = JobState(states.end_state(exceptions=parent.exceptions_count).value)
            reason = ""
        _close(parent, state, reason, now)
        ended = PhaseState.COMPLETED if state == JobState.COMPLETED else PhaseState.FAILED
        end_phases(parent.pk, attempt=parent.attempt, state=ended, at=now)
        if state != JobState.KILLED:
            _finish_phase(parent, now)
        parent.save()
        if reason:
            note(parent.pk, "inline-copy", _sentence(reason), level=EventLevel.WARNING)


def children_at_work(parent: Job) -> QuerySet[Job]:
    """Children that are not over, without those that a passing failure put off."""
    active = parent.children.filter(state__in=states.ACTIVE)
    return active.exclude(state=JobState.PENDING, retries__gt=0, retry_at__isnull=False)


def _as_wanted(job: Job, outcome: Outcome) -> Outcome:
    """A job that was told to stop and then ended otherwise than done has stopped."""
    unfinished = isinstance(outcome, Failed | ToRetry | Interrupted)
    if unfinished and job.want == Want.KILL:
        return Killed()
    if isinstance(outcome, Interrupted | ToRetry) and job.want == Want.SUSPEND:
        return Suspended()
    if isinstance(outcome, AwaitsChildren) and job.want == Want.KILL:
        return Killed(reason="killed before its backup copy; the snapshot is kept")
    if isinstance(outcome, Interrupted) and outcome.lost and job.lost_attempts + 1 >= MOST_LOST_ATTEMPTS:
        return Failed.by(ProcessLost(f"The process of this job was lost {MOST_LOST_ATTEMPTS} times: {outcome.reason}."))
    if isinstance(outcome, ToRetry) and retry_wait_seconds(job) is None:
        return Failed(code=outcome.code, sentence=outcome.sentence, hint=outcome.hint)
    return outcome


def _apply(job: Job, outcome: Outcome, now: datetime) -> list[int]:
    """Move the row, its attempt and its phases; returns the jobs to dispatch after the commit."""
    follow: list[int] = []
    match outcome:
        case Done():
            state = JobState(states.end_state(exceptions=outcome.exceptions).value)
            if outcome.record is not None:
                outcome.record()
            job.result |= outcome.result
            job.percent = 100.0
            job.error_code = job.error_sentence = job.error_hint = ""
            ended, reason = AttemptState(state.value), ""
            _close(job, state, "", now)
        case AwaitsChildren():
            ended, reason = AttemptState.COMPLETED, ""
            job.result |= outcome.result
            job.state, job.state_reason, job.awaits_children = JobState.WAITING, outcome.reason, True
        case Failed():
            ended, reason = AttemptState.FAILED, outcome.sentence
            _blame(job, outcome)
            _close(job, JobState.FAILED, outcome.sentence, now)
        case ToRetry():
            ended, reason = AttemptState.RETRIED, outcome.sentence
            _blame(job, outcome)
            _wait_for_retry(job, outcome, now)
        case Killed():
            ended, reason = AttemptState.KILLED, outcome.reason
            _close(job, JobState.KILLED, outcome.reason, now)
        case Suspended():
            ended, reason = AttemptState.SUSPENDED, outcome.reason
            job.state, job.state_reason, job.want = JobState.SUSPENDED, "", Want.RUN
        case Interrupted():
            ended, reason = AttemptState.INTERRUPTED, outcome.reason
            _go_on_elsewhere(job, outcome)
            follow.append(job.pk)
    JobAttempt.objects.filter(job=job, number=job.attempt, state=AttemptState.RUNNING).update(
        state=ended, reason=reason, finished_at=now
    )
    phases_end = _PHASE_ENDS.get(ended, PhaseState.INTERRUPTED)
    end_phases(job.pk, attempt=job.attempt, state=phases_end, at=now)
    if isinstance(outcome, AwaitsChildren):
        _begin_waiting_phase(job, now)
    if reason:
        serious = ended in (AttemptState.FAILED, AttemptState.RETRIED, AttemptState.INTERRUPTED)
        note(job.pk, ended.value, _sentence(reason), level=EventLevel.WARNING if serious else EventLevel.INFO)
    _release(job)
    if isinstance(outcome, Interrupted | ToRetry):
        job.attempt += 1
    job.save()
    return follow


def _close(job: Job, state: JobState, reason: str, now: datetime) -> None:
    job.state, job.state_reason, job.finished_at = state, reason, now
    job.in_flight, job.retry_at, job.awaits_children = [], None, False
    _release(job)


def _release(job: Job) -> None:
    job.lease_node, job.lease_pid, job.lease_boot_id, job.in_flight = "", None, "", []


def _blame(job: Job, outcome: Failed | ToRetry) -> None:
    job.error_code, job.error_sentence, job.error_hint = outcome.code, outcome.sentence, outcome.hint


def _wait_for_retry(job: Job, outcome: ToRetry, now: datetime) -> None:
    wait = retry_wait_seconds(job, now=now) or 0.0
    job.retries += 1
    job.retry_at = now + timedelta(seconds=wait)
    job.state, job.state_reason, job.node = JobState.PENDING, outcome.sentence, None


def _go_on_elsewhere(job: Job, outcome: Interrupted) -> None:
    """RULES N6: the next attempt chooses again and prefers another node."""
    if outcome.lost:
        job.lost_attempts += 1
        job.parameters["avoid"] = job.node_label
    job.state, job.state_reason, job.node, job.retry_at = JobState.PENDING, outcome.reason, None, None


def _begin_waiting_phase(job: Job, now: datetime) -> None:
    order = JobPhase.objects.filter(job=job, attempt=job.attempt).count() + 1
    JobPhase.objects.create(job=job, attempt=job.attempt, name=PhaseName.COPY.value, order=order, started_at=now)
    job.current_phase = PhaseName.COPY.value


def _finish_phase(job: Job, now: datetime) -> None:
    """RULES S1: the last phase comes after the inline copy, when nothing is left to do."""
    order = JobPhase.objects.filter(job=job, attempt=job.attempt).count() + 1
    times = {"started_at": now, "finished_at": now, "state": PhaseState.COMPLETED}
    JobPhase.objects.create(job=job, attempt=job.attempt, name=PhaseName.FINISH.value, order=order, **times)
    job.current_phase = PhaseName.FINISH.value


def _settle_copy(job: Job, outcome: Outcome, now: datetime) -> bool:
    """What became of the snapshot towards its copy (RULES B4); *done* is written by the outcome's own record.

    True = it is passed over for good (B7): the next one may go on.
    """
    if job.operation == Operation.SECONDARY_COPY:
        return settle_replica(job, outcome)
    if job.operation != Operation.BACKUP_COPY or job.backup_copy_id is None:
        return False
    row = BackupCopy.objects.select_related("copy__policy").get(pk=job.backup_copy_id)
    match outcome:
        case Failed(snapshot_is_gone=True):
            mark_missing(row)
            return True
        case Failed(source_is_offline=True):
            return mark_offline(row, now=now)
        case Failed():
            mark_failed(row, reason=outcome.sentence)
        case ToRetry() | Killed() | Suspended() | Interrupted():
            mark_stopped(row, reason=outcome.reason if isinstance(outcome, Killed) else "")
        case _:
            pass
    return False


def _end_of_job(job: Job, outcome: Outcome, *, is_passed_over: bool = False, now: datetime) -> list[int]:
    follow = []
    if job.operation == Operation.BACKUP_COPY:
        if job.backup_copy_id is not None and not isinstance(outcome, Done):
            row = BackupCopy.objects.filter(pk=job.backup_copy_id).first()
            if row is not None:
                mark_stopped(row, reason="")
        is_done = isinstance(outcome, Done)
        follow += next_of_chain(job, goes_on=is_done or is_passed_over, is_killed=isinstance(outcome, Killed), now=now)
        if is_done and job.subclient is not None:
            apply_spool(job.subclient, because_of=job, now=now)
    if job.operation == Operation.SECONDARY_COPY:
        follow += next_transfer(job, outcome, is_passed_over=is_passed_over)
        if isinstance(outcome, Done) and job.subclient is not None:
            apply_spool(job.subclient, because_of=job, now=now)
    if job.operation == Operation.DELETE_SNAPSHOT and isinstance(outcome, Failed) and job.snapshot_id is not None:
        Snapshot.objects.filter(pk=job.snapshot_id).update(deletion_failures=F("deletion_failures") + 1)
    if job.operation in (Operation.MOUNT, Operation.UNMOUNT):
        settle_mount(job, outcome, now=now)
    _tell_parent(job)
    return follow


def _tell_parent(job: Job) -> None:
    if job.parent_id is not None:
        parent_id = job.parent_id
        transaction.on_commit(lambda: end_parent(parent_id))


def _dispatch_after_commit(job_ids: list[int]) -> None:
    for job_id in job_ids:
        transaction.on_commit(lambda job_id=job_id: dispatch(job_id))  # type: ignore[misc]


def _sentence(reason: str) -> str:
    text = reason[:1].upper() + reason[1:]
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
