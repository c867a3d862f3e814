"""This installation: one row, whose id is part of every snapshot's name (RULES O2)."""

from __future__ import annotations

import secrets
import string
from typing import Final

from django.db import models
from django.db.models import Q

_ALPHABET: Final = string.digits + string.ascii_lowercase


def new_install_id() -> str:
    """Eight random characters of [0-9a-z]: 41 bits, enough that two installations on one storage differ."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(8))


class Installation(models.Model):
    """Always row 1. ``install_id`` never changes: snapshots on the storage carry it."""

    install_id = models.CharField(max_length=8, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(pk=1), name="installation_is_one_row"),
            models.CheckConstraint(condition=Q(install_id__regex=r"^[0-9a-z]{8}$"), name="installation_id_form"),
        ]

    def __str__(self) -> str:
        return self.install_id
