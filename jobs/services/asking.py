"""Short questions to an access node about a storage that only it sees, while a page or a command waits (V3, S6).

The answers are made in :mod:`jobs.runner.answering`; they are plain values, as JSON knows them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import redis

from jobs import queues
from jobs.engine.errors import EngineError, EngineUnsupported, rebuild
from jobs.models import Snapshot, SnapshotReplica
from jobs.rules import placement
from jobs.selectors import node_figures, placement_lists
from jobs.services.failures import NodeSilent
from policies.models import AccessNode
from policies.resolve import is_point

SECONDS: Final = 8.0
"""So long somebody waits for a page at most."""

ERROR: Final = "error"
"""Key of an answer that is a failure, with its code, sentence and hint."""


def ask_about(
    snapshot: Snapshot, question: str, values: dict[str, Any], *, replica: SnapshotReplica | None = None
) -> dict[str, Any]:
    """Ask a node that reaches the snapshot, or its ``replica`` on another storage (RULES N1, N2).

    Raises NodeSilent, and what the node raised.
    """
    if replica is None and is_point(snapshot.engine):
        raise EngineUnsupported(
            f"{snapshot.subclient.file_server.name} keeps no snapshots: {snapshot.name} is a point in the history, and "
            "its files are in its backup copies.",
            hint="Copy it, if that was not done yet.",
        )
    node = node_for(snapshot, replica)
    given = {**values, "snapshot": snapshot.pk, "replica": replica.pk if replica is not None else None}
    return ask_node(node, question, given)


def ask_node(node: AccessNode, question: str, values: dict[str, Any]) -> dict[str, Any]:
    """Ask one node. Raises NodeSilent, and what the node raised."""
    try:
        answer = queues.ask(node, question, values, seconds=SECONDS)
    except redis.RedisError as error:
        raise NodeSilent("The queue of the access nodes does not answer.") from error
    if answer is None:
        raise NodeSilent(f"The access node {node.name} did not answer within {SECONDS:.0f} s.")
    if ERROR in answer:
        told = answer[ERROR]
        raise rebuild(_kinds().get(told["code"], EngineError), told["sentence"], told["hint"])
    return answer


def node_for(snapshot: Snapshot, replica: SnapshotReplica | None) -> AccessNode:
    """A node that reaches the snapshot, or its replica. A question takes no slot, so one that is busy may answer.

    Raises NodeSilent.
    """
    if replica is None:
        lists = placement_lists(subclient=snapshot.subclient, copy=None)
    else:
        nodes = replica.file_server.access_nodes.values_list("name", flat=True)
        lists = placement.Lists(file_server_nodes=tuple(nodes))
    chosen = placement.choose(lists=lists, known=[node.with_room for node in node_figures()])
    if isinstance(chosen, placement.NoNode):
        raise NodeSilent(chosen.reason)
    return AccessNode.objects.get(name=chosen.name)


def _kinds() -> dict[str, type[EngineError]]:
    def below(kind: type[EngineError]) -> Iterator[type[EngineError]]:
        yield kind
        for child in kind.__subclasses__():
            yield from below(child)

    return {kind.code: kind for kind in below(EngineError)}
