"""Storage policies: how the snapshots of their subclients are taken, selected and copied. Destinations are ``copy``."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from .fields import Timestamped, name_field
from .policy_choices import CatalogMode, OverdueAction, Period, Selection

_BY_PERIOD = [Selection.FIRST.value, Selection.LAST.value]


class StoragePolicy(Timestamped):
    """Each policy has exactly one primary snap copy (RULES O1).

    ``is_inline``: backup copies run inside the snapshot job (B1). ``backup_source``: the secondary snap copy that
    backup copies read from, None = the primary; with ``allow_primary`` the primary serves where the secondary has not
    got the snapshot (B6). ``selection*``, ``defer_days`` and ``excluded_subclients``: which snapshots are copied (B2).
    ``alert_after_hours`` to ``overdue_action``: B10. ``offline_*``: how long a source that is offline is tried (B7).
    """

    name = name_field(unique=True)
    description = models.TextField(blank=True)
    is_inline = models.BooleanField("inline backup copy", default=False)
    is_active = models.BooleanField("active", default=True)
    backup_source = models.ForeignKey(
        "policies.Copy", null=True, blank=True, on_delete=models.SET_NULL, related_name="source_of_policies"
    )
    allow_primary = models.BooleanField(default=False)
    selection = models.CharField(max_length=12, choices=Selection, default=Selection.ALL)
    selection_period = models.CharField(max_length=10, choices=Period, blank=True)
    selection_starts_on = models.DateField("start date", null=True, blank=True)
    defer_days = models.PositiveSmallIntegerField(default=0)
    excluded_subclients = models.ManyToManyField("policies.Subclient", blank=True, related_name="excluded_by_policies")
    catalog = models.CharField(max_length=10, choices=CatalogMode, default=CatalogMode.INLINE)
    alert_after_hours = models.PositiveSmallIntegerField(default=48)
    overdue_after_days = models.PositiveSmallIntegerField(default=14)
    overdue_action = models.CharField(max_length=12, choices=OverdueAction, default=OverdueAction.ALERT)
    offline_attempts = models.PositiveSmallIntegerField(default=10)
    offline_days = models.PositiveSmallIntegerField(default=5)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "storage policies"
        constraints = [
            models.CheckConstraint(
                condition=(Q(selection__in=_BY_PERIOD) & ~Q(selection_period=""))
                | (~Q(selection__in=_BY_PERIOD) & Q(selection_period="")),
                name="policy_period_exactly_for_first_and_last",
            ),
            models.CheckConstraint(
                condition=Q(alert_after_hours__gte=1, overdue_after_days__gte=1, offline_attempts__gte=1),
                name="policy_waits_at_least_1",
            ),
        ]

    def __str__(self) -> str:
        return self.name
