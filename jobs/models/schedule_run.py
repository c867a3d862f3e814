"""Slots of schedules that came, and what became of each: the row is what keeps a slot from running twice."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from .choices import SlotState


class ScheduleRun(models.Model):
    """``slot`` is the planned moment; ``missed`` counts earlier slots this one catches up for. Jobs: ``jobs``.

    A run asked for by a person (*run now*) has no slot of the recurrence: ``slot`` is then the moment it was asked.
    """

    State = SlotState

    schedule = models.ForeignKey(
        "policies.Schedule", null=True, blank=True, on_delete=models.SET_NULL, related_name="runs"
    )
    schedule_label = models.CharField(max_length=64)
    slot = models.DateTimeField()
    state = models.CharField(max_length=12, choices=SlotState, default=SlotState.LAUNCHING)
    sentence = models.TextField(blank=True)
    missed = models.PositiveIntegerField(default=0)
    launched_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-slot", "-pk"]
        indexes = [models.Index(fields=["schedule", "-slot"], name="schedule_run_by_schedule")]
        constraints = [
            models.UniqueConstraint(fields=["schedule", "slot"], name="schedule_run_once_per_slot"),
            models.CheckConstraint(condition=Q(state__in=SlotState.values), name="schedule_run_state_known"),
        ]

    def __str__(self) -> str:
        return f"{self.schedule_label} at {self.slot:%Y-%m-%d %H:%M} UTC"
