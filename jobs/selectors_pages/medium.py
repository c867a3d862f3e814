"""What the page of a medium says of its space: how it grew, when it will be full, dedup, compression, requests.

How it grew is put together from what jobs left: a verification, a pruning and an attachment counted all of it; between
them, backup copies added what they stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any, Final

from django.db.models import Count, Q, Sum
from django.utils import timezone

from jobs.models import BackupCopy, Job, JobState, Operation
from jobs.rules import states
from policies.models import Media

GROWTH_DAYS: Final = 365
PACE_DAYS: Final = 30
"""The net growth of so many days forecasts when it is full."""

_LEAST_DAYS: Final = 3.0
_LONGEST_DAYS: Final = 730
_MOST_POINTS: Final = 240
_PACK_BYTES: Final = 16 * 2**20
_BESIDE_PACKS: Final = 4
"""Files a backup copy writes beside its packs, about: two locks, an index file, the snapshot file."""

_DONE: Final = (JobState.COMPLETED, JobState.COMPLETED_WITH_ERRORS)
_COUNTED: Final = {Operation.VERIFY: "packs_bytes", Operation.PRUNE: "bytes_after", Operation.ATTACH: "packs_bytes"}
_PACKS: Final = (Operation.VERIFY, Operation.ATTACH)
Growth = list[tuple[datetime, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MediumFigures:
    """None = unknown. ``dedup`` and ``compression`` are factors: 5.0 = five times less.

    ``days_to_full`` counts from now by ``growth_per_day``; ``writes``, ``reads`` are estimates of requests, all told.
    """

    copies: int
    logical_bytes: int
    dedup: float | None
    compression: float | None
    packs: int | None
    packs_at: datetime | None
    growth: Growth
    growth_per_day: float | None
    days_to_full: int | None
    writes: int
    reads: int

    @property
    def full_at(self) -> datetime | None:
        return None if self.days_to_full is None else timezone.now() + timedelta(days=self.days_to_full)


def figures_of(media: Media) -> MediumFigures:
    """Of everything on the medium: for whoever sees all of it. Four queries."""
    is_held, was_written = Q(state__in=states.ON_MEDIA), Q(stored_bytes__gt=0)
    sums = BackupCopy.objects.filter(media=media).aggregate(
        copies=Count("pk", filter=is_held),
        held=Sum("logical_bytes", filter=is_held),
        logical=Sum("logical_bytes", filter=was_written),
        new=Sum("new_bytes", filter=was_written),
        stored=Sum("stored_bytes", filter=was_written),
    )
    counted = _counted(media, timezone.now())
    growth = _growth(media, counted, timezone.now())
    pace = _pace(growth)
    packs, packs_at = _packs(counted)
    writes, reads = _requests(media)
    return MediumFigures(
        copies=sums["copies"],
        logical_bytes=sums["held"] or 0,
        dedup=_factor(sums["logical"], sums["new"]),
        compression=_factor(sums["new"], sums["stored"]),
        packs=packs,
        packs_at=packs_at,
        growth=growth,
        growth_per_day=pace,
        days_to_full=_days_to_full(media.free_bytes, pace),
        writes=writes,
        reads=reads,
    )


def growth_of(media: Media, *, now: datetime | None = None) -> Growth:
    """(moment, bytes the repository took) of the last year, oldest first; at most 240 points, the newest is kept."""
    now = now or timezone.now()
    return _growth(media, _counted(media, now), now)


def _counted(media: Media, now: datetime) -> list[tuple[datetime, str, Any]]:
    """(moment, operation, result) of the jobs of the last year that counted all of it."""
    since = now - timedelta(days=GROWTH_DAYS)
    jobs = Job.objects.filter(media=media, operation__in=_COUNTED, state__in=_DONE, finished_at__gte=since)
    rows = jobs.values_list("finished_at", "operation", "result")
    return [(at, operation, result) for at, operation, result in rows if at is not None]


def _growth(media: Media, counted: list[tuple[datetime, str, Any]], now: datetime) -> Growth:
    since = now - timedelta(days=GROWTH_DAYS)
    copied = Job.objects.filter(
        operation=Operation.BACKUP_COPY, copy__media=media, state__in=_DONE, finished_at__gte=since
    )
    events = list(counted)
    for at, stored in copied.values_list("finished_at", "bytes_stored"):
        events += [(at, "", stored)] if at is not None else []
    growth: Growth = []
    known = 0
    for at, operation, told in sorted(events, key=lambda event: event[0]):
        size = told.get(_COUNTED[Operation(operation)]) if operation else known + told
        if isinstance(size, int):
            known = size
            growth.append((at, known))
    step = max(1, -(-len(growth) // _MOST_POINTS))
    return growth[::-1][::step][::-1]


def _pace(growth: Growth) -> float | None:
    """Net bytes per day; None without three days of history."""
    if len(growth) < 2:
        return None
    last_at, last = growth[-1]
    recent = [(at, size) for at, size in growth if at >= last_at - timedelta(days=PACE_DAYS)]
    first_at, first = recent[0]
    days = (last_at - first_at) / timedelta(days=1)
    return (last - first) / days if days >= _LEAST_DAYS else None


def _days_to_full(free_bytes: int | None, pace: float | None) -> int | None:
    if free_bytes is None or pace is None or pace <= 0:
        return None
    days = round(free_bytes / pace)
    return days if days <= _LONGEST_DAYS else None


def _packs(counted: list[tuple[datetime, str, Any]]) -> tuple[int | None, datetime | None]:
    told = [(at, result) for at, operation, result in counted if operation in _PACKS]
    if not told:
        return None, None
    at, result = max(told, key=itemgetter(0))
    return result.get("packs"), at


def _requests(media: Media) -> tuple[int, int]:
    """(writes, reads) of all finished jobs, by what they moved: a pack is one write, 16 MiB read are one read."""
    done = Job.objects.filter(state__in=_DONE).order_by()
    parts = [
        rows.values_list("operation").annotate(Count("pk"), Sum("bytes_stored"), Sum("bytes_read"))
        for rows in (
            done.filter(operation=Operation.BACKUP_COPY, copy__media=media),
            done.filter(operation=Operation.RESTORE, backup_copy__media=media),
            done.filter(operation__in=(Operation.VERIFY, Operation.PRUNE), media=media),
        )
    ]
    writes = read = 0
    for operation, jobs, stored, size in parts[0].union(*parts[1:], all=True):
        if operation == Operation.BACKUP_COPY:
            writes = jobs * _BESIDE_PACKS + -(-(stored or 0) // _PACK_BYTES)
        else:
            read += size or 0
    return writes, -(-read // _PACK_BYTES)


def _factor(whole: int | None, part: int | None) -> float | None:
    return whole / part if whole and part else None
