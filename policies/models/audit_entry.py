"""The audit trail: who changed what, when and how. Rows are only ever added."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class AuditEntry(models.Model):
    """One change. ``changes`` maps a field to ``[before, after]``; a secret appears as “set”, never as its text.

    Labels are kept beside the references, so that an entry still reads when the user or the object is gone.
    """

    class Action(models.TextChoices):
        CREATED = "created"
        CHANGED = "changed"
        DELETED = "deleted"
        OPERATED = "operated"

    class How(models.TextChoices):
        WEB = "web"
        CLI = "cli"
        API = "api"
        SYSTEM = "system"

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="audit_entries"
    )
    user_label = models.CharField(max_length=150, blank=True)
    how = models.CharField(max_length=10, choices=How, default=How.WEB)
    action = models.CharField(max_length=10, choices=Action)
    object_kind = models.CharField(max_length=40)
    object_id = models.CharField(max_length=40)
    object_label = models.CharField(max_length=200)
    sentence = models.CharField(max_length=300, blank=True)
    changes = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-at", "-pk"]
        verbose_name_plural = "audit entries"
        indexes = [models.Index(fields=["object_kind", "object_id"], name="audit_object")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(action__in=["created", "changed", "deleted", "operated"]), name="audit_action_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_label or 'system'} {self.action} {self.object_kind} {self.object_label}"

    @property
    def differences(self) -> list[tuple[str, object, object]]:
        """(field as people call it, before, after)."""
        return [(_spoken(name), before, after) for name, (before, after) in self.changes.items()]

    @property
    def changed_fields(self) -> list[str]:
        return [_spoken(name) for name in self.changes]


def _spoken(field: str) -> str:
    """``options.must_be_mountpoint`` -> “must be mountpoint”, ``is_active`` -> “active”."""
    return field.removeprefix("options.").removeprefix("is_").replace("_", " ")
