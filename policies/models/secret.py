"""Secrets of media and file servers, as ciphertext. The keys are in a file (:mod:`policies.secrets`), never here."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from .fields import Timestamped
from .file_server import FileServer
from .media import Media


class Secret(Timestamped):
    """One secret field of exactly one medium or file server. ``key_id`` names the key that opens ``token``."""

    media = models.ForeignKey(Media, null=True, blank=True, on_delete=models.CASCADE, related_name="secrets")
    file_server = models.ForeignKey(FileServer, null=True, blank=True, on_delete=models.CASCADE, related_name="secrets")
    field = models.CharField(max_length=64)
    token = models.TextField(editable=False)
    key_id = models.CharField(max_length=16, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(media__isnull=False, file_server__isnull=True)
                | Q(media__isnull=True, file_server__isnull=False),
                name="secret_has_exactly_one_owner",
            ),
            models.UniqueConstraint(fields=["media", "field"], name="secret_unique_media_field"),
            models.UniqueConstraint(fields=["file_server", "field"], name="secret_unique_file_server_field"),
        ]

    def __str__(self) -> str:
        return f"{self.field} of {self.media or self.file_server}"
