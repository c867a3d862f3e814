"""What became of one snapshot towards a secondary snap copy: waiting, being sent, present on the other storage."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from jobs.rules import states

from .choices import CopyState, Mark


class SnapshotReplica(models.Model):
    """One snapshot towards one secondary snap copy. ``ref`` is the target engine's handle, ``base`` the one before.

    States as for backup copies (RULES B4). ``retain_*``, ``aged_at``: as for snapshots (R2, R7); ``deleted_at``: it is
    gone from the target.
    """

    State = CopyState

    snapshot = models.ForeignKey("jobs.Snapshot", on_delete=models.PROTECT, related_name="replicas")
    copy = models.ForeignKey("policies.Copy", on_delete=models.PROTECT, related_name="replicas")
    file_server = models.ForeignKey("policies.FileServer", on_delete=models.PROTECT, related_name="replicas")
    job = models.ForeignKey("jobs.Job", null=True, blank=True, on_delete=models.SET_NULL, related_name="replicas_made")
    base = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="based_on_this")
    state = models.CharField(max_length=12, choices=CopyState, default=CopyState.TO_BE_COPIED)
    state_reason = models.TextField(blank=True)
    mark = models.CharField(max_length=8, choices=Mark, default=Mark.NONE, blank=True)
    failures = models.PositiveSmallIntegerField(default=0)
    ref = models.JSONField(default=dict, blank=True)
    sent_bytes = models.PositiveBigIntegerField(default=0)
    copied_at = models.DateTimeField(null=True, blank=True)
    retain_until = models.DateTimeField(null=True, blank=True)
    retain_reason = models.TextField(blank=True)
    aged_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-snapshot__taken_at", "copy__precedence"]
        indexes = [models.Index(fields=["copy", "state"], name="replica_by_state")]
        constraints = [
            models.UniqueConstraint(fields=["snapshot", "copy"], name="replica_once_per_snapshot_and_copy"),
            models.CheckConstraint(condition=Q(state__in=CopyState.values), name="replica_state_known"),
            models.CheckConstraint(
                condition=~Q(state=CopyState.COPIED) | Q(copied_at__isnull=False), name="replica_copied_has_a_time"
            ),
            models.CheckConstraint(
                condition=Q(state=CopyState.AGED, aged_at__isnull=False)
                | (~Q(state=CopyState.AGED) & Q(aged_at__isnull=True, deleted_at__isnull=True)),
                name="replica_aged_has_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.snapshot} on {self.copy}"

    @property
    def is_present(self) -> bool:
        """It can be read on the target now."""
        return self.state in states.ON_MEDIA

    @property
    def holds_nothing(self) -> bool:
        """Nothing of it is on the target or on its way there: the row goes along when its copy is deleted."""
        if self.state == CopyState.AGED:
            return self.deleted_at is not None
        return self.state != CopyState.COPYING and self.state not in states.ON_MEDIA
