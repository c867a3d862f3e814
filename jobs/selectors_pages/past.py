"""Which points hold a version of a path, and which of their copies (RULES V3): for search, versions and comparisons."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from jobs.models import BackupCopy, CatalogState, CatalogVersion, Snapshot, SnapshotReplica, SnapshotState
from jobs.rules import states
from jobs.selectors_pages.restore import all_points, restore_points
from policies.models import Copy, CopyKind, Subclient


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A catalogued snapshot of which something is left; ``copies`` are named in the order of their precedence."""

    pk: int
    name: str
    taken_at: datetime
    copies: tuple[str, ...] = ()


def catalogued_points(subclient: Subclient) -> QuerySet[Snapshot]:
    """Those whose files the catalog knows, newest first."""
    return restore_points(subclient).filter(catalog_state=CatalogState.DONE)


def newest_points_of(version_ids: Collection[int]) -> dict[int, Point]:
    """The newest point that holds a version, by version; one that no point holds any more is missing. Two queries."""
    points = all_points().filter(
        taken_at__lt=Coalesce(OuterRef("until_at"), Value(datetime.max.replace(tzinfo=UTC))),
        subclient=OuterRef("subclient"),
        catalog_state=CatalogState.DONE,
        taken_at__gte=OuterRef("first_at"),
    )
    newest = points.order_by("-taken_at", "-pk")
    rows = CatalogVersion.objects.filter(pk__in=version_ids).annotate(point=Subquery(newest.values("pk")[:1]))
    by_version = dict(rows.exclude(point=None).values_list("pk", "point"))
    found = Snapshot.objects.in_bulk(set(by_version.values()))
    return {version: _point(found[pk]) for version, pk in by_version.items() if pk in found}


def points_of(subclient: Subclient, versions: Sequence[CatalogVersion]) -> dict[int, list[Point]]:
    """The points that hold each version, newest first, with the copies that have them. Four queries."""
    if not versions:
        return {}
    found = catalogued_points(subclient).filter(taken_at__gte=min(version.first_at for version in versions))
    ends = [version.until_at for version in versions]
    known = [end for end in ends if end is not None]
    if len(known) == len(ends):
        found = found.filter(taken_at__lt=max(known))
    rows = list(found.only("pk", "name", "taken_at", "state"))
    copies = _copies(subclient, rows)
    points = [_point(row, copies.get(row.pk, ())) for row in rows]
    return {version.pk: [point for point in points if _holds(version, point.taken_at)] for version in versions}


def _holds(version: CatalogVersion, at: datetime) -> bool:
    return version.first_at <= at and (version.until_at is None or at < version.until_at)


def _point(snapshot: Snapshot, copies: Sequence[str] = ()) -> Point:
    return Point(pk=snapshot.pk, name=snapshot.name, taken_at=snapshot.taken_at, copies=tuple(copies))


def _copies(subclient: Subclient, rows: Sequence[Snapshot]) -> dict[int, list[str]]:
    """Names of the copies that have each point."""
    numbers = [row.pk for row in rows]
    found: dict[int, list[tuple[int, str]]] = {}
    primary = Copy.objects.filter(policy=subclient.policy_id, kind=CopyKind.PRIMARY_SNAP)
    precedence, name = primary.values_list("precedence", "name").first() or (0, "snapshot")
    for row in rows:
        if row.state == SnapshotState.PRESENT:
            found.setdefault(row.pk, []).append((precedence, name))
    for model in (SnapshotReplica, BackupCopy):
        held = model._default_manager.filter(snapshot__in=numbers, state__in=states.ON_MEDIA)
        for pk, order, label in held.values_list("snapshot", "copy__precedence", "copy__name"):
            found.setdefault(pk, []).append((order, label))
    return {pk: [label for _, label in sorted(names)] for pk, names in found.items()}
