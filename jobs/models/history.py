"""What a job leaves for ever: its attempts, phases, events and the files it could not handle (RULES J5, J6)."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from .choices import AttemptState, EventLevel, PhaseState
from .job import Job


class JobAttempt(models.Model):
    """One process working on a job. ``reason`` says why it ended, unless it simply completed."""

    State = AttemptState

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    node_label = models.CharField(max_length=64, blank=True)
    pid = models.PositiveIntegerField(null=True, blank=True)
    boot_id = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=24, choices=AttemptState, default=AttemptState.RUNNING)
    reason = models.TextField(blank=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="job_attempt_once"),
            models.UniqueConstraint(fields=["job"], condition=Q(state="running"), name="job_attempt_one_running"),
            models.CheckConstraint(
                condition=Q(state="running", finished_at__isnull=True)
                | (~Q(state="running") & Q(finished_at__isnull=False)),
                name="job_attempt_finished_when_over",
            ),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of job {self.job_id}"


class JobPhase(models.Model):
    """One phase of one attempt; ``order`` counts from 1. ``name`` is an :class:`jobs.engine.events.PhaseName`."""

    State = PhaseState

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="phases")
    attempt = models.PositiveIntegerField()
    name = models.CharField(max_length=16)
    order = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=12, choices=PhaseState, default=PhaseState.RUNNING)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["attempt", "order"]
        constraints = [models.UniqueConstraint(fields=["job", "attempt", "order"], name="job_phase_order_once")]

    def __str__(self) -> str:
        return f"{self.name} of job {self.job_id}"


class JobEvent(models.Model):
    """One sentence of a job's story. ``code`` is stable, for filters and tests."""

    Level = EventLevel

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField()
    level = models.CharField(max_length=8, choices=EventLevel, default=EventLevel.INFO)
    code = models.CharField(max_length=64)
    sentence = models.TextField()

    class Meta:
        ordering = ["at", "pk"]
        indexes = [models.Index(fields=["job", "at"], name="job_event_by_job")]

    def __str__(self) -> str:
        return self.sentence


class JobException(models.Model):
    """One file that could not be handled. ``path`` is raw bytes, ``display_path`` what people read."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="exceptions")
    attempt = models.PositiveIntegerField()
    path = models.BinaryField()
    display_path = models.TextField()
    error = models.TextField()
    code = models.CharField(max_length=64)

    class Meta:
        ordering = ["pk"]
        indexes = [models.Index(fields=["job", "attempt"], name="job_exception_by_job")]

    def __str__(self) -> str:
        return f"{self.display_path}: {self.error}"
