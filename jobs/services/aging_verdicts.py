"""What the rules say of everything that ages: rows in, verdicts out, nothing written (RULES R1-R7).

Aging writes what comes from here, and previews of edits compare it; so both always agree. Counted from the moment the
snapshot was taken: a backup copy that was made late is not kept longer for that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Q

from jobs.holds import AWAITED, Held, holds_of
from jobs.models import BackupCopy, CopyState, Job, Snapshot, SnapshotReplica, SnapshotState
from jobs.rules import states
from jobs.rules.holds import Hold
from jobs.rules.levels import RunLevel
from jobs.rules.retention import BackupItem, SnapItem, Verdict, age_backups, age_snapshots
from jobs.rules.spool import spool_removals
from jobs.services.retention_rules import Calendar, Kept
from jobs.services.spool import spool_items
from policies.models import Copy, Subclient

_ON_MEDIA: Final = Q(state__in=states.ON_MEDIA) | Q(state=CopyState.COPYING, snapshot_file_id__isnull=False)
"""A recopy keeps what is on media until it succeeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One row: its id, the snapshot's name and moment, what it said before, and what the rules say now."""

    pk: int
    name: str
    taken_at: datetime
    said: tuple[datetime | None, str]
    verdict: Verdict

    @property
    def says(self) -> tuple[datetime | None, str]:
        """RULES R7: *retain until* and the reason, with the word of what holds it first."""
        hold = self.verdict.hold
        reason = f"{hold.value.capitalize()}: {self.verdict.reason}" if hold else self.verdict.reason
        return self.verdict.retain_until, reason


def judge_backup_copies(
    copy: Copy, subclient: Subclient, kept: Kept, *, calendar: Calendar, now: datetime
) -> list[Judged]:
    """All of one subclient on one backup copy, oldest first. Raises ValueError for a rule that cannot be."""
    rows = list(
        BackupCopy.objects.filter(_ON_MEDIA, copy=copy, snapshot__subclient=subclient)
        .select_related("snapshot")
        .only("state", "ran_level", "retain_until", "retain_reason", *_of_snapshot("ran_level"))
        .order_by("snapshot__taken_at", "snapshot_id")
    )
    feeding = set(_still_feeding(copy, subclient))
    used = Job.objects.filter(
        state__in=states.ACTIVE, backup_copy__copy=copy, backup_copy__snapshot__subclient=subclient
    )
    in_use = set(used.values_list("backup_copy", flat=True))
    items = [
        BackupItem(
            id=row.pk,
            started_at=row.snapshot.taken_at,
            level=RunLevel(row.ran_level or row.snapshot.ran_level),
            is_complete=row.state == CopyState.COPIED,
            is_pinned=row.snapshot.is_pinned,
            pinned_until=row.snapshot.pinned_until,
            is_in_use=row.pk in in_use or row.state == CopyState.COPYING,
            holds=(Hold.NOT_COPIED,) if row.snapshot_id in feeding else (),
        )
        for row in rows
    ]
    verdicts = age_backups(
        items,
        kept.for_backups(),
        now=now,
        zone=calendar.zone,
        week_start=calendar.week_start,
        is_off=not kept.ages,
        is_frozen=subclient.aging_frozen_at is not None,
    )
    return [_judged(row, row.snapshot, verdicts[row.pk]) for row in rows]


def judge_snapshots(subclient: Subclient, kept: Kept, *, now: datetime) -> list[Judged]:
    """All snapshots of a subclient that are on its storage, by its primary snap copy, oldest first.

    One whose deletion is under way is left out. Raises ValueError.
    """
    rows = list(
        Snapshot.objects.filter(subclient=subclient, state=SnapshotState.PRESENT)
        .exclude(jobs__in=Job.objects.filter(operation=Job.Operation.DELETE_SNAPSHOT, state__in=states.ACTIVE))
        .order_by("taken_at", "pk")
    )
    held = holds_of(rows, now=now)
    items = [_snap_item(row.pk, row, held.get(row.pk, [])) for row in rows]
    verdicts = age_snapshots(
        items,
        kept.for_snapshots(),
        now=now,
        is_off=not kept.ages,
        is_frozen=subclient.aging_frozen_at is not None,
    )
    return [_judged(row, row, verdicts[row.pk]) for row in rows]


def judge_spool(subclient: Subclient, *, ages: bool, now: datetime) -> list[Judged]:
    """The same for a primary snap copy without retention: only those that may go now (RULES P)."""
    if not ages or subclient.aging_frozen_at is not None:
        return []
    rows = {row.pk: row for row in Snapshot.objects.filter(subclient=subclient, state=SnapshotState.PRESENT)}
    removals = spool_removals(snapshots=spool_items(subclient, list(rows.values()), now=now))
    return [
        _judged(rows[one.id], rows[one.id], Verdict(is_aged=True, retain_until=None, hold=None, reason=one.reason))
        for one in removals
    ]


def judge_replicas(copy: Copy, subclient: Subclient, kept: Kept, *, now: datetime) -> list[Judged]:
    """All of one subclient on one secondary snap copy, oldest first. Raises ValueError.

    The newest is the base of the next transfer; backup copies that are fed from this copy hold theirs (R5, R6).
    """
    rows = list(
        SnapshotReplica.objects.filter(copy=copy, snapshot__subclient=subclient, state__in=states.ON_MEDIA)
        .select_related("snapshot")
        .order_by("snapshot__taken_at", "snapshot_id")
    )
    ids = [row.pk for row in rows]
    used = set(Job.objects.filter(state__in=states.ACTIVE, replica__in=ids).values_list("replica", flat=True))
    feeding = set(_still_read_from(copy, subclient))
    items = []
    for row in rows:
        held = [Held(hold=Hold.PINNED, sentence="")] if _is_pinned(row.snapshot, now) else []
        held += [Held(hold=Hold.NOT_COPIED, sentence="")] if row.snapshot_id in feeding else []
        held += [Held(hold=Hold.RUNNING, sentence="")] if row.pk in used else []
        held += [Held(hold=Hold.BASE, sentence="")] if row is rows[-1] and copy.is_active else []
        items.append(_snap_item(row.pk, row.snapshot, held))
    verdicts = age_snapshots(
        items, kept.for_snapshots(), now=now, is_off=not kept.ages, is_frozen=subclient.aging_frozen_at is not None
    )
    return [_judged(row, row.snapshot, verdicts[row.pk]) for row in rows]


def _still_feeding(copy: Copy, subclient: Subclient) -> Iterator[int]:
    """Snapshots that another backup copy still takes from this one."""
    rows = BackupCopy.objects.filter(copy__source=copy, copy__is_active=True, state__in=AWAITED)
    return iter(rows.filter(snapshot__subclient=subclient).values_list("snapshot", flat=True))


def _still_read_from(copy: Copy, subclient: Subclient) -> Iterator[int]:
    """Snapshots that backup copies still read from this secondary snap copy (B6)."""
    rows = BackupCopy.objects.filter(copy__policy__backup_source=copy, copy__is_active=True, state__in=AWAITED)
    return iter(rows.filter(snapshot__subclient=subclient).values_list("snapshot", flat=True))


def _snap_item(pk: int, snapshot: Snapshot, held: Sequence[Held]) -> SnapItem:
    """A pin with a date speaks by its date, so that *retain until* is known."""
    dated = snapshot.pinned_until
    holds = tuple(one.hold for one in held if not (one.hold is Hold.PINNED and dated))
    return SnapItem(id=pk, taken_at=snapshot.taken_at, holds=holds, pinned_until=dated)


def _is_pinned(snapshot: Snapshot, now: datetime) -> bool:
    return snapshot.is_pinned and (snapshot.pinned_until is None or snapshot.pinned_until > now)


def _judged(row: BackupCopy | Snapshot | SnapshotReplica, snapshot: Snapshot, verdict: Verdict) -> Judged:
    return Judged(
        pk=row.pk,
        name=snapshot.name,
        taken_at=snapshot.taken_at,
        said=(row.retain_until, row.retain_reason),
        verdict=verdict,
    )


def _of_snapshot(*more: str) -> list[str]:
    return [f"snapshot__{name}" for name in ("name", "taken_at", "is_pinned", "pinned_until", "subclient_id", *more)]
