"""Snapshots on the storage, as the installation knows them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from .choices import Level, SnapshotState


class Snapshot(models.Model):
    """``name`` follows RULES O2; ``ref`` is the driver's own handle; ``content`` the content paths it covers.

    ``taken_at`` is the storage's moment. ``exclusive_bytes`` None = the engine cannot tell.
    """

    State = SnapshotState

    subclient = models.ForeignKey("policies.Subclient", on_delete=models.PROTECT, related_name="snapshots")
    job = models.ForeignKey(
        "jobs.Job", null=True, blank=True, on_delete=models.SET_NULL, related_name="snapshots_taken"
    )
    name = models.CharField(max_length=64, unique=True)
    engine = models.CharField(max_length=32)
    ref = models.JSONField(default=dict)
    content = models.JSONField(default=list)
    state = models.CharField(max_length=10, choices=SnapshotState, default=SnapshotState.PRESENT)
    is_pinned = models.BooleanField("pinned", default=False, help_text="Kept whatever the retention says.")
    asked_level = models.CharField(max_length=12, choices=Level, default=Level.INCREMENTAL)
    ran_level = models.CharField(max_length=12, choices=Level, default=Level.FULL)
    exclusive_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    taken_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-taken_at", "-pk"]
        indexes = [models.Index(fields=["subclient", "-taken_at"], name="snapshot_by_subclient")]
        constraints = [
            models.CheckConstraint(condition=Q(name__startswith="sc-"), name="snapshot_name_is_ours"),
            models.CheckConstraint(condition=Q(state__in=SnapshotState.values), name="snapshot_state_known"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_present(self) -> bool:
        return self.state == SnapshotState.PRESENT
