"""What a user is limited to: whole file servers and single subclients. A user without a row sees everything."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from .fields import Timestamped
from .file_server import FileServer
from .subclient import Subclient


class UserScope(Timestamped):
    """The row itself limits, whatever it names: when all that it names is deleted, its user sees nothing.

    A file server stands for all of its subclients, those to come included. Admins see everything all the same.
    Who may see what is asked of :mod:`policies.selectors.visible`, never of this table.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="scope")
    file_servers = models.ManyToManyField(FileServer, blank=True, related_name="scopes")
    subclients = models.ManyToManyField(Subclient, blank=True, related_name="scopes")

    class Meta:
        ordering = ["user__username"]

    def __str__(self) -> str:
        return f"scope of {self.user}"
