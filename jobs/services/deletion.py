"""Deleting snapshots from their storage because a person says so: what holds one, and what it takes nevertheless (V4).

What rules give up is in :mod:`jobs.services.removal`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction

from jobs.holds import Held, holds_of
from jobs.models import How, Initiator, Job, Operation, ScheduleRun, Snapshot, SnapshotState
from jobs.rules.holds import Hold
from jobs.services.dispatch import dispatch
from jobs.services.errors import CannotLaunch
from jobs.services.launch import Actor, create_job
from jobs.services.losses import record_losses
from jobs.services.refusals import refuse_held
from policies import audit

FORCED: Final = "forced"
"""Parameter of a deletion: why it is deleted although something holds it."""

UNFORCED: Final = frozenset({Hold.RUNNING, Hold.MOUNTED})
"""What somebody reads now is not pulled from under them, whatever reason is given."""

LONGEST_REASON: Final = 300

_REMEDIES: Final = {
    Hold.PINNED: "Unpin it on the page of its subclient, if nobody needs it any more.",
    Hold.NOT_COPIED: "Let it be copied, or prevent it from being copied. Deleted before, it is never copied.",
    Hold.BASE: "Without it, the next one looks at everything, or sends everything.",
    Hold.MOUNTED: "Unmount it first.",
    Hold.RUNNING: "Wait until the job is over, or kill it.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One hold as people read it: ``sentence`` is whole, ``remedy`` what to do or what it costs."""

    sentence: str
    remedy: str
    can_be_forced: bool


def explained_holds(snapshot: Snapshot) -> list[Explained]:
    """What keeps it from being deleted, each with its remedy; empty = nothing does."""
    return [
        Explained(
            sentence=f"{held.sentence[:1].upper()}{held.sentence[1:]}.",
            remedy=_REMEDIES.get(held.hold, ""),
            can_be_forced=held.hold not in UNFORCED,
        )
        for held in _held(snapshot)
    ]


def launch_snapshot_deletion(
    snapshot: Snapshot,
    *,
    forced_reason: str | None = None,
    user: Actor = None,
    initiator: str = Initiator.PERSON,
    how: str = How.WEB,
    schedule_run: ScheduleRun | None = None,
) -> Job:
    """Delete a snapshot from its storage; its backup copies stay. Refused while something holds it (RULES V4).

    ``forced_reason``: why it is deleted although something does; copies that waited for it are then skipped. What is
    mounted or read by a job is refused nevertheless. Raises CannotLaunch.
    """
    with transaction.atomic():
        snapshot = Snapshot.objects.select_for_update(of=("self",)).select_related("subclient").get(pk=snapshot.pk)
        parameters: dict[str, object] = {}
        told = f"Deletion of {snapshot.name}"
        if forced_reason is None:
            refuse_held(snapshot)
        else:
            reason = _reason(forced_reason)
            held = _refuse_unforced(snapshot)
            parameters[FORCED] = reason
            told += f" although {'; '.join(one.sentence for one in held)}" if held else ""
            told += f". Reason: {reason}"
        job = create_job(
            operation=Operation.DELETE_SNAPSHOT,
            subclient=snapshot.subclient,
            user=user,
            initiator=initiator,
            how=how,
            snapshot=snapshot,
            schedule_run=schedule_run,
            parameters=parameters,
        )
        audit.record(
            action=audit.Action.OPERATED,
            instance=snapshot,
            user=user,
            how=how if how in audit.How.values else audit.How.SYSTEM,
            sentence=f"{told}, job {job.pk}",
        )
    return dispatch(job.pk)


def holds_against(job: Job, snapshot: Snapshot) -> list[str]:
    """What keeps this job from deleting it now, as parts of sentences: for a forced one only what cannot be forced."""
    mine = f"job {job.pk} works on it"
    is_forced = bool(job.parameters.get(FORCED))
    return [
        held.sentence for held in _held(snapshot) if held.sentence != mine and (held.hold in UNFORCED or not is_forced)
    ]


def record_deletion(job: Job, snapshot: Snapshot, *, now: datetime) -> None:
    """It is gone. What was forced may have been waited for: those copies are given up (RULES B7)."""
    if reason := job.parameters.get(FORCED):
        who = job.started_by_label or "a script"
        record_losses([snapshot.pk], state=SnapshotState.DELETED, reason=f"Deleted by {who}: {reason}", now=now)
        return
    Snapshot.objects.filter(pk=snapshot.pk).update(state=SnapshotState.DELETED, deleted_at=now)


def _reason(text: str) -> str:
    reason = text.strip()
    if not reason:
        raise CannotLaunch("Say why it is deleted although something holds it.")
    if len(reason) > LONGEST_REASON:
        raise CannotLaunch(f"The reason is longer than {LONGEST_REASON} characters.")
    return reason


def _refuse_unforced(snapshot: Snapshot) -> list[Held]:
    if snapshot.state not in (SnapshotState.PRESENT, SnapshotState.DELETING):
        raise CannotLaunch(f"{snapshot.name} is not on the storage any more.")
    held = _held(snapshot)
    hard = [one.sentence for one in held if one.hold in UNFORCED]
    if hard:
        raise CannotLaunch(
            f"{snapshot.name} is in use: {'; '.join(hard)}.", hint="Unmount it, or wait until the job is over."
        )
    return held


def _held(snapshot: Snapshot) -> list[Held]:
    found: Iterable[Held] = holds_of([snapshot]).get(snapshot.pk, [])
    return list(found)
