"""Snapshots that people made readable on an access node: where, by whom, and until when (RULES V4, R6)."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from .choices import MountState, MountWay

_ACTIVE: Final = [MountState.MOUNTING.value, MountState.MOUNTED.value, MountState.UNMOUNTING.value]
_THERE: Final = [MountState.MOUNTED.value, MountState.UNMOUNTING.value]


class SnapshotMount(models.Model):
    """One time that a snapshot is, or was, mounted. ``path`` is the directory on the node below which its content lies.

    While it is not *unmounted*, the snapshot is held. ``expires_at``: when it is unmounted by itself. ``node`` None
    = the node was deleted; ``node_label`` still says which it was. ``end_reason`` says why it is not mounted any more.
    """

    State = MountState
    Way = MountWay

    snapshot = models.ForeignKey("jobs.Snapshot", on_delete=models.CASCADE, related_name="mounts")
    node = models.ForeignKey(
        "policies.AccessNode", null=True, blank=True, on_delete=models.SET_NULL, related_name="mounts"
    )
    node_label = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=10, choices=MountState, default=MountState.MOUNTING)
    way = models.CharField(max_length=4, choices=MountWay, default=MountWay.BIND)
    path = models.TextField(blank=True)
    mounted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="mounts"
    )
    mounted_by_label = models.CharField(max_length=150, blank=True)
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now)
    mounted_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.TextField(blank=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name = "snapshot mount"
        indexes = [models.Index(fields=["expires_at"], condition=Q(state__in=_ACTIVE), name="mount_to_expire")]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=MountState.values), name="mount_state_known"),
            models.CheckConstraint(condition=Q(way__in=MountWay.values), name="mount_way_known"),
            models.UniqueConstraint(
                fields=["snapshot"], condition=Q(state__in=_ACTIVE), name="mount_one_active_per_snapshot"
            ),
            models.UniqueConstraint(
                fields=["node", "path"], condition=Q(state__in=_THERE), name="mount_one_per_node_and_path"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=_THERE) | (~Q(path="") & Q(mounted_at__isnull=False)),
                name="mount_mounted_has_a_path",
            ),
            models.CheckConstraint(
                condition=Q(state=MountState.UNMOUNTED, ended_at__isnull=False)
                | (~Q(state=MountState.UNMOUNTED) & Q(ended_at__isnull=True)),
                name="mount_ended_exactly_when_unmounted",
            ),
            models.CheckConstraint(condition=Q(expires_at__gt=models.F("created_at")), name="mount_expires_later"),
        ]

    def __str__(self) -> str:
        return f"{self.snapshot} on {self.node_label}"

    @property
    def is_active(self) -> bool:
        """It is mounted, or about to be: the snapshot is held."""
        return self.state in _ACTIVE

    @property
    def is_there(self) -> bool:
        """People can read it at ``path``."""
        return self.state == MountState.MOUNTED
