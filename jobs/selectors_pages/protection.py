"""The state of all subclients at once: for the overview and for Protect. Seven queries, whatever their number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

from django.db.models import Count, Max, Min, Prefetch, Q, QuerySet
from django.db.models.functions import Coalesce, TruncDate
from django.utils import timezone

from jobs.models import BackupCopy, Job, JobState, Operation, Snapshot, SnapshotState
from jobs.rules import protection, states
from jobs.rules.waiting import OverdueAction
from policies.models import Copy, CopyKind, Subclient

STRIP_DAYS: Final = 30

_WORST: Final = (JobState.FAILED, JobState.KILLED, JobState.COMPLETED_WITH_ERRORS, JobState.COMPLETED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day of the strip. ``state`` is its worst job, '' = no job ended that day."""

    day: date
    state: str
    jobs: int


class _Snapshots(NamedTuple):
    """``taken``: the newest that was taken, though it may be deleted by now; ``point``, ``kept``: of what is there."""

    taken: datetime | None
    point: datetime | None
    kept: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubclientState:
    """A subclient with all that lists say about it. ``copied_point`` is the time of the newest snapshot on media."""

    subclient: Subclient
    verdict: protection.Verdict
    snapshot_point: datetime | None
    copied_point: datetime | None
    snapshots: int
    waiting: int
    oldest_waiting: datetime | None
    running: tuple[Job, ...]
    strip: tuple[Day, ...]

    @property
    def state(self) -> str:
        return self.verdict.protection.value


def backup_copies_prefetch() -> Prefetch[str, QuerySet[Copy], str]:
    """``policy.active_backup_copies``, with their media."""
    kinds = (CopyKind.PRIMARY_BACKUP, CopyKind.SECONDARY_BACKUP)
    copies = Copy.objects.filter(kind__in=kinds, is_active=True).select_related("media").order_by("precedence")
    return Prefetch("policy__copies", queryset=copies, to_attr="active_backup_copies")


def subclient_states(subclients: QuerySet[Subclient] | None = None) -> list[SubclientState]:
    """The state of these subclients (None = all), in the order of server and name."""
    rows = list(
        (Subclient.objects.all() if subclients is None else subclients)
        .select_related("file_server", "policy")
        .prefetch_related(backup_copies_prefetch())
        .order_by("file_server__name", "name")
    )
    keys = [row.pk for row in rows]
    now = timezone.now()
    present = Q(state=SnapshotState.PRESENT)
    snapshots = {
        pk: _Snapshots(taken, point, kept)
        for pk, taken, point, kept in Snapshot.objects.filter(subclient__in=keys)
        .exclude(state=SnapshotState.MISSING)
        .values_list("subclient")
        .annotate(
            taken=Max("taken_at"),
            point=Max("taken_at", filter=present),
            kept=Count("pk", filter=present),
        )
        .order_by()
    }
    copied = {
        (subclient, copy): point
        for subclient, copy, point in BackupCopy.objects.filter(snapshot__subclient__in=keys, state__in=states.ON_MEDIA)
        .values_list("snapshot__subclient", "copy")
        .annotate(Max("snapshot__taken_at"))
        .order_by()
    }
    waiting = {
        subclient: (count, oldest)
        for subclient, count, oldest in BackupCopy.objects.filter(
            snapshot__subclient__in=keys,
            snapshot__state=SnapshotState.PRESENT,
            state__in=states.WAITS,
            copy__is_active=True,
        )
        .exclude(due_at__gt=now)
        .values_list("snapshot__subclient")
        .annotate(number=Count("pk"), oldest=Min(Coalesce("selected_at", "snapshot__taken_at")))
        .order_by()
    }
    running = _running(keys)
    strips = history(keys)
    return [
        _state(
            row,
            now=now,
            snapshots=snapshots.get(row.pk, _Snapshots(None, None, 0)),
            copied={copy: copied.get((row.pk, copy.pk)) for copy in active_backup_copies(row)},
            waiting=waiting.get(row.pk, (0, None)),
            running=running[row.pk],
            strip=strips[row.pk],
        )
        for row in rows
    ]


def active_backup_copies(subclient: Subclient) -> list[Copy]:
    """What :func:`backup_copies_prefetch` left on the policy."""
    copies: list[Copy] = getattr(subclient.policy, "active_backup_copies")  # noqa: B009 - set by the prefetch
    return copies


def _state(
    subclient: Subclient,
    *,
    now: datetime,
    snapshots: _Snapshots,
    copied: dict[Copy, datetime | None],
    waiting: tuple[int, datetime | None],
    running: Sequence[Job],
    strip: Sequence[Day],
) -> SubclientState:
    points = protection.Points(
        is_active=subclient.is_active,
        snapshot=snapshots.taken,
        copies={copy.name: point for copy, point in copied.items()},
        oldest_waiting=waiting[1],
        alert_after=timedelta(hours=subclient.policy.alert_after_hours),
        overdue_after=timedelta(days=subclient.policy.overdue_after_days),
        overdue_action=OverdueAction(subclient.policy.overdue_action),
    )
    return SubclientState(
        subclient=subclient,
        verdict=protection.judge(points, now=now),
        snapshot_point=snapshots.point,
        copied_point=max((point for point in copied.values() if point), default=None),
        snapshots=snapshots.kept,
        waiting=waiting[0],
        oldest_waiting=waiting[1],
        running=tuple(running),
        strip=tuple(strip),
    )


def _running(keys: Iterable[int]) -> defaultdict[int, list[Job]]:
    found: defaultdict[int, list[Job]] = defaultdict(list)
    for job in Job.objects.filter(subclient__in=keys, state__in=states.ACTIVE).order_by("pk"):
        found[job.subclient_id or 0].append(job)
    return found


def history(keys: Iterable[int], *, days: int = STRIP_DAYS) -> dict[int, list[Day]]:
    """For each subclient one entry per day, oldest first, today last, in the current time zone."""
    today = timezone.localdate()
    first = today - timedelta(days=days - 1)
    start = timezone.make_aware(datetime.combine(first, datetime.min.time()))
    ended: dict[tuple[int, date], dict[str, int]] = defaultdict(dict)
    rows = (
        Job.objects.filter(Q(operation=Operation.SNAPSHOT) | Q(operation=Operation.BACKUP_COPY))
        .filter(subclient__in=keys, finished_at__gte=start)
        .annotate(day=TruncDate("finished_at"))
        .values_list("subclient", "day", "state")
        .annotate(Count("pk"))
        .order_by()
    )
    for subclient, day, state, count in rows:
        ended[subclient, day][state] = count
    dates = [first + timedelta(days=n) for n in range(days)]
    return {key: [_day(day, ended.get((key, day), {})) for day in dates] for key in keys}


def _day(day: date, counts: dict[str, int]) -> Day:
    worst = next((state.value for state in _WORST if state.value in counts), "")
    return Day(day=day, state=worst, jobs=sum(counts.values()))
