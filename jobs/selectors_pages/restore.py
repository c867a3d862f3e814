"""What can be restored: the backup copies of a subclient by time."""

from __future__ import annotations

from typing import Final

from django.db.models import QuerySet

from jobs.models import BackupCopy
from jobs.rules import states
from policies.models import Subclient

POINTS_SHOWN: Final = 200


def restore_points(subclient: Subclient) -> QuerySet[BackupCopy]:
    """Everything on media, newest snapshot first; of one snapshot the copy with the lowest precedence first (V1)."""
    return (
        BackupCopy.objects.filter(snapshot__subclient=subclient, state__in=states.ON_MEDIA)
        .select_related("snapshot", "copy__policy", "media")
        .order_by("-snapshot__taken_at", "-snapshot_id", "copy__precedence")
    )


def restore_point(pk: int) -> BackupCopy:
    """Raises BackupCopy.DoesNotExist, also when it is not on media."""
    return BackupCopy.objects.select_related("snapshot__subclient__file_server", "copy__policy", "media").get(
        pk=pk, state__in=states.ON_MEDIA
    )
