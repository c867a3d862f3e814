"""Every choice that policies, copies and schedules know, for columns and forms. Their meaning is in ``jobs.rules``."""

from __future__ import annotations

from django.db import models


class CopyKind(models.TextChoices):
    PRIMARY_SNAP = "primary_snap", "Primary snap copy"
    SECONDARY_SNAP = "secondary_snap", "Secondary snap copy"
    PRIMARY_BACKUP = "primary_backup", "Primary backup copy"
    SECONDARY_BACKUP = "secondary_backup", "Secondary backup copy"


SNAP_KINDS = (CopyKind.PRIMARY_SNAP, CopyKind.SECONDARY_SNAP)
BACKUP_KINDS = (CopyKind.PRIMARY_BACKUP, CopyKind.SECONDARY_BACKUP)


class Retention(models.TextChoices):
    """RULES R1, R2 and P."""

    INFINITE = "infinite", "For ever"
    BASIC = "basic", "Days and cycles"
    DAYS = "days", "Days"
    COUNT = "count", "Number of snapshots"
    SPOOL = "spool", "Spool copy (no retention)"


class Period(models.TextChoices):
    """RULES B2 and R3."""

    HOUR = "hour", "Hour"
    DAY = "day", "Day"
    WEEK = "week", "Week"
    MONTH = "month", "Month"
    QUARTER = "quarter", "Quarter"
    HALF_YEAR = "half_year", "Half-year"
    YEAR = "year", "Year"


class Pick(models.TextChoices):
    FIRST = "first", "First"
    LAST = "last", "Last"


class Selection(models.TextChoices):
    """RULES B2: which snapshots are copied to media."""

    ALL = "all", "All snapshots"
    FULLS = "fulls", "All fulls"
    FIRST = "first_full", "First full of each period"
    LAST = "last_full", "Last full of each period"


class CatalogMode(models.TextChoices):
    """RULES S4."""

    INLINE = "inline", "Inline: a phase of the snapshot job"
    DEFERRED = "deferred", "Deferred: by a schedule"
    SKIP = "skip", "Skip"


class OverdueAction(models.TextChoices):
    """RULES B10: what happens to a selected snapshot that waits too long; explained in :mod:`jobs.rules.waiting`."""

    ALERT = "alert", "Alert only"
    SKIP_OLDER = "skip_older", "Skip the older and copy the newest"
    KEEP_WAITING = "keep_waiting", "Keep waiting"


class Weekday(models.IntegerChoices):
    MONDAY = 0, "Monday"
    TUESDAY = 1, "Tuesday"
    WEDNESDAY = 2, "Wednesday"
    THURSDAY = 3, "Thursday"
    FRIDAY = 4, "Friday"
    SATURDAY = 5, "Saturday"
    SUNDAY = 6, "Sunday"
