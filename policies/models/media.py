"""Media: where backup copies live; one repository per medium."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from .fields import Timestamped, name_field


class Media(Timestamped):
    """``kind`` is a key of the media registry, ``options`` its settings without the secrets.

    ``repository_id`` is the id in the repository's own config file; None until a repository was created or found there.
    ``total_bytes`` and ``free_bytes`` are the medium's, ``stored_bytes`` the repository's, all of ``measured_at``.
    """

    name = name_field(unique=True)
    description = models.TextField(blank=True)
    kind = models.CharField(max_length=32)
    options = models.JSONField(default=dict, blank=True)
    is_active = models.BooleanField("active", default=True)
    repository_id = models.CharField(max_length=64, null=True, blank=True, editable=False)
    last_test = models.JSONField(null=True, blank=True)
    last_tested_at = models.DateTimeField(null=True, blank=True)
    total_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    free_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    stored_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    measured_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]
        verbose_name = "medium"
        verbose_name_plural = "media"
        constraints = [
            models.UniqueConstraint(fields=["repository_id"], name="media_one_row_per_repository"),
            models.CheckConstraint(
                condition=Q(repository_id__isnull=True) | ~Q(repository_id=""), name="media_repository_id_not_empty"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def used_percent(self) -> float | None:
        """Of the whole medium, 0 to 100; None = not measured."""
        if not self.total_bytes or self.free_bytes is None:
            return None
        return max(0.0, min(100.0, 100 * (1 - self.free_bytes / self.total_bytes)))

    @property
    def fill_tone(self) -> str:
        """ok below 80 %, warn below 95 %, then bad."""
        used = self.used_percent
        if used is None:
            return "idle"
        return "ok" if used < 80 else "warn" if used < 95 else "bad"
