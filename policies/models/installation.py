"""This installation: one row, whose id is part of every snapshot's name (RULES O2)."""

from __future__ import annotations

import secrets
import string
from typing import Final

from django.db import models
from django.db.models import Q

from .policy_choices import Weekday

_ALPHABET: Final = string.digits + string.ascii_lowercase


def new_install_id() -> str:
    """Eight random characters of [0-9a-z]: 41 bits, enough that two installations on one storage differ."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(8))


class Installation(models.Model):
    """Always row 1. ``install_id`` never changes: snapshots on the storage carry it. ``time_zone`` is an IANA name."""

    install_id = models.CharField(max_length=8, editable=False)
    time_zone = models.CharField(
        max_length=64,
        default="UTC",
        help_text="Days, weeks and months of selection and retention are those of this zone.",
    )
    week_start = models.PositiveSmallIntegerField(
        "weeks start on",
        choices=Weekday,
        default=Weekday.FRIDAY,
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(pk=1), name="installation_is_one_row"),
            models.CheckConstraint(condition=Q(week_start__lte=6), name="installation_week_starts_on_a_day"),
            models.CheckConstraint(condition=Q(install_id__regex=r"^[0-9a-z]{8}$"), name="installation_id_form"),
        ]

    def __str__(self) -> str:
        return self.install_id
