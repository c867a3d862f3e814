"""Schedules: what runs when, by itself; and windows in which nothing may start. Their slots are ``ScheduleRun``."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from jobs.rules.recurrence import InvalidRecurrence, Recurrence, zone_of
from jobs.rules.verification import gap_problem

from .copy import Copy
from .fields import Timestamped, name_field
from .file_server import FileServer
from .media import Media
from .policy_choices import BACKUP_KINDS, CopyKind
from .storage_policy import StoragePolicy
from .subclient import Subclient


class ScheduledOperation(models.TextChoices):
    SNAPSHOT = "snapshot", "Snapshot"
    BACKUP_COPY = "backup_copy", "Backup copy"
    SECONDARY_COPY = "secondary_copy", "Secondary copy"
    AGING = "aging", "Aging"
    PRUNE = "prune", "Pruning"
    VERIFY = "verify", "Verification"
    DRILL = "drill", "Restore drill"
    CATALOG = "catalog", "Deferred catalog"
    RECONCILE = "reconcile", "Reconciliation"


class ScheduledLevel(models.TextChoices):
    FULL = "full", "Full"
    INCREMENTAL = "incremental", "Incremental"
    DIFFERENTIAL = "differential", "Differential"


class VerifyHow(models.TextChoices):
    """How much of the data a scheduled verification reads back."""

    DAYS = "days", "Everything within a number of days"
    PERCENT = "percent", "A part each time"
    STRUCTURE = "structure", "Only the structure"


class MissedRun(models.TextChoices):
    CATCH_UP = "catch_up", "Catch up once"
    SKIP = "skip", "Wait for the next"


_OF_SOURCES = ["snapshot", "backup_copy", "secondary_copy", "catalog", "drill", "reconcile"]
_SECONDARY_KINDS = (CopyKind.SECONDARY_SNAP, CopyKind.SECONDARY_BACKUP)
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
    keeps a slot from running twice. A verification reads ``verify_percent`` of the stored data, or what it takes to
    read all of it within ``verify_days``; a restore drill at most ``drill_files`` files and ``drill_mib`` of data.
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
    verify_how = models.CharField(max_length=10, choices=VerifyHow, default=VerifyHow.PERCENT)
    verify_percent = models.PositiveSmallIntegerField(default=5)
    verify_days = models.PositiveSmallIntegerField(default=30)
    drill_files = models.PositiveSmallIntegerField(default=25)
    drill_mib = models.PositiveIntegerField("drill MiB", default=1024)
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
            models.CheckConstraint(condition=Q(verify_how__in=VerifyHow.values), name="schedule_verify_how_known"),
            models.CheckConstraint(condition=Q(verify_days__gte=1), name="schedule_verifies_within_days_from_1"),
            models.CheckConstraint(
                condition=Q(drill_files__gte=1, drill_mib__gte=1), name="schedule_drills_at_least_one_file"
            ),
            models.CheckConstraint(condition=Q(jitter_seconds__lte=86400), name="schedule_spread_at_most_a_day"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """What the recurrence and the scope must be, with a sentence per field. Raises ValidationError."""
        problems = _recurrence_problems(self.cron, self.time_zone)
        if self.is_of_sources:
            if sum(value is not None for value in (self.policy_id, self.file_server_id, self.subclient_id)) != 1:
                problems["policy"] = "Choose one: a storage policy, a file server or a subclient."
            if self.media_id is not None:
                problems["media"] = f"{self.get_operation_display()} is not of a medium."
        elif self.policy_id or self.file_server_id or self.subclient_id:
            problems["policy"] = f"{self.get_operation_display()} is of everything, or of one medium."
        problems |= self._copy_problems()
        if self.operation == ScheduledOperation.VERIFY and self.verify_how == VerifyHow.DAYS and "cron" not in problems:
            problems |= self._gap_problems()
        if self.operation == ScheduledOperation.AGING and self.media_id is not None:
            problems["media"] = "Aging is of everything: it deletes nothing from media by itself."
        if problems:
            raise ValidationError(problems)

    @property
    def is_of_sources(self) -> bool:
        """It is of a policy, a file server or a subclient, not of media."""
        return self.operation in _OF_SOURCES

    @property
    def scope(self) -> StoragePolicy | FileServer | Subclient | Media | None:
        """What it is of; None = everything."""
        return self.policy or self.file_server or self.subclient or self.media

    @property
    def recurrence(self) -> Recurrence:
        """Raises InvalidRecurrence when somebody wrote nonsense past the forms."""
        return Recurrence(cron=self.cron, zone=self.time_zone)

    def _gap_problems(self) -> dict[str, str]:
        """Everything within seven days needs a run at least every seven days."""
        if "time_zone" in _recurrence_problems(self.cron, self.time_zone):
            return {}
        sentence = gap_problem(self.recurrence, days=self.verify_days, after=timezone.now())
        return {"verify_days": sentence} if sentence else {}

    def _copy_problems(self) -> dict[str, str]:
        if self.copy is None:
            return {}
        if self.operation == ScheduledOperation.BACKUP_COPY:
            fits = self.copy.kind in BACKUP_KINDS
        else:
            fits = self.operation == ScheduledOperation.SECONDARY_COPY and self.copy.kind in _SECONDARY_KINDS
        if not fits:
            return {"copy": f"{self.copy} is no copy that “{self.get_operation_display()}” makes."}
        if self.policy_id is not None and self.copy.policy_id != self.policy_id:
            return {"copy": f"{self.copy} is a copy of another policy."}
        return {}


def _recurrence_problems(cron: str, time_zone: str) -> dict[str, str]:
    try:
        Recurrence(cron=cron, zone=time_zone)
    except InvalidRecurrence as error:
        return {"time_zone" if error.field == "zone" else "cron": error.sentence}
    return {}


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

    def clean(self) -> None:
        """Raises ValidationError."""
        problems: dict[str, str] = {}
        if not isinstance(self.days, list) or not self.days or not set(self.days) <= set(range(7)):
            problems["days"] = "Choose at least one day."
        if not isinstance(self.operations, list) or not set(self.operations) <= set(ScheduledOperation.values):
            problems["operations"] = f"Choose among {', '.join(ScheduledOperation.values)}; none = all."
        try:
            zone_of(self.time_zone)
        except InvalidRecurrence as error:
            problems["time_zone"] = error.sentence
        if problems:
            raise ValidationError(problems)


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
