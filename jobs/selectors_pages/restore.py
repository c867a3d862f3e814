"""What can be restored: the points of a subclient, each a snapshot of which something is left to read."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Exists, Max, OuterRef, Q, QuerySet

from jobs.models import BackupCopy, Snapshot, SnapshotReplica, SnapshotState
from jobs.rules import states
from policies.models import Subclient


def restore_points(subclient: Subclient) -> QuerySet[Snapshot]:
    """Snapshots that are on their storage, on a secondary one or on media; newest first (RULES V1)."""
    return all_points().filter(subclient=subclient).order_by("-taken_at", "-pk")


def restore_point(pk: int, seen: QuerySet[Subclient]) -> Snapshot:
    """A point of the subclients that are seen. Raises Snapshot.DoesNotExist, also when nothing of it is left."""
    found = all_points().select_related("subclient__file_server", "subclient__policy")
    return found.get(pk=pk, subclient__in=seen)


def newest_points() -> dict[int, datetime]:
    """The time of the newest point by subclient; one that has none is missing. One query."""
    newest = all_points().values_list("subclient").annotate(newest=Max("taken_at")).order_by()
    return {subclient: taken_at for subclient, taken_at in newest if taken_at is not None}


def all_points() -> QuerySet[Snapshot]:
    """Those of every subclient: of each, something is left to read."""
    replicas = SnapshotReplica.objects.filter(snapshot=OuterRef("pk"), state__in=states.ON_MEDIA)
    copies = BackupCopy.objects.filter(snapshot=OuterRef("pk"), state__in=states.ON_MEDIA)
    return Snapshot.objects.filter(Q(state=SnapshotState.PRESENT) | Exists(replicas) | Exists(copies))
