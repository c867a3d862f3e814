"""Copies of a storage policy: the destinations of snapshots and backup copies, and how long each keeps them."""

from __future__ import annotations

from django.db import models
from django.db.models import Deferrable, Q

from .access_node import AccessNode
from .fields import Timestamped, name_field
from .file_server import FileServer
from .media import Media
from .policy_choices import BACKUP_KINDS, CopyKind, Period, Pick, Retention
from .storage_policy import StoragePolicy

_NO_DAYS = Q(retention_days__isnull=True)
_NO_CYCLES = Q(retention_cycles__isnull=True)
_NO_COUNT = Q(retention_count__isnull=True)
_SNAP = Q(kind__in=["primary_snap", "secondary_snap"])
_RETENTION_FITS = (
    (Q(retention="infinite") & _NO_DAYS & _NO_CYCLES & _NO_COUNT)
    | (
        Q(retention="basic", kind__in=["primary_backup", "secondary_backup"])
        & Q(retention_days__isnull=False, retention_cycles__isnull=False)
        & (Q(retention_days__gte=1) | Q(retention_cycles__gte=1))
        & _NO_COUNT
    )
    | (Q(retention="days", retention_days__isnull=False, retention_days__gte=1) & _SNAP & _NO_CYCLES & _NO_COUNT)
    | (Q(retention="count", retention_count__isnull=False, retention_count__gte=1) & _SNAP & _NO_CYCLES & _NO_DAYS)
    | (Q(retention="spool", kind="primary_snap") & _NO_DAYS & _NO_CYCLES & _NO_COUNT)
)
"""RULES R1, R2, P: backup copies by days and cycles, snap copies by days or number, only the primary is a spool."""


class Copy(Timestamped):
    """One destination of a policy. The lowest ``precedence`` that has the data serves a restore (RULES V1).

    ``source`` is the copy it is fed from: None = the primary snap copy, or for backup copies the policy's source (B6).
    ``target_server`` is where a secondary snap copy's snapshots go: same engine, another storage or node.
    ``retention`` says which of the ``retention_*`` figures count; days and cycles count from the job's start (R1).
    """

    policy = models.ForeignKey(StoragePolicy, on_delete=models.CASCADE, related_name="copies")
    name = name_field()
    kind = models.CharField(max_length=20, choices=CopyKind)
    precedence = models.PositiveSmallIntegerField()
    media = models.ForeignKey(Media, null=True, blank=True, on_delete=models.PROTECT, related_name="copies")
    media_agents = models.ManyToManyField(AccessNode, blank=True, related_name="agent_of_copies")
    is_active = models.BooleanField("active", default=True)
    source = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="fed_copies")
    target_server = models.ForeignKey(
        FileServer, null=True, blank=True, on_delete=models.PROTECT, related_name="replicated_copies"
    )
    retention = models.CharField(max_length=10, choices=Retention, default=Retention.INFINITE)
    retention_days = models.PositiveIntegerField("days", null=True, blank=True)
    retention_cycles = models.PositiveIntegerField("cycles", null=True, blank=True)
    retention_count = models.PositiveIntegerField("number of snapshots", null=True, blank=True)
    ages = models.BooleanField("aging on", default=True)

    class Meta:
        ordering = ["policy", "precedence"]
        verbose_name_plural = "copies"
        constraints = [
            models.UniqueConstraint(fields=["policy", "name"], name="copy_unique_name_in_policy"),
            models.UniqueConstraint(
                fields=["policy", "precedence"],
                name="copy_unique_precedence_in_policy",
                deferrable=Deferrable.DEFERRED,
            ),
            models.UniqueConstraint(
                fields=["policy"], condition=Q(kind="primary_snap"), name="copy_one_primary_snap_per_policy"
            ),
            models.UniqueConstraint(
                fields=["policy"], condition=Q(kind="primary_backup"), name="copy_one_primary_backup_per_policy"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["primary_backup", "secondary_backup"], media__isnull=False)
                | Q(kind__in=["primary_snap", "secondary_snap"], media__isnull=True),
                name="copy_media_exactly_for_backup_kinds",
            ),
            models.CheckConstraint(condition=Q(precedence__gte=1), name="copy_precedence_at_least_1"),
            models.CheckConstraint(condition=_RETENTION_FITS, name="copy_retention_fits_kind"),
            models.CheckConstraint(
                condition=Q(kind="secondary_snap", target_server__isnull=False)
                | (~Q(kind="secondary_snap") & Q(target_server__isnull=True)),
                name="copy_target_exactly_for_secondary_snap",
            ),
            models.CheckConstraint(
                condition=Q(source__isnull=True) | Q(kind__in=["secondary_snap", "secondary_backup"]),
                name="copy_source_only_for_secondary",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.policy}/{self.name}"

    @property
    def is_backup(self) -> bool:
        return self.kind in BACKUP_KINDS

    @property
    def is_spool(self) -> bool:
        """Its snapshots go once they are copied (RULES P)."""
        return self.retention == Retention.SPOOL

    @property
    def retention_text(self) -> str:
        """As people say it: “30 days and 1 cycle”."""
        match self.retention:
            case Retention.BASIC:
                return f"{_counted(self.retention_days, 'day')} and {_counted(self.retention_cycles, 'cycle')}"
            case Retention.DAYS:
                return _counted(self.retention_days, "day")
            case Retention.COUNT:
                return f"the newest {self.retention_count}"
            case Retention.SPOOL:
                return "spool: until copied"
            case _:
                return "for ever"


class ExtendedRetention(models.Model):
    """Keeps the first or last full of each period longer than the basic rule does; at most three (RULES R3)."""

    copy = models.ForeignKey(Copy, on_delete=models.CASCADE, related_name="extended")
    position = models.PositiveSmallIntegerField()
    period = models.CharField(max_length=10, choices=Period)
    pick = models.CharField(max_length=5, choices=Pick, default=Pick.FIRST)
    days = models.PositiveIntegerField(null=True, blank=True, help_text="Empty = for ever.")

    class Meta:
        ordering = ["copy", "position"]
        constraints = [
            models.UniqueConstraint(fields=["copy", "position"], name="extended_retention_position_once"),
            models.UniqueConstraint(fields=["copy", "period"], name="extended_retention_period_once"),
            models.CheckConstraint(
                condition=Q(position__gte=1, position__lte=3), name="extended_retention_at_most_three"
            ),
            models.CheckConstraint(
                condition=Q(days__isnull=True) | Q(days__isnull=False, days__gte=1),
                name="extended_retention_days_from_1",
            ),
        ]

    def __str__(self) -> str:
        kept = "for ever" if self.days is None else _counted(self.days, "day")
        return f"{self.pick} full of each {self.get_period_display().lower()}: {kept}"


def _counted(number: int | None, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
