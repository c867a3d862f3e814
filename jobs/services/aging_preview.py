"""What an edit of a copy would delete at the next aging, by the same judgement as aging itself (RULES R9).

Nothing is written: :mod:`jobs.services.aging_verdicts` is asked twice, with the copy as it is and as it would be.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from jobs.models import BackupCopy, SnapshotReplica
from jobs.rules import states
from jobs.services.aging_verdicts import Judged, judge_backup_copies, judge_replicas, judge_snapshots, judge_spool
from jobs.services.retention_rules import Calendar, Kept, calendar, kept_by
from policies.models import Copy, CopyKind, Subclient
from policies.models.policy_choices import BACKUP_KINDS
from policies.previews import Deletion

_KINDS: Final[Mapping[str, str]] = {
    CopyKind.PRIMARY_SNAP: "snapshot",
    CopyKind.SECONDARY_SNAP: "secondary snapshot",
    CopyKind.PRIMARY_BACKUP: "backup copy",
    CopyKind.SECONDARY_BACKUP: "backup copy",
}


def deletions_of_edit(copy: Copy, changes: Mapping[str, Any], *, now: datetime | None = None) -> list[Deletion]:
    """The provider of :mod:`policies.previews`; oldest first. Figures that no rule allows delete nothing: the form
    refuses them.
    """
    now = now or timezone.now()
    found = _by_retention(copy, changes, now)
    if changes.get("is_active", True) is False and copy.is_active:
        found += _by_deactivation(copy, now)
    return sorted(found, key=lambda one: (one.at or now, one.label))


def deletions_of_aging(among: QuerySet[Subclient] | None = None, *, now: datetime | None = None) -> list[Deletion]:
    """What an aging would mark now, of these subclients (None = of everything); oldest first."""
    now = now or timezone.now()
    days = calendar()
    found = []
    for copy in Copy.objects.select_related("policy").prefetch_related("extended"):
        for subclient in _subclients(copy, among):
            over = _over(copy, subclient, kept_by(copy), days, now).values()
            found += [_deletion(copy, subclient, one) for one in over]
    return sorted(found, key=lambda one: (one.at or now, one.label))


def _by_retention(copy: Copy, changes: Mapping[str, Any], now: datetime) -> list[Deletion]:
    before, after = kept_by(copy), kept_by(copy, changes)
    if before == after:
        return []
    days = calendar()
    found = []
    for subclient in _subclients(copy):
        kept = _over(copy, subclient, before, days, now)
        gone = _over(copy, subclient, after, days, now)
        found += [_deletion(copy, subclient, one) for pk, one in gone.items() if pk not in kept]
    return found


def _by_deactivation(copy: Copy, now: datetime) -> list[Deletion]:
    """RULES R5: snapshots that only this copy's waiting held. Tried in a transaction that is given up."""
    primary = Copy.objects.filter(policy=copy.policy_id, kind=CopyKind.PRIMARY_SNAP).first()
    if primary is None or primary.pk == copy.pk:
        return []
    days, kept = calendar(), kept_by(primary)
    subclients = _subclients(primary)
    before = {one.pk: _over(primary, one, kept, days, now) for one in subclients}
    with transaction.atomic():
        Copy.objects.filter(pk=copy.pk).update(is_active=False)
        after = {one.pk: _over(primary, one, kept, days, now) for one in subclients}
        transaction.set_rollback(True)
    return [
        _deletion(primary, subclient, one)
        for subclient in subclients
        for pk, one in after[subclient.pk].items()
        if pk not in before[subclient.pk]
    ]


def _over(copy: Copy, subclient: Subclient, kept: Kept, days: Calendar, now: datetime) -> dict[int, Judged]:
    """What is over its retention, by row id."""
    if kept.ages_nothing or subclient.aging_frozen_at is not None:
        return {}
    try:
        if copy.kind in BACKUP_KINDS:
            judged = judge_backup_copies(copy, subclient, kept, calendar=days, now=now)
        elif copy.kind == CopyKind.SECONDARY_SNAP:
            judged = judge_replicas(copy, subclient, kept, now=now)
        elif kept.is_spool:
            judged = judge_spool(subclient, ages=kept.ages, now=now)
        else:
            judged = judge_snapshots(subclient, kept, now=now)
    except ValueError:
        return {}
    return {one.pk: one for one in judged if one.verdict.is_aged}


def _subclients(copy: Copy, among: QuerySet[Subclient] | None = None) -> list[Subclient]:
    """Those whose snapshots or copies it keeps, also of subclients that moved to another policy meanwhile."""
    if copy.kind == CopyKind.PRIMARY_SNAP:
        wanted = Q(policy=copy.policy_id)
    elif copy.kind == CopyKind.SECONDARY_SNAP:
        replicas = SnapshotReplica.objects.filter(copy=copy, state__in=states.ON_MEDIA)
        wanted = Q(pk__in=replicas.values("snapshot__subclient"))
    else:
        rows = BackupCopy.objects.filter(copy=copy, state__in=states.ON_MEDIA)
        wanted = Q(pk__in=rows.values("snapshot__subclient"))
    known = Subclient.objects.all() if among is None else among
    return list(known.filter(wanted).select_related("file_server", "policy"))


def _deletion(copy: Copy, subclient: Subclient, one: Judged) -> Deletion:
    label = f"{subclient.path} on {copy.name}: {one.name}"
    return Deletion(kind=_KINDS[copy.kind], label=label, at=one.taken_at, reason=one.verdict.reason)
