"""What a reconciliation writes down, and in which words: the missing, the returned, what nobody knows (V4, B7)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import transaction
from django.utils import timezone

from jobs.engine.events import Level
from jobs.holds import holds_of
from jobs.models import CopyState, Snapshot, SnapshotReplica, SnapshotState
from jobs.rules import states
from jobs.rules.holds import Hold
from jobs.runner.task import Task
from jobs.services.losses import give_up_copies, record_losses
from jobs.services.returns import record_replica_return, record_return
from jobs.services.storage_record import StorageRecord
from policies import audit


def forget_missing(task: Task, record: StorageRecord, names: Sequence[str]) -> list[dict[str, object]]:
    """Each that is still recorded as there becomes *missing*, audited, with what that means; for the job's result."""
    found = []
    held = holds_of([record.snapshots[name] for name in names if name in record.snapshots])
    for name in names:
        task.orders.check()
        if name in record.snapshots:
            snapshot = record.snapshots[name]
            kept_for = [one.sentence for one in held.get(snapshot.pk, []) if one.hold is not Hold.NOT_COPIED]
            told = _forget_snapshot(task, snapshot, kept_for)
        else:
            told = _forget_replica(task, record.replicas[name])
        if told is not None:
            found.append(told)
    return found


def take_back(task: Task, record: StorageRecord, names: Iterable[str]) -> list[dict[str, object]]:
    """What was missing and is there again: repaired, and what gave up waiting for it is decided anew."""
    found = []
    for name in names:
        if name in record.snapshots:
            snapshot = record.snapshots[name]
            waiting, where = record_return(snapshot), ""
        else:
            replica = record.replicas[name]
            snapshot, where = replica.snapshot, f" on {replica.copy.name}"
            waiting = record_replica_return(replica)
        means = f"Decided anew: {', '.join(waiting)}." if waiting else "Nothing was waiting for it."
        _tell(task, snapshot, f"Back again{where}: {name}. {means}", code="snapshot-returned")
        found.append(_row(snapshot, where=where, means=means))
    return found


def tell_left(task: Task, unknown: Sequence[dict[str, object]]) -> None:
    if unknown:
        task.tell(
            "snapshots-unknown",
            f"{len(unknown)} snapshot{'' if len(unknown) == 1 else 's'} with names of this installation "
            f"{'is' if len(unknown) == 1 else 'are'} on the storage, and the database does not count on "
            f"{'it' if len(unknown) == 1 else 'them'}. They stay until somebody imports or deletes them.",
            level=Level.WARNING,
        )


def _forget_snapshot(task: Task, snapshot: Snapshot, kept_for: list[str]) -> dict[str, object] | None:
    reason = f"Job {task.job.pk} found that it was deleted outside."
    with transaction.atomic():
        present = Snapshot.objects.select_for_update(of=("self",)).filter(pk=snapshot.pk, state=SnapshotState.PRESENT)
        if not present.exists():
            return None
        given_up = record_losses([snapshot.pk], state=SnapshotState.MISSING, reason=reason, now=timezone.now())
        means = _means(given_up.get(snapshot.pk, []), kept_for, has_copy=_has_copy(snapshot))
        _tell(task, snapshot, f"Missing, deleted outside: {snapshot.name}. {means}", code="snapshot-missing")
    return _row(snapshot, where="", means=means)


def _forget_replica(task: Task, replica: SnapshotReplica) -> dict[str, object] | None:
    """It is not sent again by itself (B4); what reads backup copies from there has to do without."""
    place = replica.copy.name
    with transaction.atomic():
        there = SnapshotReplica.objects.filter(pk=replica.pk, state__in=states.ON_MEDIA)
        reason = f"Missing: job {task.job.pk} found that it was deleted from {place} outside."
        if not there.update(state=CopyState.SKIPPED, state_reason=reason):
            return None
        snapshot = Snapshot.objects.get(pk=replica.snapshot_id)
        given_up = give_up_copies(snapshot, reason=f"It is missing on {place}.")
        means = _means(given_up, [], has_copy=True)
        means += " The next transfer sends everything if no older one is on both."
        _tell(task, snapshot, f"Missing on {place}, deleted outside: {snapshot.name}. {means}", code="replica-missing")
    return _row(replica.snapshot, where=f" on {place}", means=means)


def _means(given_up: Sequence[str], kept_for: Sequence[str], *, has_copy: bool) -> str:
    """What follows from a loss, in sentences."""
    told = []
    if given_up:
        told.append(f"Skipped (missing) towards {', '.join(given_up)}.")
    for sentence in kept_for:
        if "compared with it" in sentence:
            told.append(f"It was kept because {sentence}: that copy is now a full look at everything.")
        elif "starts from it" in sentence:
            told.append(f"It was kept because {sentence}: that one now sends everything.")
        else:
            told.append(f"It was held: {sentence}.")
    if not has_copy:
        told.append("No backup copy of it is on media: its data is lost.")
    return " ".join(told) or "Its backup copies stay; nothing else waited for it."


def _has_copy(snapshot: Snapshot) -> bool:
    on_media = snapshot.backup_copies.filter(state__in=states.ON_MEDIA).exists()
    return on_media or snapshot.replicas.filter(state__in=states.ON_MEDIA).exists()


def _tell(task: Task, snapshot: Snapshot, sentence: str, *, code: str) -> None:
    """In the job's story and in the audit trail."""
    level = Level.INFO if code == "snapshot-returned" else Level.WARNING
    task.tell(code, sentence, level=level)
    user = task.job.started_by
    audit.record(
        action=audit.Action.OPERATED,
        instance=snapshot,
        user=user,
        how=task.job.how if task.job.how in audit.How.values else audit.How.SYSTEM,
        sentence=sentence,
    )


def _row(snapshot: Snapshot, *, where: str, means: str) -> dict[str, object]:
    """Of a snapshot that was sent here the source is not named: not everybody who sees this storage may see that."""
    return {
        "name": snapshot.name,
        "subclient": "" if where else snapshot.subclient.path,
        "taken_at": snapshot.taken_at.isoformat(),
        "where": where.strip(),
        "means": means,
    }
