"""Aging: every retention looked at, *retain until* and the reason on every row, what is over marked (RULES R4).

Nothing is deleted here: backup copies go with the next prune of their medium, snapshots by jobs of their own. It may
be stopped anywhere and run again. The judgement is :mod:`jobs.services.aging_verdicts`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.db import connection
from django.db.models import Q
from django.utils import timezone

from jobs.models import BackupCopy, CopyState, Initiator, Snapshot, SnapshotReplica
from jobs.rules import states
from jobs.services.aging_verdicts import Judged, judge_backup_copies, judge_replicas, judge_snapshots
from jobs.services.removal import retire_snapshot
from jobs.services.retention_rules import Calendar, calendar, kept_by
from jobs.services.secondary import delete_replica
from jobs.services.selection import refresh_selection
from jobs.services.spool import apply_spool
from policies.models import Copy, CopyKind, Subclient
from policies.models.policy_choices import BACKUP_KINDS

MOST_LISTED: Final = 200
"""Items that stay with the job by name; the counts are of all."""

_BATCH: Final = 1000
_AGED: Final = "aged"
_HOLDS_SOMETHING: Final = (*states.ON_MEDIA, CopyState.COPYING, CopyState.AGED)
"""An aged replica may still have to be deleted; a recopy runs beside what is on media."""

_WRITE: Final = """
    UPDATE {table} SET retain_until = said.at, retain_reason = said.why
    FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[]) AS said (id, at, why) WHERE {table}.id = said.id
"""


@dataclass(slots=True)
class Aged:
    """What one aging did, for the job's result. Counts are by the reason that holds a row, or ``aged``."""

    backup_copies: Counter[str] = field(default_factory=Counter)
    snapshots: Counter[str] = field(default_factory=Counter)
    replicas: Counter[str] = field(default_factory=Counter)
    items: list[dict[str, str]] = field(default_factory=list)
    logical_bytes: int = 0
    frozen: list[str] = field(default_factory=list)
    not_aging: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def count(self, counter: Counter[str], judged: Sequence[Judged]) -> None:
        for one in judged:
            counter[one.verdict.hold.value if one.verdict.hold else _AGED] += 1

    def list(self, kind: str, copy: Copy, subclient: Subclient, judged: Sequence[Judged]) -> None:
        for one in judged[: max(0, MOST_LISTED - len(self.items))]:
            about = {"kind": kind, "name": one.name, "subclient": subclient.path, "copy": str(copy)}
            self.items.append({**about, "taken_at": one.taken_at.isoformat(), "reason": one.verdict.reason})

    def as_result(self) -> dict[str, object]:
        return {
            "backup_copies": dict(self.backup_copies),
            "snapshots": dict(self.snapshots),
            "replicas": dict(self.replicas),
            "aged": self.aged,
            "aged_items": self.items,
            "logical_bytes": self.logical_bytes,
            "frozen": self.frozen,
            "not_aging": self.not_aging,
            "refused": self.refused,
        }

    @property
    def aged(self) -> int:
        return sum(counter[_AGED] for counter in (self.backup_copies, self.snapshots, self.replicas))

    @property
    def looked_at(self) -> int:
        return sum(counter.total() for counter in (self.backup_copies, self.snapshots, self.replicas))


def age_everything(
    *,
    now: datetime | None = None,
    initiator: str = Initiator.SCHEDULE,
    on_step: Callable[[Aged], None] = lambda _aged: None,
) -> Aged:
    """Age every copy of every subclient. ``on_step`` is called between subclients; what it raises ends the aging there.

    A subclient that the source guard froze and a copy whose aging is off keep everything, and say so (R10).
    """
    now = now or timezone.now()
    days = calendar()
    aged = Aged()
    holders = _holders()
    for subclient in Subclient.objects.select_related("file_server", "policy"):
        on_step(aged)
        if subclient.aging_frozen_at is not None:
            aged.frozen.append(subclient.path)
        refresh_selection(subclient, now=now)
        for copy in _copies_of(subclient, holders.get(subclient.pk, set())):
            try:
                _age(copy, subclient, aged, days=days, now=now, initiator=initiator)
            except ValueError as error:
                aged.refused.append(f"{copy} of {subclient.path} was left alone: {error}")
    aged.not_aging = [str(copy) for copy in Copy.objects.filter(ages=False).select_related("policy")]
    on_step(aged)
    return aged


def _holders() -> dict[int, set[int]]:
    """By subclient, the backup copies and secondary snap copies that hold something of it now."""
    held: dict[int, set[int]] = defaultdict(set)
    for model in (BackupCopy, SnapshotReplica):
        rows = model.objects.filter(state__in=_HOLDS_SOMETHING).order_by()
        for subclient_id, copy_id in rows.values_list("snapshot__subclient", "copy").distinct():
            held[subclient_id].add(copy_id)
    return held


def _copies_of(subclient: Subclient, held: set[int]) -> list[Copy]:
    """The primary of its policy and those that hold something of it, also of policies it was under before."""
    primary = Q(policy=subclient.policy_id, kind=CopyKind.PRIMARY_SNAP)
    found = Copy.objects.filter(primary | Q(pk__in=held)).select_related("policy")
    return list(found.order_by("policy__name", "precedence"))


def _age(copy: Copy, subclient: Subclient, aged: Aged, *, days: Calendar, now: datetime, initiator: str) -> None:
    if copy.kind in BACKUP_KINDS:
        _age_backup_copies(copy, subclient, aged, days=days, now=now)
    elif copy.kind == CopyKind.PRIMARY_SNAP:
        _age_snapshots(copy, subclient, aged, now=now, initiator=initiator)
    else:
        _age_replicas(copy, subclient, aged, now=now, initiator=initiator)


def _age_backup_copies(copy: Copy, subclient: Subclient, aged: Aged, *, days: Calendar, now: datetime) -> None:
    judged = judge_backup_copies(copy, subclient, kept_by(copy), calendar=days, now=now)
    _write_reasons(BackupCopy, judged)
    aged.count(aged.backup_copies, judged)
    over = [one for one in judged if one.verdict.is_aged]
    for batch in _batches(over):
        rows = BackupCopy.objects.filter(pk__in=[one.pk for one in batch], state__in=states.ON_MEDIA)
        rows.exclude(jobs__state__in=states.ACTIVE).update(
            state=CopyState.AGED, aged_at=now, state_reason=batch[0].verdict.reason
        )
    sizes = BackupCopy.objects.filter(pk__in=[one.pk for one in over], state=CopyState.AGED)
    aged.logical_bytes += sum(sizes.values_list("logical_bytes", flat=True))
    aged.list("backup copy", copy, subclient, over)


def _age_snapshots(copy: Copy, subclient: Subclient, aged: Aged, *, now: datetime, initiator: str) -> None:
    kept = kept_by(copy)
    if kept.is_spool:
        before = subclient.snapshots.filter(state=Snapshot.State.PRESENT).count()
        jobs = apply_spool(subclient, now=now)
        aged.snapshots[_AGED] += len(jobs)
        aged.snapshots["spool"] += before - len(jobs)
        return
    judged = judge_snapshots(subclient, kept, now=now)
    _write_reasons(Snapshot, judged)
    aged.count(aged.snapshots, judged)
    over = [one for one in judged if one.verdict.is_aged]
    stays = [one.pk for one in judged if not one.verdict.is_aged]
    subclient.snapshots.filter(pk__in=stays, aged_at__isnull=False).update(aged_at=None, aged_reason="")
    for snapshot in subclient.snapshots.filter(pk__in=[one.pk for one in over]).order_by("taken_at"):
        reason = next(one.verdict.reason for one in over if one.pk == snapshot.pk)
        retire_snapshot(snapshot, reason=reason, initiator=initiator, now=now)
    aged.list("snapshot", copy, subclient, over)


def _age_replicas(copy: Copy, subclient: Subclient, aged: Aged, *, now: datetime, initiator: str) -> None:
    judged = judge_replicas(copy, subclient, kept_by(copy), now=now)
    _write_reasons(SnapshotReplica, judged)
    aged.count(aged.replicas, judged)
    over = [one for one in judged if one.verdict.is_aged]
    for one in over:
        rows = SnapshotReplica.objects.filter(pk=one.pk, state__in=states.ON_MEDIA)
        rows.update(state=CopyState.AGED, aged_at=now, state_reason=one.verdict.reason)
    waiting = SnapshotReplica.objects.filter(
        copy=copy, snapshot__subclient=subclient, state=CopyState.AGED, deleted_at__isnull=True
    )
    for replica in waiting:
        delete_replica(replica, reason=replica.state_reason, initiator=initiator, now=now)
    aged.list("secondary snapshot", copy, subclient, over)


def _write_reasons(model: type[BackupCopy | Snapshot | SnapshotReplica], judged: Sequence[Judged]) -> None:
    """RULES R7, on the rows where it changed; by arrays, because a hundred thousand rows may change at once."""
    changed = [one for one in judged if one.says != one.said]
    statement = _WRITE.format(table=connection.ops.quote_name(model._meta.db_table))
    for batch in _batches(changed):
        says = [one.says for one in batch]
        with connection.cursor() as cursor:
            cursor.execute(statement, [[one.pk for one in batch], [at for at, _ in says], [why for _, why in says]])


def _batches(judged: Sequence[Judged]) -> list[Sequence[Judged]]:
    return [judged[start : start + _BATCH] for start in range(0, len(judged), _BATCH)]
