"""The counter columns of a job: the same names as :class:`jobs.engine.events.Counters`, so nothing is translated."""

from __future__ import annotations

from django.db import models


class CounterColumns(models.Model):
    """Totals of the running or last attempt. ``*_total`` None = unknown."""

    files_total = models.PositiveBigIntegerField(null=True, blank=True)
    files_done = models.PositiveBigIntegerField(default=0)
    files_new = models.PositiveBigIntegerField(default=0)
    files_changed = models.PositiveBigIntegerField(default=0)
    files_unmodified = models.PositiveBigIntegerField(default=0)
    directories_done = models.PositiveBigIntegerField(default=0)
    bytes_total = models.PositiveBigIntegerField(null=True, blank=True)
    bytes_done = models.PositiveBigIntegerField(default=0)
    bytes_read = models.PositiveBigIntegerField(default=0)
    bytes_new = models.PositiveBigIntegerField(default=0)
    bytes_stored = models.PositiveBigIntegerField(default=0)
    exceptions_count = models.PositiveBigIntegerField("exceptions", default=0)

    class Meta:
        abstract = True
