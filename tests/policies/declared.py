"""What the tests of apply and export share."""

from __future__ import annotations

from io import StringIO

from django.core.management import call_command
from django.db.models import Model

from policies.models import (
    AccessNode,
    BlackoutWindow,
    Copy,
    FileServer,
    Installation,
    Media,
    Schedule,
    StoragePolicy,
    Subclient,
)


def exported() -> str:
    output = StringIO()
    call_command("export", stdout=output)
    return output.getvalue()


def forget_everything() -> None:
    """An empty installation, as one that was just set up."""
    delete(BlackoutWindow, Schedule, Subclient)
    StoragePolicy.objects.update(backup_source=None)
    Copy.objects.update(source=None)
    delete(Copy, StoragePolicy, FileServer, Media, AccessNode)
    Installation.objects.update(time_zone="UTC", week_start=4)


def delete(*models: type[Model]) -> None:
    for model in models:
        model._default_manager.all().delete()
