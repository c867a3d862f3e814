"""Giving a job to a node: placement by RULES N, the row first, the queue after the commit."""

from __future__ import annotations

from typing import Final

from django.db import transaction
from django.utils import timezone

from jobs import lease, queues
from jobs.models import Job, JobState, Operation, Want
from jobs.rules import placement, states
from jobs.selectors import node_figures, sessions_of_file_server
from jobs.services.feeding import is_fed_from_media, waits_for_source
from jobs.services.medium_turns import waits_for_medium
from jobs.services.placing import lists_of
from policies.models import AccessNode, FileServer
from policies.resolve import is_dump_stream

_READ_WITH_IT: Final = ("subclient__file_server", "copy__policy__backup_source", "copy__source", "snapshot")
"""What placing asks of a job, in its own statement."""


def dispatch(job_id: int) -> Job:
    """Choose a node for a job that has none and queue it there, or say in the row why not yet. Idempotent.

    One at a time over all processes, so that a slot is never given twice.
    """
    with transaction.atomic():
        lease.wait_for_places()
        job = Job.objects.select_for_update(of=("self",)).select_related(*_READ_WITH_IT).get(pk=job_id)
        if job.state not in states.UNSTARTED or job.want != Want.RUN:
            return job
        before = (job.state, job.state_reason)
        _place(job)
        if job.state != JobState.QUEUED and (job.state, job.state_reason) == before:
            return job
        placed = ("state", "state_reason", "node", "node_label", "node_reason", "queued_at", "enqueued_at")
        job.save(update_fields=placed)
        if job.state == JobState.QUEUED:
            transaction.on_commit(lambda: queues.enqueue(job.pk))
    return job


def _place(job: Job) -> None:
    job.node, job.queued_at, job.enqueued_at = None, None, None
    if wait := waits_for_source(job) or _sessions_full(job) or waits_for_medium(job):
        job.state, job.state_reason = JobState.WAITING, wait
        return
    known = node_figures()
    if queues.is_light(job):
        known = [node.with_room for node in known]
    wanted = job.parameters.get("node")
    if wanted:
        known = [node for node in known if node.name == wanted]
    answer = placement.choose(lists=lists_of(job), known=known, avoid=str(job.parameters.get("avoid", "")))
    if isinstance(answer, placement.NoNode):
        job.state, job.state_reason = JobState(answer.state.value), answer.reason
        return
    job.node = AccessNode.objects.get(name=answer.name)
    job.node_label, job.node_reason = answer.name, answer.reason
    if wanted:
        job.node_reason = (
            f"Chosen by {job.started_by_label or 'whoever started it'}. {answer.reason.split('. ', 1)[-1]}"
        )
    job.state, job.state_reason, job.queued_at = JobState.QUEUED, f"for a worker of {answer.name}", timezone.now()


def _sessions_full(job: Job) -> str:
    """RULES B11: at most N sessions per file server. Empty = there is room."""
    server = _worked_on(job)
    if server is None or (running := sessions_of_file_server(server.pk)) < server.max_sessions:
        return ""
    kind = "NDMP" if is_dump_stream(server.engine) else "backup copy"
    return f"{server.name} already has {running} of {server.max_sessions} {kind} sessions."


def _worked_on(job: Job) -> FileServer | None:
    """The file server that a backup copy reads, or that writes a restore itself."""
    if job.operation == Operation.RESTORE and isinstance(there := job.parameters.get("file_server"), dict):
        return FileServer.objects.filter(pk=there["id"]).first()
    if job.operation != Operation.BACKUP_COPY or job.subclient is None:
        return None
    return None if job.copy is not None and is_fed_from_media(job.copy) else job.subclient.file_server
