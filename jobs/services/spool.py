"""Spool copies: which snapshots go once they are copied, and the sentence that says why (RULES P)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from django.utils import timezone

from jobs.engine.snapshots.base import Capability
from jobs.engine.snapshots.registry import ENGINES
from jobs.holds import AWAITED, holds_of
from jobs.models import BackupCopy, CatalogState, CopyState, Initiator, Job, Snapshot, SnapshotState
from jobs.progress import note
from jobs.rules import states
from jobs.rules.holds import Hold
from jobs.rules.spool import BY_HAND, AfterCopy, Catalog, SpoolItem, after_copy, spool_holds, spool_removals
from jobs.selectors import last_copied
from jobs.services.removal import retire_snapshot
from policies.models import Copy, CopyKind, Subclient
from policies.models.policy_choices import BACKUP_KINDS

_NOT_WAITED_FOR = (*AWAITED, CopyState.PARTIAL)


def apply_spool(subclient: Subclient, *, because_of: Job | None = None, now: datetime | None = None) -> list[Job]:
    """Retire what the spool no longer needs; returns the deletion jobs. Nothing for a copy with retention. Idempotent.

    ``because_of`` is the job whose page tells what became of the snapshots. To be called in the transaction that ended
    it: a deletion is a job of its own and never fails it (RULES P7).
    """
    primary = Copy.objects.filter(policy_id=subclient.policy_id, kind=CopyKind.PRIMARY_SNAP).first()
    if primary is None or not primary.is_spool:
        return []
    if frozen := _why_frozen(primary, subclient):
        _tell(because_of, "spool-kept", f"The snapshot stays: {frozen}")
        return []
    snapshots = {one.pk: one for one in subclient.snapshots.filter(state=SnapshotState.PRESENT)}
    items = spool_items(subclient, list(snapshots.values()), now=now or timezone.now())
    deletions = []
    for removal in spool_removals(snapshots=items):
        snapshot = snapshots[removal.id]
        reason = f"{removal.reason}{_because(snapshot, subclient)}"
        job = retire_snapshot(snapshot, reason=reason, initiator=snapshot.initiator, now=now)
        if job is not None:
            deletions.append(job)
            _tell(because_of, "spool-deleted", f"Snapshot {snapshot.name} is deleted by job {job.pk}. {reason}")
    for held in spool_holds(snapshots=items):
        snapshot = snapshots[held.id]
        reason = f"{held.reason}{_because(snapshot, subclient)}"
        if snapshot.retain_reason != reason:
            Snapshot.objects.filter(pk=snapshot.pk).update(retain_reason=reason, retain_until=None)
        if because_of is not None and because_of.snapshot_id == snapshot.pk:
            _tell(because_of, "spool-kept", f"Snapshot {snapshot.name} stays. {reason}")
    return deletions


def _why_frozen(primary: Copy, subclient: Subclient) -> str:
    if not primary.ages:
        return f"aging of the copy {primary.name} is off."
    if subclient.aging_frozen_at is not None:
        return "the source guard stopped aging of this subclient until somebody acknowledges it."
    return ""


def spool_items(subclient: Subclient, snapshots: Sequence[Snapshot], *, now: datetime) -> list[SpoolItem]:
    held = holds_of(snapshots, now=now)
    towards = _states(snapshots)
    bases = _bases_of_waiting(subclient)
    items = []
    for snapshot in snapshots:
        holds = {one.hold for one in held.get(snapshot.pk, [])}
        there = towards[snapshot.pk]
        is_copied = bool(there & {CopyState.COPIED, CopyState.AGED}) and not there & set(_NOT_WAITED_FOR)
        items.append(
            SpoolItem(
                id=snapshot.pk,
                taken_at=snapshot.taken_at,
                rule=rule_of(snapshot, subclient),
                is_copied_everywhere=is_copied,
                catalog_done=snapshot.catalog_state in (CatalogState.SKIPPED, CatalogState.DONE),
                is_needed=bool(holds & {Hold.RUNNING, Hold.NOT_COPIED}),
                is_mounted=Hold.MOUNTED in holds,
                is_pinned=Hold.PINNED in holds,
                is_base_of_next=snapshot.pk in bases or Hold.BASE in holds,
            )
        )
    return items


def rule_of(snapshot: Snapshot, subclient: Subclient) -> AfterCopy:
    """What the spool makes of a snapshot once it is copied (RULES P1-P3, P6)."""
    return after_copy(
        is_spool=True,
        keeps_base=_keeps_base(snapshot),
        catalog=Catalog(subclient.policy.catalog),
        initiator=snapshot.initiator,
    )


def _keeps_base(snapshot: Snapshot) -> bool:
    kind = ENGINES.get(snapshot.engine)
    return kind is not None and Capability.KEEPS_BASE_SNAPSHOT in kind.capabilities


def _states(snapshots: Sequence[Snapshot]) -> dict[int, set[str]]:
    """Towards every active copy that reads snapshots; what another backup copy feeds does not need them."""
    rows = BackupCopy.objects.filter(snapshot__in=snapshots, copy__is_active=True)
    rows = rows.exclude(copy__source__kind__in=BACKUP_KINDS)
    found: dict[int, set[str]] = defaultdict(set)
    for snapshot_id, state in rows.values_list("snapshot", "state"):
        found[snapshot_id].add(state)
    return found


def _bases_of_waiting(subclient: Subclient) -> set[int]:
    """Snapshots that a copy which waits will be compared with."""
    rows = BackupCopy.objects.filter(snapshot__subclient=subclient, copy__is_active=True, state__in=states.WAITS)
    bases = set()
    for row in rows.select_related("snapshot", "copy__media"):
        base = last_copied(subclient, row.copy, before=row.snapshot)
        if base is not None:
            bases.add(base.snapshot_id)
    return bases


def _because(snapshot: Snapshot, subclient: Subclient) -> str:
    """The circumstance that decided, for engines that could keep one; empty for all others."""
    if not _keeps_base(snapshot):
        return ""
    catalog = subclient.policy.catalog
    if catalog == Catalog.SKIP:
        return " Cataloging is off, so none is retained."
    started = "by a script" if snapshot.initiator == Initiator.SCRIPT else "by a person"
    if snapshot.initiator in BY_HAND:
        deferred = ", although the catalog is deferred" if catalog == Catalog.DEFERRED else ""
        return f" The snapshot job was started {started}{deferred}, so none is retained."
    words = "a deferred catalog" if catalog == Catalog.DEFERRED else "a catalog"
    return f" The snapshot job was started by a schedule and the policy has {words}, so exactly one is retained."


def _tell(job: Job | None, code: str, sentence: str) -> None:
    if job is not None:
        note(job.pk, code, sentence)
