"""A snapshot that goes from one access node to another: a job on a node of the source, and a process at the target."""

from __future__ import annotations

import logging
from typing import Any

from jobs import queues
from jobs.engine.errors import EngineError, EngineUnsupported, SourceUnavailable
from jobs.engine.events import FreeRun
from jobs.engine.snapshots.base import Replicated, SnapshotEngine, SnapshotRef, Streamer
from jobs.models import SnapshotReplica
from jobs.rules.placement import NoNode
from jobs.runner import meeting
from jobs.runner.task import Task
from jobs.services.placing import receiver_for
from jobs.services.replicas import target_of
from policies.models import AccessNode
from policies.resolve import build_engine

logger = logging.getLogger(__name__)


def send_to_node(
    task: Task, replica: SnapshotReplica, source: SnapshotEngine, ref: SnapshotRef, base: SnapshotRef | None
) -> Replicated:
    """Send a snapshot to a node of the replica's target. Raises SourceUnavailable while there is none, or it is silent;
    otherwise what :class:`~jobs.engine.snapshots.base.Streamer` raises.
    """
    if not isinstance(source, Streamer):
        raise EngineUnsupported(f"The engine “{source.label}” does not send snapshots to another node.")
    node = _receiver(replica)
    with meeting.ordered(node, queues.RECEIVE, {"replica": replica.pk}, task.orders) as channel:
        task.tell("receiver-chosen", f"Node {node.name} receives the snapshot, at {meeting.address_of(node)}.")
        return source.send(ref, base, channel, task.orders)


def receive(values: dict[str, Any], key: str) -> None:
    """The other end, in a process of its own on a node of the target. What fails is told to the sender and logged."""
    replica = SnapshotReplica.objects.select_related("copy__target_server", "snapshot").get(pk=values["replica"])
    control = FreeRun()
    try:
        engine = build_engine(target_of(replica.copy))
        if not isinstance(engine, Streamer):
            raise EngineUnsupported(f"The engine “{engine.label}” does not receive snapshots of another node.")
        with meeting.awaited(key, control) as channel:
            done = engine.receive(channel, control)
        logger.info("Snapshot %s was received, %s bytes.", replica.snapshot.name, done.sent_bytes)
    except EngineError as error:
        logger.warning("Snapshot %s was not received: %s", replica.snapshot.name, error.sentence)
        meeting.tell_failure(key, error)


def _receiver(replica: SnapshotReplica) -> AccessNode:
    answer = receiver_for(replica.copy)
    if isinstance(answer, NoNode):
        raise SourceUnavailable(f"No node of {target_of(replica.copy).name} can receive now: {answer.reason}")
    return AccessNode.objects.get(name=answer.name)
