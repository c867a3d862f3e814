"""Which dumps file servers were asked for: what they may count levels from (RULES L1, L4)."""

from __future__ import annotations

from django.db import models

from .backup_copy import BackupCopy


class DumpDate(models.Model):
    """The newest dump of one level of one path that a file server was asked for, as its own ``dumpdates`` may have it.

    Written before the dump starts; ``is_committed`` only in the transaction that marks its backup copy *copied*. Rows
    are replaced, never changed to another dump: the order of their keys is that in which the dumps began. ``address``
    is where the file server was reached: another one there knows nothing of these.
    """

    file_server = models.ForeignKey("policies.FileServer", on_delete=models.CASCADE, related_name="dump_dates")
    address = models.CharField(max_length=300)
    path = models.TextField()
    level = models.PositiveSmallIntegerField()
    backup_copy = models.ForeignKey(
        BackupCopy, null=True, blank=True, on_delete=models.SET_NULL, related_name="dump_dates"
    )
    is_committed = models.BooleanField(default=False)
    begun_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["file_server", "address", "path", "level"], name="dump_date_once_per_level")
        ]

    def __str__(self) -> str:
        return f"level {self.level} of {self.path}"
