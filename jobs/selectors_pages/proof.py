"""How well it is known that backup copies can be restored: what was verified and drilled when, and what is damaged.

Everything is asked for many at once, in a number of queries that does not grow with them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from django.db.models import Count, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from jobs.models import BackupCopy, DamagedPack, DamagedPath, DrillResult, MediumReading, PackReading
from jobs.rules import states
from jobs.visible import visible_backup_copies
from policies.models import Media, Schedule, ScheduledOperation, VerifyHow
from policies.selectors.visible import Person, sees_everything

USUAL_DAYS: Final = 30
"""The time within which readings count where no schedule promises another."""

DRILLS_DAYS: Final = 365
"""Older drills prove nothing any more."""

NAMED: Final = 3
"""So many damaged paths of a copy are named in the chain; the page of the damage has all."""

_MOST_LOOKED_AT: Final = 300
PAGE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Of one medium, as its last verification or repair found it. ``problems`` may be there without pack or path.

    ``lists_all`` False: more paths are damaged than are named.
    """

    packs: int
    paths: int
    copies: int
    problems: int
    lists_all: bool = True
    named: Sequence[DamagedPath] = ()

    def __bool__(self) -> bool:
        return bool(self.packs or self.paths or self.copies or self.problems)

    @property
    def more(self) -> int:
        """Paths beside the named."""
        return max(0, self.paths - len(self.named))


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What the last verification or repair of a medium left: ``percent`` of the packs were read within ``days``.

    None = it holds nothing.
    """

    reading: MediumReading
    days: int
    percent: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MediumProof:
    """``coverage`` None = never verified; ``drill`` None = none lately. ``damaged``: so many copies are not whole."""

    coverage: Coverage | None = None
    drill: DrillResult | None = None
    damaged: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyProof:
    """Of one backup copy. ``named`` are the first of its damaged paths."""

    coverage: Coverage | None
    drill: DrillResult | None
    is_newer: bool
    """It was made after the last verification of its medium."""

    named: Sequence[str] = field(default_factory=list)
    more: int = 0
    """Damaged files and folders beside the named."""


def damage_of(media: Media, *, named: int = 0) -> Damage:
    """For who sees everything. Two queries, and one for the names where there are any."""
    reading = MediumReading.objects.filter(media=media).first()
    packs, paths, copies = Media.objects.values_list(
        _count(DamagedPack.objects.filter(media=media)),
        _count(DamagedPath.objects.filter(media=media)),
        _count(_damaged(BackupCopy.objects.filter(media=media))),
    ).get(pk=media.pk)
    return Damage(
        packs=packs,
        paths=paths,
        copies=copies,
        problems=reading.problems if reading else 0,
        lists_all=reading.lists_all_damage if reading else True,
        named=list(DamagedPath.objects.filter(media=media)[:named]) if named and paths else (),
    )


def proof_of_media(media_ids: Collection[int], user: Person) -> dict[int, MediumProof]:
    """Every medium asked for is there. Five queries at most."""
    covered = coverage_of(media_ids)
    damaged = dict(
        _damaged(visible_backup_copies(user).filter(media__in=media_ids))
        .values_list("media")
        .annotate(Count("pk"))
        .order_by()
    )
    drills = _drills().filter(backup_copy__media__in=media_ids)
    if not sees_everything(user):
        drills = drills.filter(backup_copy__in=visible_backup_copies(user).values("pk"))
    newest = drills.order_by("backup_copy__media_id", "-at", "-pk").distinct("backup_copy__media_id")
    drilled = {drill.backup_copy.media_id: drill for drill in newest.select_related("backup_copy", "job")}
    return {
        media_id: MediumProof(
            coverage=covered.get(media_id), drill=drilled.get(media_id), damaged=damaged.get(media_id, 0)
        )
        for media_id in media_ids
    }


def proof_of_copies(rows: Iterable[BackupCopy]) -> dict[int, CopyProof]:
    """By backup copy, of those on media. Five queries at most."""
    known = {row.pk: row for row in rows if row.is_on_media}
    if not known:
        return {}
    covered = coverage_of({row.media_id for row in known.values()})
    newest = _drills().filter(backup_copy__in=known).order_by("backup_copy_id", "-at", "-pk").distinct("backup_copy_id")
    drilled = {drill.backup_copy_id: drill for drill in newest}
    named = _named([pk for pk, row in known.items() if row.is_damaged])
    return {
        pk: CopyProof(
            coverage=(coverage := covered.get(row.media_id)),
            drill=drilled.get(pk),
            is_newer=_is_newer(row, coverage),
            named=named[pk],
            more=max(0, row.damaged_files + row.damaged_folders - len(named[pk])),
        )
        for pk, row in known.items()
    }


def coverage_of(media_ids: Collection[int]) -> dict[int, Coverage]:
    """Media that were verified. Three queries."""
    readings = MediumReading.objects.filter(media__in=media_ids, verified_at__isnull=False)
    verified = {reading.media_id: reading for reading in readings}
    if not verified:
        return {}
    promised = _promised_days()
    days = {pk: min(promised.get(pk, USUAL_DAYS), promised.get(None, promised.get(pk, USUAL_DAYS))) for pk in verified}
    now = timezone.now()
    counts: dict[int, int] = defaultdict(int)
    since = now - timedelta(days=max(days.values()))
    rows = PackReading.objects.filter(media__in=verified, was_read=True, is_settled=True, at__gte=since)
    for media_id, at, packs in rows.values_list("media", "at", "packs"):
        if at >= now - timedelta(days=days[media_id]):
            counts[media_id] += packs
    return {
        pk: Coverage(
            reading=reading,
            days=days[pk],
            percent=min(100.0, 100 * counts[pk] / reading.packs) if reading.packs else None,
        )
        for pk, reading in verified.items()
    }


def damaged_paths(media: Media, user: Person, *, row: BackupCopy | None, after: int | None) -> list[DamagedPath]:
    """One page and one more, by id: of ``row`` alone, or of all that the user may see."""
    found = DamagedPath.objects.filter(media=media).order_by("pk")
    if row is not None:
        found = found.filter(backup_copies__contains=[row.pk])
    elif not sees_everything(user):
        mine = _damaged(visible_backup_copies(user).filter(media=media)).values_list("pk", flat=True)
        found = found.filter(backup_copies__overlap=list(mine))
    if after is not None:
        found = found.filter(pk__gt=after)
    return list(found[: PAGE + 1])


def copies_of_paths(paths: Iterable[DamagedPath], user: Person) -> dict[int, BackupCopy]:
    """The backup copies that the paths name and the user may see, by id. One query."""
    ids = {pk for path in paths for pk in path.backup_copies}
    found = visible_backup_copies(user).filter(pk__in=ids)
    return {row.pk: row for row in found.select_related("snapshot__subclient__file_server", "copy")}


def _count(rows: QuerySet[Any]) -> Coalesce:
    """Of rows of one medium, inside another query."""
    return Coalesce(Subquery(rows.order_by().values("media").annotate(number=Count("pk")).values("number")), 0)


def _damaged(rows: QuerySet[BackupCopy]) -> QuerySet[BackupCopy]:
    return rows.filter(state__in=states.ON_MEDIA).exclude(damaged_files=0, damaged_folders=0)


def _drills() -> QuerySet[DrillResult]:
    return DrillResult.objects.filter(at__gte=timezone.now() - timedelta(days=DRILLS_DAYS))


def _is_newer(row: BackupCopy, coverage: Coverage | None) -> bool:
    verified_at = coverage.reading.verified_at if coverage is not None else None
    return verified_at is not None and row.copied_at is not None and row.copied_at > verified_at


def _promised_days() -> dict[int | None, int]:
    """The shortest time within which a schedule reads everything, by medium; None = every medium."""
    promises: dict[int | None, int] = {}
    schedules = Schedule.objects.filter(
        operation=ScheduledOperation.VERIFY, verify_how=VerifyHow.DAYS, is_active=True
    ).values_list("media", "verify_days")
    for media_id, days in schedules:
        promises[media_id] = min(days, promises.get(media_id, days))
    return promises


def _named(ids: Sequence[int]) -> dict[int, list[str]]:
    """The first damaged paths of each."""
    named: dict[int, list[str]] = defaultdict(list)
    if not ids:
        return named
    wanted = frozenset(ids)
    paths = DamagedPath.objects.filter(backup_copies__overlap=list(ids)).order_by("pk")
    for path, copies in paths.values_list("display_path", "backup_copies")[:_MOST_LOOKED_AT]:
        for pk in wanted.intersection(copies):
            if len(named[pk]) < NAMED:
                named[pk].append(path)
    return named
