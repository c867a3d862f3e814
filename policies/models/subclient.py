"""Subclients: the unit that is snapped, copied, aged and reported."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.lookups import Exact, GreaterThan

from .access_node import AccessNode
from .fields import Timestamped, name_field
from .file_server import FileServer
from .storage_policy import StoragePolicy


class Subclient(Timestamped):
    """Content paths of one file server under one policy. Its own ``access_nodes`` replace the server's (RULES N1).

    ``pre_command`` and ``post_command`` run on the access node around the snapshot (S1), as argument lists without a
    shell. ``aging_frozen_at``: the source guard found the source suspiciously small; nothing ages until somebody
    acknowledges it (R10).
    """

    file_server = models.ForeignKey(FileServer, on_delete=models.PROTECT, related_name="subclients")
    name = name_field()
    description = models.TextField(blank=True)
    content_paths = models.JSONField()
    policy = models.ForeignKey(StoragePolicy, on_delete=models.PROTECT, related_name="subclients")
    access_nodes = models.ManyToManyField(AccessNode, blank=True, related_name="subclients")
    is_active = models.BooleanField("active", default=True)
    pre_command = models.CharField(max_length=500, blank=True)
    post_command = models.CharField(max_length=500, blank=True)
    aging_frozen_at = models.DateTimeField(null=True, blank=True, editable=False)
    aging_frozen_reason = models.TextField(blank=True, editable=False)

    class Meta:
        ordering = ["file_server__name", "name"]
        constraints = [
            models.UniqueConstraint(fields=["file_server", "name"], name="subclient_unique_name_on_server"),
            models.CheckConstraint(
                condition=Q(Exact(Func(F("content_paths"), function="jsonb_typeof"), Value("array"))),
                name="subclient_content_is_a_list",
            ),
            models.CheckConstraint(
                condition=Q(
                    GreaterThan(
                        Func(
                            Func(F("content_paths"), Value("$[*]"), function="jsonb_path_query_array"),
                            function="jsonb_array_length",
                            output_field=models.IntegerField(),
                        ),
                        Value(0),
                    )
                ),
                name="subclient_content_not_empty",
            ),
            models.CheckConstraint(
                condition=~Q(
                    Func(
                        F("content_paths"),
                        # strict: lax mode would look into nested lists; silent: what is no list fails above
                        Value('strict $[*] ? (@.type() != "string" || !(@ like_regex "^/"))'),
                        Value({}, output_field=models.JSONField()),
                        Value(value=True),
                        function="jsonb_path_exists",
                        output_field=models.BooleanField(),
                    )
                ),
                name="subclient_content_is_absolute_paths",
            ),
        ]

    def __str__(self) -> str:
        return self.path

    @property
    def path(self) -> str:
        """``SERVER/SUBCLIENT``, as commands take it."""
        return f"{self.file_server.name}/{self.name}"
