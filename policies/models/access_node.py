"""Access nodes: the hosts whose workers do the work, and what each last said about itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.db import models
from django.db.models import Q
from django.utils import timezone

from .fields import Timestamped, name_field

ONLINE_SECONDS: Final = 15
"""A node whose figures are older counts as offline (RULES N4)."""


class AccessNode(Timestamped):
    """A worker host. The fields from ``hostname`` on are reported by the node itself; None = not said yet."""

    name = name_field(unique=True, help_text="Short name of the host, as its worker was started with.")
    slots = models.PositiveSmallIntegerField(default=2, help_text="How many jobs it runs at the same time, 1 to 64.")
    is_draining = models.BooleanField(
        "draining", default=False, help_text="Finishes what it runs and takes nothing new."
    )
    is_enabled = models.BooleanField("enabled", default=True, help_text="Switched off, it is never chosen.")

    address = models.CharField(
        max_length=255,
        blank=True,
        help_text="Name or IP address at which other access nodes reach it. Empty: the host name that it reports.",
    )

    hostname = models.CharField(max_length=255, blank=True)
    version = models.CharField(max_length=32, blank=True)
    pid = models.PositiveIntegerField(null=True, blank=True)
    boot_id = models.CharField(max_length=64, blank=True)
    cores = models.PositiveSmallIntegerField(null=True, blank=True)
    load_1m = models.FloatField(null=True, blank=True)
    memory_total_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    memory_free_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    busy_slots = models.PositiveSmallIntegerField(default=0)
    last_seen_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=Q(slots__gte=1, slots__lte=64), name="access_node_slots_1_to_64"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def queue(self) -> str:
        """Name of the RQ queue that only this node's worker reads."""
        return f"node-{self.name}"

    @property
    def reached_at(self) -> str:
        """Name or address for other nodes; empty = it never ran."""
        return self.address or self.hostname

    @property
    def is_online(self) -> bool:
        """It reported within the last 15 seconds."""
        return self.last_seen_at is not None and timezone.now() - self.last_seen_at <= timedelta(seconds=ONLINE_SECONDS)

    @property
    def takes_work(self) -> bool:
        """May be chosen for a new job, if it has a free slot."""
        return self.is_enabled and not self.is_draining and self.is_online

    @property
    def state(self) -> str:
        """One word for a badge: disabled, offline, draining or online."""
        if not self.is_enabled:
            return "disabled"
        if not self.is_online:
            return "offline"
        return "draining" if self.is_draining else "online"

    @property
    def busy_percent(self) -> float:
        return min(100.0, 100 * self.busy_slots / self.slots)

    @property
    def free_slots(self) -> int:
        return max(0, self.slots - self.busy_slots)
