"""What the page of a medium says of its space: how it grew, when it will be full, dedup, compression, requests.

How it grew is put together from what jobs left: a verification, a pruning and an attachment counted all of it; between
them, backup copies added what they stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Count, Sum
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
_PACKS: Final = {Operation.VERIFY: "packs", Operation.ATTACH: "packs"}
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
    """Of everything on the medium: for whoever sees all of it. Five queries."""
    rows = BackupCopy.objects.filter(media=media)
    held = rows.filter(state__in=states.ON_MEDIA).aggregate(copies=Count("pk"), logical=Sum("logical_bytes"))
    ever = rows.filter(stored_bytes__gt=0).aggregate(
        logical=Sum("logical_bytes"), new=Sum("new_bytes"), stored=Sum("stored_bytes")
    )
    growth = growth_of(media)
    pace = _pace(growth)
    packs, packs_at = _packs(media)
    writes, reads = _requests(media)
    return MediumFigures(
        copies=held["copies"],
        logical_bytes=held["logical"] or 0,
        dedup=_factor(ever["logical"], ever["new"]),
        compression=_factor(ever["new"], ever["stored"]),
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
    since = (now or timezone.now()) - timedelta(days=GROWTH_DAYS)
    counted = Job.objects.filter(media=media, operation__in=_COUNTED, state__in=_DONE, finished_at__gte=since)
    copied = Job.objects.filter(
        operation=Operation.BACKUP_COPY, copy__media=media, state__in=_DONE, finished_at__gte=since
    )
    events: list[tuple[datetime, str, Any]] = []
    for at, operation, result in counted.values_list("finished_at", "operation", "result"):
        events += [(at, operation, result)] if at is not None else []
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


def _packs(media: Media) -> tuple[int | None, datetime | None]:
    jobs = Job.objects.filter(media=media, operation__in=_PACKS, state__in=_DONE).order_by("-finished_at")
    found = jobs.values_list("result", "finished_at").first()
    return (found[0].get("packs"), found[1]) if found is not None else (None, None)


def _requests(media: Media) -> tuple[int, int]:
    """(writes, reads) of all finished jobs, by what they moved: a pack is one write, 16 MiB read are one read."""
    copies = Job.objects.filter(operation=Operation.BACKUP_COPY, copy__media=media, state__in=_DONE)
    wrote = copies.aggregate(jobs=Count("pk"), stored=Sum("bytes_stored"))
    restores = Job.objects.filter(operation=Operation.RESTORE, backup_copy__media=media, state__in=_DONE)
    upkeep = Job.objects.filter(media=media, operation__in=(Operation.VERIFY, Operation.PRUNE), state__in=_DONE)
    read = sum(rows.aggregate(size=Sum("bytes_read"))["size"] or 0 for rows in (restores, upkeep))
    writes = wrote["jobs"] * _BESIDE_PACKS + -(-(wrote["stored"] or 0) // _PACK_BYTES)
    return writes, -(-read // _PACK_BYTES)


def _factor(whole: int | None, part: int | None) -> float | None:
    return whole / part if whole and part else None
