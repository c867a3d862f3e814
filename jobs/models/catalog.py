"""The catalog: which paths each snapshot of a subclient holds, as one row per version of a path (RULES S4).

A version is valid from ``first_at`` (the moment of the first snapshot that holds it) until ``until_at`` (the moment of
the first that does not; None = it still exists). So a new snapshot costs what changed, and a question about any moment
is a comparison of times. Backup copies hold what their snapshot holds; their rows say which are there.
"""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex, HashIndex, OpClass
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Upper


class CatalogKind(models.TextChoices):
    """What a path is; one letter, as ``find -type`` writes it."""

    FILE = "f", "File"
    DIRECTORY = "d", "Folder"
    SYMLINK = "l", "Symbolic link"
    BLOCK_DEVICE = "b", "Block device"
    CHARACTER_DEVICE = "c", "Character device"
    FIFO = "p", "Named pipe"
    OTHER = "o", "Other"


class CatalogOwner(models.Model):
    """Owner and group, once each: numbers, and names (empty = the source had none)."""

    uid = models.PositiveBigIntegerField()
    gid = models.PositiveBigIntegerField()
    user = models.TextField(blank=True)
    group = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["uid", "gid", "user", "group"], name="catalog_owner_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user or self.uid}:{self.group or self.gid}"


class CatalogFolder(models.Model):
    """A folder of a subclient's content, at any time. ``path`` is absolute; the root has the empty name and path ``/``.

    Names and paths are text in which every byte survives: :mod:`jobs.catalog.names`.
    """

    subclient = models.ForeignKey("policies.Subclient", on_delete=models.CASCADE, related_name="catalog_folders")
    parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="folders", db_index=False)
    name = models.TextField(blank=True)
    path = models.TextField()
    depth = models.PositiveIntegerField()

    class Meta:
        indexes = [HashIndex(fields=["path"], name="catalog_folder_by_path")]
        constraints = [
            models.UniqueConstraint(fields=["parent", "name"], name="catalog_folder_once"),
            models.UniqueConstraint(
                fields=["subclient"], condition=Q(parent__isnull=True), name="catalog_folder_one_root"
            ),
            models.CheckConstraint(
                condition=Q(parent__isnull=True, name="", path="/", depth=0)
                | (Q(parent__isnull=False, depth__gte=1) & ~Q(name="")),
                name="catalog_folder_only_the_root_is_nameless",
            ),
        ]

    def __str__(self) -> str:
        return self.path


class CatalogVersion(models.Model):
    """One version of a path: ``name`` in ``folder``, as it was from ``first_at`` until before ``until_at``.

    ``size`` in bytes and ``files`` are of everything below for a directory; ``files`` is 0 for anything else.
    ``mtime_ns`` is ns since the epoch, UTC; ``mode`` the low 12 bits of ``st_mode``. ``subclient`` is its folder's,
    repeated here so that one index finds a part of a name within a subclient: with the folders in between, a name
    that is common elsewhere costs a second at ten million rows. The key of the folder vouches for it.
    """

    Kind = CatalogKind

    subclient = models.ForeignKey(
        "policies.Subclient",
        on_delete=models.CASCADE,
        related_name="catalog_versions",
        db_index=False,
        db_constraint=False,
    )
    folder = models.ForeignKey(CatalogFolder, on_delete=models.CASCADE, related_name="versions", db_index=False)
    name = models.TextField()
    kind = models.CharField(max_length=1, choices=CatalogKind)
    size = models.PositiveBigIntegerField(default=0)
    files = models.PositiveBigIntegerField(default=0)
    mtime_ns = models.BigIntegerField(default=0)
    mode = models.PositiveSmallIntegerField(default=0)
    owner = models.ForeignKey(CatalogOwner, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    link_target = models.TextField(blank=True, default="")
    first_at = models.DateTimeField()
    until_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            GinIndex("subclient", OpClass(Upper("name"), name="gin_trgm_ops"), name="catalog_version_by_part"),
            models.Index(
                fields=["subclient", "until_at"], condition=Q(until_at__isnull=False), name="catalog_version_by_end"
            ),
            models.Index(fields=["subclient", "first_at"], name="catalog_version_by_start"),
            models.Index(fields=["folder", "size"], condition=~Q(kind="d"), name="catalog_version_by_size"),
            models.Index(fields=["folder", "mtime_ns"], condition=~Q(kind="d"), name="catalog_version_by_mtime"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["folder", "name", "first_at"], name="catalog_version_once"),
            models.CheckConstraint(condition=Q(kind__in=CatalogKind.values), name="catalog_version_kind_known"),
            models.CheckConstraint(condition=~Q(name=""), name="catalog_version_has_a_name"),
            models.CheckConstraint(
                condition=Q(until_at__isnull=True) | Q(until_at__gt=F("first_at")),
                name="catalog_version_ends_after_it_began",
            ),
            models.CheckConstraint(
                condition=Q(kind="d") | Q(files=0), name="catalog_version_counts_files_of_folders_only"
            ),
        ]

    def __str__(self) -> str:
        return self.name
