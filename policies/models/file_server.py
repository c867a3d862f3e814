"""File servers: the machine or array whose data is protected, with one snapshot engine and one connection."""

from __future__ import annotations

from typing import Final

from django.db import models
from django.db.models import Q

from .access_node import AccessNode
from .fields import Timestamped, name_field

IMPORTED: Final = "imported"
"""The engine of a host that is known only from copies that others made: there is no storage to take snapshots of."""


class FileServer(Timestamped):
    """``engine`` is a key of the engine registry or ``IMPORTED``, ``options`` its settings without the secrets.

    ``max_incrementals`` None = the engine's own limit (RULES L2). ``last_test`` is the stored report of **Test**.
    """

    name = name_field(unique=True)
    description = models.TextField(blank=True)
    engine = models.CharField("snapshot engine", max_length=32)
    options = models.JSONField(default=dict, blank=True)
    access_nodes = models.ManyToManyField(AccessNode, blank=True, related_name="file_servers")
    max_sessions = models.PositiveSmallIntegerField(default=4)
    max_incrementals = models.PositiveIntegerField(null=True, blank=True)
    is_active = models.BooleanField("active", default=True)
    last_test = models.JSONField(null=True, blank=True)
    last_tested_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=Q(max_sessions__gte=1), name="file_server_sessions_at_least_1"),
            models.CheckConstraint(
                condition=Q(max_incrementals__isnull=True) | Q(max_incrementals__isnull=False, max_incrementals__gte=1),
                name="file_server_incrementals_at_least_1",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_imported(self) -> bool:
        """It came with an attached repository (decision note “imported”)."""
        return self.engine == IMPORTED
