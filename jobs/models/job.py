"""The job row: the only truth about a job (RULES J2). Queues only wake workers."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from jobs.rules import states

from .choices import How, Initiator, JobState, Level, Operation, Want
from .counters import CounterColumns

_ACTIVE = sorted(state.value for state in states.ACTIVE)
_FINAL = sorted(state.value for state in states.FINAL)


class Job(CounterColumns):
    """One operation from request to end, over all its attempts.

    Labels are kept beside the references so that history stays readable when configuration goes.
    ``want`` is what people ask of it; ``lease_*`` and ``heartbeat_at`` say which process has it.
    ``rate_samples`` holds at most 120 of ``[seconds since start, bytes_done, bytes_read, bytes_stored]``.
    ``awaits_children``: its own part is done, it ends when its inline backup copies end (RULES B1, B9).
    ``enqueued_at`` None while queued = nobody told the node yet; the scheduler will.
    """

    DEFAULT_PRIORITY: ClassVar[int] = 100

    Operation = Operation
    State = JobState
    Want = Want
    Level = Level
    Initiator = Initiator

    operation = models.CharField(max_length=16, choices=Operation)
    state = models.CharField(max_length=24, choices=JobState, default=JobState.QUEUED)
    state_reason = models.TextField(blank=True)
    error_code = models.CharField(max_length=64, blank=True)
    error_sentence = models.TextField(blank=True)
    error_hint = models.TextField(blank=True)

    subclient = models.ForeignKey(
        "policies.Subclient", null=True, blank=True, on_delete=models.SET_NULL, related_name="jobs"
    )
    subclient_label = models.CharField(max_length=130, blank=True)
    file_server_label = models.CharField(max_length=64, blank=True)
    copy = models.ForeignKey("policies.Copy", null=True, blank=True, on_delete=models.SET_NULL, related_name="jobs")
    copy_label = models.CharField(max_length=130, blank=True)
    media_label = models.CharField(max_length=64, blank=True)
    snapshot = models.ForeignKey("jobs.Snapshot", null=True, blank=True, on_delete=models.SET_NULL, related_name="jobs")
    backup_copy = models.ForeignKey(
        "jobs.BackupCopy", null=True, blank=True, on_delete=models.SET_NULL, related_name="jobs"
    )
    replica = models.ForeignKey(
        "jobs.SnapshotReplica", null=True, blank=True, on_delete=models.SET_NULL, related_name="jobs"
    )
    media = models.ForeignKey("policies.Media", null=True, blank=True, on_delete=models.SET_NULL, related_name="jobs")
    schedule_run = models.ForeignKey(
        "jobs.ScheduleRun", null=True, blank=True, on_delete=models.SET_NULL, related_name="jobs"
    )
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="children")

    initiator = models.CharField(max_length=10, choices=Initiator, default=Initiator.PERSON)
    how = models.CharField(max_length=10, choices=How, default=How.WEB)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="jobs_started"
    )
    started_by_label = models.CharField(max_length=150, blank=True)
    priority = models.PositiveSmallIntegerField(default=100, help_text="Lower goes first.")

    asked_level = models.CharField(max_length=12, choices=Level, blank=True)
    ran_level = models.CharField(max_length=12, choices=Level, blank=True)
    level_number = models.PositiveSmallIntegerField(null=True, blank=True)
    level_reason = models.TextField(blank=True)

    node = models.ForeignKey(
        "policies.AccessNode", null=True, blank=True, on_delete=models.SET_NULL, related_name="jobs"
    )
    node_label = models.CharField(max_length=64, blank=True)
    node_reason = models.TextField(blank=True)

    want = models.CharField(max_length=8, choices=Want, default=Want.RUN)
    want_at = models.DateTimeField(null=True, blank=True)
    attempt = models.PositiveIntegerField(default=1)
    awaits_children = models.BooleanField(default=False)
    retries = models.PositiveSmallIntegerField(default=0)
    lost_attempts = models.PositiveSmallIntegerField(default=0)
    retry_at = models.DateTimeField(null=True, blank=True)
    current_phase = models.CharField(max_length=16, blank=True)
    percent = models.FloatField(null=True, blank=True)
    in_flight = models.JSONField(default=list, blank=True)
    rate_samples = models.JSONField(default=list, blank=True)
    checkpoint = models.JSONField(default=dict, blank=True)
    parameters = models.JSONField(default=dict, blank=True)
    result = models.JSONField(default=dict, blank=True)

    lease_node = models.CharField(max_length=64, blank=True)
    lease_pid = models.PositiveIntegerField(null=True, blank=True)
    lease_boot_id = models.CharField(max_length=64, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    enqueued_at = models.DateTimeField(null=True, blank=True)
    enqueues = models.PositiveIntegerField(default=0)

    created_at = models.DateTimeField(default=timezone.now)
    queued_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="jobs_acknowledged"
    )

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["state", "-id"], name="job_by_state"),
            models.Index(fields=["subclient", "-id"], name="job_by_subclient"),
            models.Index(fields=["operation", "-id"], name="job_by_operation"),
            models.Index(fields=["-finished_at"], name="job_by_end"),
            models.Index(fields=["id"], condition=Q(state__in=_ACTIVE), name="job_active"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=JobState.values), name="job_state_known"),
            models.CheckConstraint(condition=Q(operation__in=Operation.values), name="job_operation_known"),
            models.CheckConstraint(condition=Q(want__in=Want.values), name="job_want_known"),
            models.CheckConstraint(condition=Q(attempt__gte=1), name="job_attempt_from_1"),
            models.UniqueConstraint(
                fields=["subclient", "copy"],
                condition=Q(operation="backup_copy", state__in=_ACTIVE),
                name="job_one_active_backup_copy",
            ),
            models.UniqueConstraint(
                fields=["subclient", "copy"],
                condition=Q(operation="secondary_copy", state__in=_ACTIVE),
                name="job_one_active_secondary_copy",
            ),
            models.UniqueConstraint(
                fields=["media"],
                condition=Q(operation__in=["prune", "verify", "repair", "attach"], state__in=_ACTIVE),
                name="job_one_active_upkeep_per_medium",
            ),
            models.UniqueConstraint(
                fields=["subclient"],
                condition=Q(operation="catalog", state__in=_ACTIVE),
                name="job_one_active_catalog",
            ),
            models.UniqueConstraint(
                fields=["subclient"],
                condition=Q(operation="drill", state__in=_ACTIVE),
                name="job_one_active_drill",
            ),
            models.UniqueConstraint(
                fields=["operation"],
                condition=Q(operation="aging", state__in=_ACTIVE),
                name="job_one_active_aging",
            ),
            models.CheckConstraint(
                condition=Q(state__in=_ACTIVE, finished_at__isnull=True)
                | Q(state__in=_FINAL, finished_at__isnull=False),
                name="job_finished_exactly_when_over",
            ),
            models.CheckConstraint(
                condition=~Q(state=JobState.RUNNING)
                | Q(lease_pid__isnull=False, started_at__isnull=False, heartbeat_at__isnull=False),
                name="job_running_has_a_lease",
            ),
            models.CheckConstraint(
                condition=~Q(state=JobState.QUEUED) | Q(node__isnull=False, queued_at__isnull=False),
                name="job_queued_on_a_node",
            ),
        ]

    def __str__(self) -> str:
        return f"job {self.pk}"

    @property
    def is_active(self) -> bool:
        """Not over yet: pages go on asking."""
        return self.state in states.ACTIVE

    @property
    def is_over(self) -> bool:
        return self.state in states.FINAL

    @property
    def elapsed(self) -> timedelta | None:
        """From its first start to its end, or to now; None before it started."""
        if self.started_at is None:
            return None
        return (self.finished_at or timezone.now()) - self.started_at

    @property
    def needs_attention(self) -> bool:
        """Failed or completed with errors, and nobody said they have seen it."""
        bad = self.state in (JobState.FAILED, JobState.COMPLETED_WITH_ERRORS)
        return bad and self.acknowledged_at is None

    @property
    def can_kill(self) -> bool:
        return self.is_active and self.want != Want.KILL

    @property
    def can_suspend(self) -> bool:
        suspendable = self.operation in (Operation.BACKUP_COPY, Operation.RESTORE)
        return suspendable and self.is_active and self.state != JobState.SUSPENDED and self.want == Want.RUN

    @property
    def can_resume(self) -> bool:
        return self.state == JobState.SUSPENDED

    @property
    def can_resubmit(self) -> bool:
        return self.state in (JobState.FAILED, JobState.KILLED, JobState.COMPLETED_WITH_ERRORS)

    @property
    def reads_only_the_failed_again(self) -> bool:
        """Running it again reads only the files it could not read, or not restore (RULES J6)."""
        of_files = self.operation == Operation.BACKUP_COPY and self.backup_copy is not None
        of_files = of_files or (self.operation == Operation.RESTORE and not self.parameters.get("dry_run"))
        return of_files and self.state == JobState.COMPLETED_WITH_ERRORS and self.exceptions_count > 0
