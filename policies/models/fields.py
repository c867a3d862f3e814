"""Pieces that several tables share: who was written when, and names that fit in a path or a queue."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models

name_validator = RegexValidator(
    r"^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\Z",
    "Use letters, digits, dots, hyphens and underscores; begin and end with a letter or digit.",
)


def name_field(*, unique: bool = False, help_text: str = "") -> models.CharField[str, str]:
    """A short name that people type in commands: no spaces, no slashes, at most 64 characters."""
    return models.CharField(max_length=64, unique=unique, help_text=help_text, validators=[name_validator])


class Timestamped(models.Model):
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True
