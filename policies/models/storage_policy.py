"""Storage policies and their copies: where snapshots and backup copies of a subclient go."""

from __future__ import annotations

from django.db import models
from django.db.models import Deferrable, Q

from .access_node import AccessNode
from .fields import Timestamped, name_field
from .media import Media


class StoragePolicy(Timestamped):
    """``is_inline``: backup copies run inside the snapshot job (RULES B1). Each policy has a primary snap copy (O1)."""

    name = name_field(unique=True)
    description = models.TextField(blank=True)
    is_inline = models.BooleanField("inline backup copy", default=False)
    is_active = models.BooleanField("active", default=True)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "storage policies"

    def __str__(self) -> str:
        return self.name


class CopyKind(models.TextChoices):
    PRIMARY_SNAP = "primary_snap", "Primary snap copy"
    SECONDARY_SNAP = "secondary_snap", "Secondary snap copy"
    PRIMARY_BACKUP = "primary_backup", "Primary backup copy"
    SECONDARY_BACKUP = "secondary_backup", "Secondary backup copy"


SNAP_KINDS = (CopyKind.PRIMARY_SNAP, CopyKind.SECONDARY_SNAP)
BACKUP_KINDS = (CopyKind.PRIMARY_BACKUP, CopyKind.SECONDARY_BACKUP)


class Copy(Timestamped):
    """One destination of a policy. The lowest ``precedence`` that has the data serves a restore (RULES V1)."""

    policy = models.ForeignKey(StoragePolicy, on_delete=models.CASCADE, related_name="copies")
    name = name_field()
    kind = models.CharField(max_length=20, choices=CopyKind)
    precedence = models.PositiveSmallIntegerField()
    media = models.ForeignKey(Media, null=True, blank=True, on_delete=models.PROTECT, related_name="copies")
    media_agents = models.ManyToManyField(AccessNode, blank=True, related_name="agent_of_copies")
    is_active = models.BooleanField("active", default=True)

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
        ]

    def __str__(self) -> str:
        return f"{self.policy}/{self.name}"

    @property
    def is_backup(self) -> bool:
        return self.kind in BACKUP_KINDS
