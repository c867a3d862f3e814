"""Which snapshots a backup copy takes, as rows: the rules of the policy asked again, marks heeded (RULES B2-B4, B10).

What becomes of a selected one (copying, copied, failed, skipped) is in :mod:`jobs.services.copy_states`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final, Self
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from jobs.models import BackupCopy, CopyState, Mark, Snapshot, SnapshotState
from jobs.rules import selection, states, waiting
from jobs.rules.levels import RunLevel
from jobs.rules.periods import Period, period_start
from jobs.rules.zones import local_moment
from jobs.selectors import backup_copies_of_policy, last_copied, waiting_backup_copies
from jobs.services.feeding import Supply, feed_of
from jobs.services.replicas import refresh_replicas
from policies.models import Copy, Installation, OverdueAction, StoragePolicy, Subclient

BY_RULE: Final = (CopyState.NOT_SELECTED, CopyState.CANDIDATE, CopyState.TO_BE_COPIED, CopyState.PREVENTED)
"""In these states the rules and the marks decide; in all others a job did, or a person did by a mark."""

_LEFT_BEHIND: Final = "A newer snapshot is on media already: what changed is in that copy."


def refresh_selection(subclient: Subclient, *, now: datetime | None = None) -> None:
    """Ask the rules again what every present snapshot is towards every active copy. Idempotent.

    A snapshot that the rules come to want only now stays behind if a newer one is on media: a gap is safe (B5).
    """
    now = now or timezone.now()
    refresh_replicas(subclient)
    asked: _Asked | None = None
    for copy in backup_copies_of_policy(subclient):
        with transaction.atomic(savepoint=False):
            undecided = list(_undecided(subclient, copy))
            if undecided:
                asked = asked or _Asked.of(subclient)
                _refresh(subclient, copy, asked, undecided, now=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the policy asks of every snapshot of one subclient."""

    rule: selection.SelectionRule
    is_excluded: bool

    @classmethod
    def of(cls, subclient: Subclient) -> Self:
        policy = subclient.policy
        return cls(rule=selection_rule(policy), is_excluded=policy.excluded_subclients.filter(pk=subclient.pk).exists())


def selection_rule(policy: StoragePolicy) -> selection.SelectionRule:
    """The policy's rule, in the installation's zone and weeks (RULES B2, B3)."""
    has_days = bool(policy.selection_period or policy.selection_starts_on)
    here = (Installation.objects.filter(pk=1).first() if has_days else None) or Installation()
    zone = ZoneInfo(here.time_zone)
    starts_on = policy.selection_starts_on
    return selection.SelectionRule(
        kind=selection.SelectionKind(policy.selection),
        period=Period(policy.selection_period) if policy.selection_period else None,
        starts_at=local_moment(datetime.combine(starts_on, time()), zone) if starts_on else None,
        defer_days=policy.defer_days,
        zone=zone,
        week_start=here.week_start,
    )


def row_of(snapshot: Snapshot, copy: Copy) -> BackupCopy:
    """The row of a snapshot towards a backup copy, made *not selected* if there is none yet."""
    if copy.media is None:
        raise ValueError(f"{copy} is no backup copy")
    defaults = {"media": copy.media, "state": CopyState.NOT_SELECTED}
    row, _created = BackupCopy.objects.get_or_create(snapshot=snapshot, copy=copy, defaults=defaults)
    return row


def pick_row(row: BackupCopy, *, reason: str, now: datetime) -> None:
    """*To be copied* by a person's word, at once; what it failed at before is forgotten (RULES B4)."""
    row.mark, row.state, row.state_reason = Mark.PICK, CopyState.TO_BE_COPIED, reason
    row.due_at, row.selected_at = None, row.selected_at or now
    row.failures, row.offline_attempts, row.offline_since = 0, 0, None
    row.save()


def next_to_copy(
    subclient: Subclient, copy: Copy, *, now: datetime | None = None, without: Collection[int] = ()
) -> BackupCopy | None:
    """The oldest snapshot that waits for this copy and whose deferral is over (RULES B5).

    One that its source has not got yet is waited for (B6): None, unless a job brings it.
    ``without``: ids of rows not to be taken.
    """
    rows = {row.pk: row for row in waiting_backup_copies(subclient, copy) if row.pk not in without}
    items = [
        waiting.WaitingItem(
            id=row.pk, taken_at=row.snapshot.taken_at, state=states.CopyState(row.state), due_at=row.due_at
        )
        for row in rows.values()
    ]
    while (found := waiting.next_to_copy(items, now=now or timezone.now())) is not None:
        row = rows[found.id]
        feed = feed_of(row.snapshot, copy)
        if feed.supply is not Supply.NEVER:
            return row if feed.supply in (Supply.READY, Supply.COMING) else None
        items.remove(found)
    return None


def skip_overdue(subclient: Subclient, copy: Copy, *, now: datetime | None = None) -> int:
    """RULES B10, “skip older and copy the newest”, if the policy says so. Returns how many were skipped."""
    now = now or timezone.now()
    policy = subclient.policy
    if policy.overdue_action != OverdueAction.SKIP_OLDER:
        return 0
    after = timedelta(days=policy.overdue_after_days)
    items = [
        waiting.OverdueItem(
            id=row.pk, taken_at=row.snapshot.taken_at, selected_at=row.selected_at or row.snapshot.taken_at
        )
        for row in waiting_backup_copies(subclient, copy)
        if not row.mark and (row.due_at is None or row.due_at <= now)
    ]
    ids = waiting.overdue_skips(items, waiting.OverdueAction(policy.overdue_action), now, after)
    reason = f"Overdue: something waited over {policy.overdue_after_days} days, so only the newest snapshot is copied."
    rows = BackupCopy.objects.filter(pk__in=ids, state__in=states.WAITS)
    return rows.update(state=CopyState.SKIPPED, state_reason=reason)


def _refresh(subclient: Subclient, copy: Copy, asked: _Asked, undecided: list[Snapshot], *, now: datetime) -> None:
    snapshots = _of_their_periods(subclient, undecided, asked.rule)
    rows = {
        row.snapshot_id: row
        for row in BackupCopy.objects.filter(
            copy=copy, snapshot__in=[one.pk for one in snapshots if one.is_present]
        ).select_for_update(of=("self",))
    }
    items = [
        selection.Selectable(
            id=one.pk,
            taken_at=one.taken_at,
            level=RunLevel(one.ran_level),
            mark=selection.Mark(rows[one.pk].mark) if one.pk in rows else selection.Mark.NONE,
            is_excluded=asked.is_excluded,
        )
        for one in snapshots
    ]
    decided = selection.select(items, asked.rule, now=now)
    to_write = []
    for snapshot in snapshots:
        row = rows.get(snapshot.pk)
        if not snapshot.is_present or (row is not None and row.state not in BY_RULE):
            continue
        if row is None or _differs(row, decided[snapshot.pk]):
            to_write.append((snapshot, row))
    if not to_write:
        return
    newest = last_copied(subclient, copy)
    new: list[BackupCopy] = []
    changed: list[BackupCopy] = []
    for snapshot, known in to_write:
        row = known or BackupCopy(snapshot=snapshot, copy=copy, media=copy.media, state=CopyState.NOT_SELECTED)
        (new if known is None else changed).append(row)
        is_behind = newest is not None and snapshot.taken_at <= newest.snapshot.taken_at
        _apply(row, decided[snapshot.pk], is_behind=is_behind, now=now)
    if new:
        BackupCopy.objects.bulk_create(new, ignore_conflicts=True)
    if changed:
        BackupCopy.objects.bulk_update(changed, ["state", "state_reason", "due_at", "selected_at"], batch_size=500)


def _undecided(subclient: Subclient, copy: Copy) -> QuerySet[Snapshot]:
    """Present snapshots of which neither a job nor a person's mark has the last word, oldest first."""
    settled = BackupCopy.objects.filter(snapshot=OuterRef("pk"), copy=copy).exclude(state__in=BY_RULE)
    return _for_rules(subclient.snapshots.filter(state=SnapshotState.PRESENT).exclude(Exists(settled)))


def _of_their_periods(subclient: Subclient, undecided: list[Snapshot], rule: selection.SelectionRule) -> list[Snapshot]:
    """With all others of their periods, gone ones, too: the first of a week stays it when it is deleted."""
    if rule.period is None:
        return undecided
    since = period_start(undecided[0].taken_at, rule.period, rule.zone, rule.week_start)
    return list(_for_rules(subclient.snapshots.filter(taken_at__gte=since)))


def _for_rules(snapshots: QuerySet[Snapshot]) -> QuerySet[Snapshot]:
    # without its subclient, which the query set knows, each row would be read once more
    return snapshots.only("subclient", "taken_at", "ran_level", "state").order_by("taken_at", "pk")


def _differs(row: BackupCopy, answer: selection.Selected) -> bool:
    return (row.state, row.state_reason, row.due_at) != (answer.state.value, answer.reason, answer.due_at)


def _apply(row: BackupCopy, answer: selection.Selected, *, is_behind: bool, now: datetime) -> None:
    """``selected_at`` is when its waiting begins: now, or when its deferral ends (RULES B10)."""
    wanted = answer.state in (states.CopyState.TO_BE_COPIED, states.CopyState.CANDIDATE)
    if is_behind and wanted and row.state == CopyState.NOT_SELECTED and not row.mark:
        row.state, row.state_reason, row.due_at = CopyState.NOT_SELECTED, _LEFT_BEHIND, None
        return
    was_waiting = row.state == CopyState.TO_BE_COPIED and row.selected_at is not None
    row.state, row.state_reason, row.due_at = CopyState(answer.state.value), answer.reason, answer.due_at
    if row.state != CopyState.TO_BE_COPIED:
        row.selected_at = None
    elif not was_waiting or (answer.due_at and row.selected_at != answer.due_at):
        row.selected_at = max(now, answer.due_at) if answer.due_at else now
