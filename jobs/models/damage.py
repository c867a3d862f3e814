"""What is damaged on a medium now, as its last verification or repair found it: packs, and the paths they touch."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q

from .job import Job


class DamagedPack(models.Model):
    """A pack that is missing or fails a checksum; ``blobs_bad`` of its ``blobs`` cannot be had from it.

    It is read by every verification until it is found good or replaced.
    """

    media = models.ForeignKey("policies.Media", on_delete=models.CASCADE, related_name="damaged_packs")
    job = models.ForeignKey(Job, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    pack = models.CharField(max_length=64)
    sentence = models.TextField()
    blobs = models.PositiveIntegerField()
    blobs_bad = models.PositiveIntegerField()
    found_at = models.DateTimeField()

    class Meta:
        ordering = ["found_at", "pack"]
        constraints = [
            models.UniqueConstraint(fields=["media", "pack"], name="damaged_pack_once"),
            models.CheckConstraint(condition=Q(blobs_bad__lte=F("blobs")), name="damaged_pack_has_its_bad_blobs"),
        ]

    def __str__(self) -> str:
        return f"pack {self.pack[:12]} on {self.media}"


class DamagedPath(models.Model):
    """A path that cannot be restored whole. ``path`` is raw bytes, ``display_path`` what people read.

    ``is_folder``: its list of entries is lost, and with it everything below. ``backup_copies`` are ids of the backup
    copies it is damaged in; ``others`` counts snapshot files that are no backup copy of this installation. ``packs``
    are ids of damaged packs (none where no index names what is missing). ``tried_in`` is a repair that could not bring
    it back.
    """

    media = models.ForeignKey("policies.Media", on_delete=models.CASCADE, related_name="damaged_paths")
    path = models.BinaryField()
    display_path = models.TextField()
    is_folder = models.BooleanField(default=False)
    backup_copies = ArrayField(models.BigIntegerField())
    others = models.PositiveIntegerField(default=0)
    packs = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    tried_in = models.ForeignKey(Job, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ["pk"]
        indexes = [GinIndex(fields=["backup_copies"], name="damaged_path_by_backup_copy")]

    def __str__(self) -> str:
        return self.display_path
