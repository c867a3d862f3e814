"""Snapshots on the storage, as the installation knows them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from .choices import CatalogState, Initiator, Level, SnapshotState


class Snapshot(models.Model):
    """``name`` follows RULES O2; ``ref`` is the driver's own handle; ``content`` the content paths it covers.

    ``taken_at`` is the storage's moment. ``exclusive_bytes`` None = the engine cannot tell. ``initiator`` is its job's
    (RULES P), ``level_number`` counts as in L1. ``state_reason`` says why it is no longer there, ``missing_at`` when it
    was found to be gone; ``pin_reason`` why it is pinned. ``aged_at``: retention is over and it will be deleted;
    ``aged_reason`` says by which rule (R4). ``retain_until`` and ``retain_reason`` are what the last aging said (R7).
    ``catalog_reason``: how it was catalogued, or why it could not be (S4).
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
    state_reason = models.TextField(blank=True)
    missing_at = models.DateTimeField(null=True, blank=True)
    is_pinned = models.BooleanField("pinned", default=False, help_text="Kept whatever the retention says.")
    pin_reason = models.CharField(max_length=200, blank=True)
    pinned_until = models.DateTimeField(null=True, blank=True, help_text="Empty = until somebody unpins it.")
    initiator = models.CharField(max_length=10, choices=Initiator, default=Initiator.PERSON)
    level_number = models.PositiveSmallIntegerField(null=True, blank=True)
    catalog_state = models.CharField(max_length=8, choices=CatalogState, default=CatalogState.SKIPPED)
    catalog_reason = models.TextField(blank=True)
    retain_until = models.DateTimeField(null=True, blank=True)
    retain_reason = models.TextField(blank=True)
    aged_at = models.DateTimeField(null=True, blank=True)
    aged_reason = models.TextField(blank=True)
    deletion_failures = models.PositiveSmallIntegerField(default=0)
    deleted_at = models.DateTimeField(null=True, blank=True)
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
            models.CheckConstraint(
                condition=Q(pinned_until__isnull=True) | Q(is_pinned=True), name="snapshot_pinned_until_is_pinned"
            ),
            models.CheckConstraint(
                condition=Q(state=SnapshotState.MISSING, missing_at__isnull=False)
                | (~Q(state=SnapshotState.MISSING) & Q(missing_at__isnull=True)),
                name="snapshot_missing_has_a_time",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_present(self) -> bool:
        return self.state == SnapshotState.PRESENT

    @property
    def holds_nothing(self) -> bool:
        """It is gone from the storage: only the history is left."""
        return self.state == SnapshotState.DELETED
