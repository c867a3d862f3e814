"""What a node answers at once, without a job: a folder of a snapshot, what a revert would do, locks (V3, S6, J3)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from jobs.engine.errors import EngineError, EngineUnsupported, SnapshotMissing
from jobs.engine.events import FreeRun
from jobs.engine.operations.snapshot_listing import list_snapshot
from jobs.engine.snapshots.base import Reverter, SnapshotEngine, SnapshotRef
from jobs.models import Snapshot, SnapshotReplica
from jobs.runner.medium_locks import clear_one, tell_locks
from jobs.runner.references import ref_from_row, ref_of_replica, source_roots
from jobs.services.asking import ERROR
from jobs.services.live_folder import FOLDER, MOST_ENTRIES, entry_to_json
from jobs.services.locks import CLEAR_LOCK, LOCKS
from jobs.services.revert_preview import LOOK_SECONDS, REVERT_PLAN, plan_to_json
from policies.resolve import build_engine

logger = logging.getLogger(__name__)


def answer(question: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The answer as JSON; a failure is one, too. Changes nothing but a lock that it is told to clear."""
    try:
        if question in _OF_A_MEDIUM:
            return _OF_A_MEDIUM[question](values)
        engine, ref = asked_about(values)
        return _ANSWERS[question](engine, ref, values)
    except EngineError as error:
        return {ERROR: {"code": error.code, "sentence": error.sentence, "hint": error.hint}}
    except Exception as error:
        logger.exception("A question about a storage met an error nobody expected.")
        told = f"Something unexpected happened: {type(error).__name__}: {error}"
        return {ERROR: {"code": "unexpected", "sentence": told, "hint": "The node's log has the details."}}


def asked_about(values: Mapping[str, Any]) -> tuple[SnapshotEngine, SnapshotRef]:
    """The snapshot, or the replica, that ``values`` name. Raises SnapshotMissing."""
    if values.get("replica") is not None:
        replica = SnapshotReplica.objects.select_related("snapshot", "file_server").get(pk=values["replica"])
        return build_engine(replica.file_server), ref_of_replica(replica)
    snapshot = Snapshot.objects.select_related("subclient__file_server").get(pk=values["snapshot"])
    if snapshot.engine != snapshot.subclient.file_server.engine:
        raise SnapshotMissing(f"{snapshot.subclient.file_server.name} has another snapshot engine now.")
    return build_engine(snapshot.subclient.file_server), ref_from_row(snapshot)


def _folder(engine: SnapshotEngine, ref: SnapshotRef, values: Mapping[str, Any]) -> dict[str, Any]:
    with engine.open(ref) as opened:
        entries = list_snapshot(source_roots(opened), bytes.fromhex(values["path"]))
    return {"entries": [entry_to_json(entry) for entry in entries[:MOST_ENTRIES]], "count": len(entries)}


def _revert_plan(engine: SnapshotEngine, ref: SnapshotRef, _values: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(engine, Reverter):
        raise EngineUnsupported(f"The snapshot engine {engine.label} cannot revert.", hint="Restore in place instead.")
    return plan_to_json(engine.plan_revert(ref, FreeRun(), seconds=LOOK_SECONDS))


_ANSWERS: Final[Mapping[str, Callable[[SnapshotEngine, SnapshotRef, Mapping[str, Any]], dict[str, Any]]]] = {
    FOLDER: _folder,
    REVERT_PLAN: _revert_plan,
}

_OF_A_MEDIUM: Final[Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    LOCKS: tell_locks,
    CLEAR_LOCK: clear_one,
}
