"""What became of one snapshot towards one copy of its policy: waiting, copying, on media (RULES B4)."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from jobs.rules import states

from .choices import CopyState, Level, Mark


class BackupCopy(models.Model):
    """One snapshot towards one copy; exists from the moment the snapshot was selected.

    ``parent`` is the backup copy its files were compared with; None = full. The byte figures are those of
    :class:`jobs.engine.events.Counters` when it was committed. ``failures`` counts attempts that failed (RULES B4).
    ``due_at`` puts a selected snapshot off (B2), ``offline_*`` are of B7. ``level_number`` and ``tokens`` change only
    with the state *copied* (L4). ``aged_at``: its retention is over; ``forgotten_at``: it is gone from the repository.
    ``damaged_*``: so many of its files, and folders with everything below, were found damaged on the medium.
    """

    State = CopyState

    snapshot = models.ForeignKey("jobs.Snapshot", on_delete=models.PROTECT, related_name="backup_copies")
    copy = models.ForeignKey("policies.Copy", on_delete=models.PROTECT, related_name="backup_copies")
    media = models.ForeignKey("policies.Media", on_delete=models.PROTECT, related_name="backup_copies")
    job = models.ForeignKey("jobs.Job", null=True, blank=True, on_delete=models.SET_NULL, related_name="results")
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="based_on_this")
    state = models.CharField(max_length=12, choices=CopyState, default=CopyState.TO_BE_COPIED)
    state_reason = models.TextField(blank=True)
    mark = models.CharField(max_length=8, choices=Mark, default=Mark.NONE, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    selected_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveSmallIntegerField(default=0)
    offline_since = models.DateTimeField(null=True, blank=True)
    offline_attempts = models.PositiveSmallIntegerField(default=0)
    ran_level = models.CharField(max_length=12, choices=Level, blank=True)
    level_number = models.PositiveSmallIntegerField(null=True, blank=True)
    tokens = models.JSONField(default=dict, blank=True)
    snapshot_file_id = models.CharField(max_length=64, null=True, blank=True)
    tree_id = models.CharField(max_length=64, null=True, blank=True)
    files = models.PositiveBigIntegerField(default=0)
    logical_bytes = models.PositiveBigIntegerField(default=0)
    new_bytes = models.PositiveBigIntegerField(default=0)
    stored_bytes = models.PositiveBigIntegerField(default=0)
    exceptions = models.PositiveBigIntegerField(default=0)
    damaged_files = models.PositiveBigIntegerField(default=0)
    damaged_folders = models.PositiveBigIntegerField(default=0)
    copied_at = models.DateTimeField(null=True, blank=True)
    retain_until = models.DateTimeField(null=True, blank=True)
    retain_reason = models.TextField(blank=True)
    aged_at = models.DateTimeField(null=True, blank=True)
    forgotten_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-snapshot__taken_at", "copy__precedence"]
        verbose_name_plural = "backup copies"
        indexes = [models.Index(fields=["copy", "state"], name="backup_copy_by_state")]
        constraints = [
            models.UniqueConstraint(fields=["snapshot", "copy"], name="backup_copy_once_per_snapshot_and_copy"),
            models.CheckConstraint(condition=Q(state__in=CopyState.values), name="backup_copy_state_known"),
            models.CheckConstraint(
                condition=~Q(state__in=[CopyState.COPIED, CopyState.PARTIAL])
                | Q(snapshot_file_id__isnull=False, tree_id__isnull=False, copied_at__isnull=False),
                name="backup_copy_on_media_has_a_file",
            ),
            models.CheckConstraint(
                condition=Q(state=CopyState.AGED, aged_at__isnull=False)
                | (~Q(state=CopyState.AGED) & Q(aged_at__isnull=True, forgotten_at__isnull=True)),
                name="backup_copy_aged_has_a_time",
            ),
            models.CheckConstraint(
                condition=~Q(state=CopyState.COPIED) | Q(exceptions=0), name="backup_copy_copied_has_no_exceptions"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.snapshot} to {self.copy}"

    @property
    def is_on_media(self) -> bool:
        """There is something to browse and restore."""
        return self.state in states.ON_MEDIA

    @property
    def is_damaged(self) -> bool:
        """Something of it cannot be restored whole: see :class:`jobs.models.DamagedPath`."""
        return bool(self.damaged_files or self.damaged_folders)

    @property
    def holds_nothing(self) -> bool:
        """Nothing of it is on media or on its way there: the row goes along when its copy is deleted."""
        if self.state == CopyState.AGED:
            return self.forgotten_at is not None
        return self.state != CopyState.COPYING and self.state not in states.ON_MEDIA
