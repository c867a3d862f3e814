"""Reconciliation jobs: what the storage lists against what is recorded, and what a person decided about it (V4, B7)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from jobs.engine.errors import EngineError
from jobs.engine.events import Level, PhaseName
from jobs.engine.snapshots.base import Reverter, SnapshotEngine, SnapshotRef
from jobs.models import Job, Operation, Snapshot, SnapshotState
from jobs.rules import states
from jobs.rules.reconciliation import Comparison
from jobs.runner.reconciling import forget_missing, take_back, tell_left
from jobs.runner.references import ref_from_row, ref_of_replica, ref_to_json
from jobs.runner.task import Task
from jobs.services.failures import ConfigurationDeleted
from jobs.services.outcomes import Done, Outcome
from jobs.services.reconcile import ACCEPT, DELETE, FILE_SERVER, IMPORT
from jobs.services.returns import record_import, record_return
from jobs.services.storage_record import StorageRecord, record_of
from policies.models import FileServer, Subclient
from policies.resolve import build_engine

MOST_TOLD: Final = 200
"""So many of each kind the job's result names."""


@dataclass(slots=True, kw_only=True)
class Decided:
    """What became of what a person asked for by name."""

    imported: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    refused: int = 0


def run(task: Task) -> Outcome:
    """Look, do what a person decided, then write down what is missing and what is there again. Idempotent."""
    server = FileServer.objects.filter(pk=task.job.parameters.get(FILE_SERVER)).first()
    if server is None:
        raise ConfigurationDeleted("The file server of this job was deleted.")
    task.phase(PhaseName.PREPARE)
    engine = build_engine(server)
    task.phase(PhaseName.CHECK)
    listed = {str(ref.name): ref for ref in engine.list()}
    task.orders.check()
    record = record_of(server, listed=listed)
    decided = _decide(task, server, engine, listed, record)
    if decided.imported or decided.deleted:
        record = record_of(server, listed=listed)
    compared = record.compared_with(listed)
    missing, doubts = _really_missing(task, engine, record, compared)
    returned = take_back(task, record, compared.returned)
    unknown = [_describe(listed[name], server, record) for name in (*compared.left, *compared.unknown)]
    tell_left(task, unknown)
    reverted = _reverted_outside(task, server, engine)
    if record.of_another_engine:
        task.tell(
            "other-engine",
            f"{record.of_another_engine} snapshots are of another snapshot engine than {server.name} has now: "
            "they were not looked for.",
            level=Level.WARNING,
        )
    task.phase(PhaseName.FINISH)
    agrees = not (missing or doubts or returned or unknown or reverted)
    if agrees:
        task.tell("reconciled", f"{server.name} holds exactly what is recorded: {record.expected} snapshots.")
    return Done(
        exceptions=len(doubts) + decided.refused,
        result={
            "file_server": server.name,
            "listed": len(listed),
            "recorded": record.expected,
            "agrees": agrees,
            "missing": missing[:MOST_TOLD],
            "missing_count": len(missing),
            "returned": returned[:MOST_TOLD],
            "returned_count": len(returned),
            "unknown": unknown[:MOST_TOLD],
            "unknown_count": len(unknown),
            "doubted": doubts[:MOST_TOLD],
            "doubted_count": len(doubts),
            "reverted": reverted,
            "imported": decided.imported,
            "deleted": decided.deleted,
        },
    )


def _really_missing(
    task: Task, engine: SnapshotEngine, record: StorageRecord, compared: Comparison
) -> tuple[list[dict[str, object]], list[str]]:
    """What is written down as missing, and the names that are not, because the storage itself may be away."""
    gone = [name for name in compared.missing if not engine.exists(_ref(record, name))]
    if not gone:
        return [], []
    if compared.is_doubtful and not task.job.parameters.get(ACCEPT):
        task.tell(
            "storage-doubtful",
            f"Not one of the {len(gone)} recorded snapshots is there. Is the storage mounted on this access node, and "
            "its snapshot area the right one? Nothing was changed. If they are really gone, confirm it on this page.",
            level=Level.ERROR,
        )
        return [], gone
    return forget_missing(task, record, gone), []


def _ref(record: StorageRecord, name: str) -> SnapshotRef:
    if name in record.snapshots:
        return ref_from_row(record.snapshots[name])
    return ref_of_replica(record.replicas[name])


def _decide(
    task: Task, server: FileServer, engine: SnapshotEngine, listed: dict[str, SnapshotRef], record: StorageRecord
) -> Decided:
    """Only what nobody knows is imported or deleted, whatever was true when it was asked for."""
    compared = record.compared_with(listed)
    free = {*compared.left, *compared.unknown}
    decided = Decided()
    for name, subclient_id in task.job.parameters.get(IMPORT, {}).items():
        subclient = Subclient.objects.select_related("policy").filter(pk=subclient_id, file_server=server).first()
        if name not in free or name in record.replicas or subclient is None:
            decided.refused += _refuse(task, name, "imported")
            continue
        if name in record.snapshots:
            record_return(record.snapshots[name], pin_reason="taken back from the storage")
        else:
            record_import(listed[name], subclient, kept=ref_to_json(listed[name]))
        decided.imported.append(name)
        task.tell(
            "snapshot-imported", f"{name} is a snapshot of {subclient.path} now, pinned until somebody unpins it."
        )
    for name in task.job.parameters.get(DELETE, []):
        if name not in free:
            decided.refused += name in listed and _refuse(task, name, "deleted")
            continue
        try:
            engine.delete(listed[name])
        except EngineError as error:
            task.tell("not-deleted", f"{name} was not deleted: {error.sentence}", level=Level.ERROR)
            decided.refused += 1
            continue
        del listed[name]
        decided.deleted.append(name)
        task.tell("snapshot-deleted", f"{name}, which nobody knew, was deleted from the storage.")
    return decided


def _refuse(task: Task, name: str, word: str) -> int:
    task.tell(f"not-{word}", f"{name} was not {word}: it is not there, or it is known by now.", level=Level.WARNING)
    return 1


def _describe(ref: SnapshotRef, server: FileServer, record: StorageRecord) -> dict[str, object]:
    """For the result: enough to decide by. ``subclient`` is the one whose content it holds, '' if none has the same."""
    known = record.snapshots.get(ref.name)
    replica = record.replicas.get(ref.name)
    owner = known.subclient if known is not None else (None if replica is not None else _owner(ref, server))
    return {
        "name": ref.name,
        "taken_at": datetime.fromtimestamp(ref.taken_at_ns / 1e9, tz=UTC).isoformat(),
        "content": list(ref.content),
        "subclient": owner.path if owner else "",
        "subclient_id": owner.pk if owner else None,
        "was_deleted": known is not None or replica is not None,
        "is_replica": replica is not None,
    }


def _owner(ref: SnapshotRef, server: FileServer) -> Subclient | None:
    of_server = Subclient.objects.filter(file_server=server).select_related("file_server").order_by("pk")
    return next((one for one in of_server if sorted(one.content_paths) == sorted(ref.content)), None)


def _reverted_outside(task: Task, server: FileServer, engine: SnapshotEngine) -> list[str]:
    """Subclients whose live data is another than the newest snapshot was taken of, though no revert of ours did it."""
    if not isinstance(engine, Reverter):
        return []
    found = []
    for newest in _newest(server):
        try:
            was_exchanged = engine.was_exchanged_since(ref_from_row(newest))
        except EngineError:
            continue
        if was_exchanged and not _was_reverted_since(server, newest):
            found.append(newest.subclient.path)
            task.tell(
                "reverted-outside",
                f"The live data of {newest.subclient.path} was exchanged for another since "
                f"{newest.taken_at:%Y-%m-%d %H:%M} UTC, and not by a job of this installation. The next snapshot "
                "holds what is live now; what was there before is in the older ones.",
                level=Level.WARNING,
            )
    return found


def _newest(server: FileServer) -> Iterable[Snapshot]:
    rows = Snapshot.objects.filter(
        subclient__file_server=server, engine=server.engine, state=SnapshotState.PRESENT
    ).select_related("subclient__file_server")
    return rows.order_by("subclient_id", "-taken_at", "-pk").distinct("subclient_id")


def _was_reverted_since(server: FileServer, newest: Snapshot) -> bool:
    since = Job.objects.filter(operation=Operation.REVERT, subclient__file_server=server)
    is_later = since.filter(finished_at__gt=newest.taken_at) | since.filter(state__in=states.ACTIVE)
    return is_later.exists()
