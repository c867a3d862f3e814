"""What verifications know of a medium: when each pack was last read back, and how the last verification ended."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from .job import Job


class MediumReading(models.Model):
    """One row per medium, as its last completed verification left it. ``packs`` and ``packs_bytes`` are of that moment.

    ``turn`` counts the completed verifications. ``lists_all_damage`` False = more is damaged than the rows of
    :class:`~jobs.models.DamagedPath` name.
    """

    media = models.OneToOneField("policies.Media", on_delete=models.CASCADE, related_name="reading")
    job = models.ForeignKey(Job, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    turn = models.PositiveIntegerField(default=0)
    packs = models.PositiveIntegerField(default=0)
    packs_bytes = models.PositiveBigIntegerField(default=0)
    problems = models.PositiveIntegerField(default=0)
    lists_all_damage = models.BooleanField(default=True)
    verified_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"what is known of {self.media}"


class PackReading(models.Model):
    """Packs that were read back and found good (or, not ``was_read``, seen for the first time) ``at`` one moment.

    ``keys`` holds the first 8 bytes of each pack's id, one after the other; ``turn`` is that of
    :class:`jobs.engine.operations.rotation.Entry`. While a verification runs it adds rows; when it ends they are put
    together, and of *settled* rows each pack is in exactly one.
    """

    media = models.ForeignKey("policies.Media", on_delete=models.CASCADE, related_name="pack_readings")
    at = models.DateTimeField()
    turn = models.PositiveIntegerField()
    was_read = models.BooleanField()
    is_settled = models.BooleanField(default=False)
    packs = models.PositiveIntegerField()
    stored_bytes = models.PositiveBigIntegerField()
    keys = models.BinaryField()

    class Meta:
        ordering = ["at", "pk"]
        constraints = [
            models.CheckConstraint(condition=Q(packs__gte=1), name="pack_reading_is_of_some"),
        ]

    def __str__(self) -> str:
        return f"{self.packs} packs of {self.media} at {self.at:%Y-%m-%d %H:%M}"
