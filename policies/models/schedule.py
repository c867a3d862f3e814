"""Schedules: what runs when, by itself; and windows in which nothing may start. Their slots are ``ScheduleRun``."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from .copy import Copy
from .fields import Timestamped, name_field
from .file_server import FileServer
from .media import Media
from .storage_policy import StoragePolicy
from .subclient import Subclient


class ScheduledOperation(models.TextChoices):
    SNAPSHOT = "snapshot", "Snapshot"
    BACKUP_COPY = "backup_copy", "Backup copy"
    SECONDARY_COPY = "secondary_copy", "Secondary copy"
    AGING = "aging", "Aging"
    PRUNE = "prune", "Pruning"
    VERIFY = "verify", "Verification"


class ScheduledLevel(models.TextChoices):
    FULL = "full", "Full"
    INCREMENTAL = "incremental", "Incremental"
    DIFFERENTIAL = "differential", "Differential"


class MissedRun(models.TextChoices):
    CATCH_UP = "catch_up", "Catch up once"
    SKIP = "skip", "Wait for the next"


_OF_SOURCES = ["snapshot", "backup_copy", "secondary_copy"]
_NO_SOURCE = Q(policy__isnull=True, file_server__isnull=True, subclient__isnull=True)
_ONE_SOURCE = (
    Q(policy__isnull=False, file_server__isnull=True, subclient__isnull=True)
    | Q(policy__isnull=True, file_server__isnull=False, subclient__isnull=True)
    | Q(policy__isnull=True, file_server__isnull=True, subclient__isnull=False)
)


class Schedule(Timestamped):
    """``cron`` in the IANA zone ``time_zone``. Snapshots and copies are of one policy, file server or subclient.

    Aging, pruning and verification are of everything, or of one medium. ``copy`` narrows copies to one copy of the
    policy. ``next_slot_at`` is a cache for lists; the unique row per slot (:class:`jobs.models.ScheduleRun`) is what
    keeps a slot from running twice. ``verify_percent`` of the stored data is read back per verification.
    """

    name = name_field(unique=True)
    description = models.TextField(blank=True)
    operation = models.CharField(max_length=16, choices=ScheduledOperation)
    policy = models.ForeignKey(StoragePolicy, null=True, blank=True, on_delete=models.CASCADE, related_name="schedules")
    file_server = models.ForeignKey(
        FileServer, null=True, blank=True, on_delete=models.CASCADE, related_name="schedules"
    )
    subclient = models.ForeignKey(Subclient, null=True, blank=True, on_delete=models.CASCADE, related_name="schedules")
    copy = models.ForeignKey(Copy, null=True, blank=True, on_delete=models.CASCADE, related_name="schedules")
    media = models.ForeignKey(Media, null=True, blank=True, on_delete=models.CASCADE, related_name="schedules")
    level = models.CharField(max_length=12, choices=ScheduledLevel, default=ScheduledLevel.INCREMENTAL)
    verify_percent = models.PositiveSmallIntegerField(default=5)
    cron = models.CharField(max_length=120)
    time_zone = models.CharField(max_length=64, default="UTC")
    jitter_seconds = models.PositiveIntegerField("spread over", default=0)
    missed = models.CharField("missed runs", max_length=10, choices=MissedRun, default=MissedRun.CATCH_UP)
    is_active = models.BooleanField("active", default=True)
    active_since = models.DateTimeField(null=True, blank=True, editable=False)
    last_slot_at = models.DateTimeField(null=True, blank=True, editable=False)
    next_slot_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=(Q(operation__in=_OF_SOURCES) & _ONE_SOURCE & Q(media__isnull=True))
                | (~Q(operation__in=_OF_SOURCES) & _NO_SOURCE & Q(copy__isnull=True)),
                name="schedule_scope_fits_operation",
            ),
            models.CheckConstraint(
                condition=Q(verify_percent__gte=1, verify_percent__lte=100), name="schedule_verifies_1_to_100_percent"
            ),
            models.CheckConstraint(condition=Q(jitter_seconds__lte=86400), name="schedule_spread_at_most_a_day"),
        ]

    def __str__(self) -> str:
        return self.name


class BlackoutWindow(Timestamped):
    """On these local days, from ``starts_at`` to ``ends_at`` (the next day if not later), nothing of it starts.

    ``operations`` are :class:`ScheduledOperation` values, empty = all; ``days`` count from Monday = 0, of the start.
    """

    name = name_field(unique=True)
    operations = models.JSONField(default=list, blank=True)
    days = models.JSONField(default=list)
    starts_at = models.TimeField()
    ends_at = models.TimeField()
    time_zone = models.CharField(max_length=64, default="UTC")
    is_active = models.BooleanField("active", default=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class RestartPolicy(Timestamped):
    """How often and when a job that met a passing failure is tried again (RULES J4); no row = the default.

    ``operation`` is a ``jobs.models.Operation``. ``total_hours``: no retry begins later than this after the launch.
    """

    operation = models.CharField(max_length=16, unique=True)
    times = models.PositiveSmallIntegerField()
    first_seconds = models.PositiveIntegerField(default=30)
    most_seconds = models.PositiveIntegerField(default=3600)
    total_hours = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["operation"]
        verbose_name_plural = "restart policies"
        constraints = [
            models.CheckConstraint(
                condition=Q(first_seconds__gte=1, most_seconds__gte=1), name="restart_waits_from_1_s"
            ),
        ]

    def __str__(self) -> str:
        return self.operation
