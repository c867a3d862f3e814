"""What restore drills found: one row for each backup copy of which a drill restored files."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from .job import Job


class DrillComparison(models.TextChoices):
    """What the restored files were compared with."""

    SNAPSHOT = "snapshot", "the held snapshot, byte for byte"
    HASHES = "hashes", "the stored hashes"


class DrillResult(models.Model):
    """Files of one backup copy that a drill restored and compared; ``differences`` of them were not identical."""

    Comparison = DrillComparison

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="drills")
    backup_copy = models.ForeignKey("jobs.BackupCopy", on_delete=models.CASCADE, related_name="drills")
    copy = models.ForeignKey("policies.Copy", on_delete=models.CASCADE, related_name="drills")
    compared_with = models.CharField(max_length=10, choices=DrillComparison)
    files = models.PositiveIntegerField()
    compared_bytes = models.PositiveBigIntegerField()
    seconds = models.FloatField()
    differences = models.PositiveIntegerField(default=0)
    at = models.DateTimeField()

    class Meta:
        ordering = ["-at", "-pk"]
        indexes = [models.Index(fields=["copy", "-at"], name="drill_by_copy")]
        constraints = [
            models.UniqueConstraint(fields=["job", "backup_copy"], name="drill_once_per_job_and_copy"),
            models.CheckConstraint(condition=Q(differences__lte=F("files")), name="drill_differences_are_files"),
            models.CheckConstraint(
                condition=Q(compared_with__in=DrillComparison.values), name="drill_comparison_known"
            ),
        ]

    def __str__(self) -> str:
        return f"drill of {self.backup_copy}"
