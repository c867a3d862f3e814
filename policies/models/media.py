"""Media: where backup copies live; one repository per medium."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from jobs.rules.bandwidth import LEAST, InvalidCalendarError, parse_calendar

from .fields import Timestamped, name_field

MOST_TRANSFERS = 64
MOST_RETRIES = 50
SHORTEST_TIMEOUT = 5
LONGEST_TIMEOUT = 3600


class Media(Timestamped):
    """``kind`` is a key of the media registry, ``options`` its settings without the secrets.

    ``repository_id`` is the id in the repository's own config file; None until a repository was created or found there.
    ``bandwidth_limit`` is in bytes per second, None = no limit; ``bandwidth_calendar`` has others by the hour, see
    :mod:`jobs.rules.bandwidth`. ``parallel_transfers``, ``retries`` and ``timeout_seconds`` None = as the kind does.
    ``total_bytes`` and ``free_bytes`` are the medium's, ``stored_bytes`` the repository's, all of ``measured_at``.
    """

    name = name_field(unique=True)
    description = models.TextField(blank=True)
    kind = models.CharField(max_length=32)
    options = models.JSONField(default=dict, blank=True)
    is_active = models.BooleanField("active", default=True)
    bandwidth_limit = models.PositiveBigIntegerField(null=True, blank=True, help_text="Bytes per second.")
    bandwidth_calendar = models.TextField(blank=True, help_text="Lines like Mon-Fri 08-18: 20 MiB/s.")
    parallel_transfers = models.PositiveSmallIntegerField(null=True, blank=True)
    retries = models.PositiveSmallIntegerField(null=True, blank=True)
    timeout_seconds = models.PositiveSmallIntegerField(null=True, blank=True)
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
            models.CheckConstraint(
                condition=Q(bandwidth_limit__isnull=True) | Q(bandwidth_limit__gte=LEAST),
                name="media_bandwidth_from_64_kib",
            ),
            models.CheckConstraint(
                condition=Q(parallel_transfers__isnull=True)
                | Q(parallel_transfers__gte=1, parallel_transfers__lte=MOST_TRANSFERS),
                name="media_transfers_1_to_64",
            ),
            models.CheckConstraint(
                condition=Q(retries__isnull=True) | Q(retries__lte=MOST_RETRIES), name="media_retries_at_most_50"
            ),
            models.CheckConstraint(
                condition=Q(timeout_seconds__isnull=True)
                | Q(timeout_seconds__gte=SHORTEST_TIMEOUT, timeout_seconds__lte=LONGEST_TIMEOUT),
                name="media_timeout_5_s_to_an_hour",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Raises ValidationError."""
        try:
            parse_calendar(self.bandwidth_calendar)
        except InvalidCalendarError as error:
            raise ValidationError({"bandwidth_calendar": error.sentence}) from error

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
