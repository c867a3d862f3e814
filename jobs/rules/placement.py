"""RULES N: which access node runs a job, and the sentence that says why. Pure; the figures come from the nodes.

::

    nodes   = subclient.access_nodes or file_server.access_nodes           # N1
    agents  = MediaAgents of the source snap copy, else of the backup copy  # N2
    allowed = nodes if nodes else agents
    usable  = online, supports the engine, has a free slot
    pool    = (usable and in agents) or usable                             # N3
    choose    most available; ties: least recently used, then name         # N4
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from .states import JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFigures:
    """What a node said about itself, and what the job table knows about it.

    ``is_online`` = its figures are not older than 15 s and it takes work (enabled, not draining).
    ``last_used_at`` is seconds since the epoch of the last job it was chosen for, 0 = never.
    None for load, cores or memory = it did not say; it then counts as fully loaded, so that facts win.
    """

    name: str
    is_online: bool
    slots: int
    busy: int
    cores: int | None = None
    load_1m: float | None = None
    memory_free_bytes: int | None = None
    last_used_at: float = 0.0
    supports_engine: bool = True

    @property
    def free(self) -> int:
        return max(0, self.slots - self.busy)

    @property
    def with_room(self) -> NodeFigures:
        """For what takes no slot: Tests and receptions have workers of their own."""
        return replace(self, busy=min(self.busy, self.slots - 1))

    @property
    def idle_share(self) -> float:
        """1 - load/cores; negative when overloaded."""
        if self.load_1m is None or not self.cores:
            return 0.0
        return 1 - self.load_1m / self.cores


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The node, and the sentence and figures stored with the job."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoNode:
    """Nobody can run it now: *pending* when all are offline, *waiting* when all are busy (RULES N5)."""

    state: JobState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """Names as configured, each possibly empty. ``snap_agents`` are the MediaAgents of the source snap copy."""

    subclient_nodes: Collection[str] = ()
    file_server_nodes: Collection[str] = ()
    snap_agents: Collection[str] = ()
    backup_agents: Collection[str] = ()

    @property
    def nodes(self) -> frozenset[str]:
        """N1: the subclient's list replaces the agent's."""
        return frozenset(self.subclient_nodes or self.file_server_nodes)

    @property
    def agents(self) -> frozenset[str]:
        """N2: the MediaAgents of the source copy, else those of the backup copy."""
        return frozenset(self.snap_agents or self.backup_agents)


def choose(*, lists: Lists, known: Sequence[NodeFigures], avoid: str = "") -> Chosen | NoNode:
    """The node that runs the job. ``avoid`` is the node that lost its last attempt (RULES N6).

    With neither access nodes nor MediaAgents configured every known node is allowed: one machine needs no lists.
    """
    allowed_names = lists.nodes or lists.agents
    allowed = [node for node in known if not allowed_names or node.name in allowed_names]
    online = [node for node in allowed if node.is_online]
    if not online:
        return NoNode(state=JobState.PENDING, reason=_nobody_online(allowed_names))
    able = [node for node in online if node.supports_engine]
    if not able:
        return NoNode(state=JobState.PENDING, reason="No access node that is online supports this snapshot engine.")
    usable = [node for node in able if node.free]
    if not usable:
        return NoNode(state=JobState.WAITING, reason=f"No free slot on {_listed([node.name for node in able])}.")
    pool = [node for node in usable if node.name in lists.agents] or usable
    best = min(pool, key=lambda node: (node.name == avoid, *_order(node)))
    return Chosen(name=best.name, reason=f"{_rule(lists, pool, best)} {_figures(best)}")


def _order(node: NodeFigures) -> tuple[float, float, float, float, str]:
    """N4: free slots / slots, then 1 - load/cores, then free memory; ties: least recently used, then name."""
    memory = node.memory_free_bytes or 0
    return (-node.free / node.slots, -round(node.idle_share, 2), -(memory >> 28), node.last_used_at, node.name)


def _rule(lists: Lists, pool: Sequence[NodeFigures], best: NodeFigures) -> str:
    count = "the only one" if len(pool) == 1 else f"most available of {len(pool)}"
    if lists.nodes and best.name in lists.agents:
        return f"MediaAgent of the policy that is also an access node, {count}."
    if lists.nodes:
        whose = "the subclient" if lists.subclient_nodes else "the file server"
        return f"Access node of {whose}, {count} usable."
    if lists.agents:
        return f"No access nodes are configured: MediaAgent of the policy, {count} usable."
    return f"No access nodes or MediaAgents are configured: any node, {count} usable."


def _figures(node: NodeFigures) -> str:
    parts = [f"{node.free} of {node.slots} slots free"]
    if node.load_1m is not None and node.cores:
        parts.append(f"load {node.load_1m:.2f} on {node.cores} cores")
    if node.memory_free_bytes is not None:
        parts.append(f"{node.memory_free_bytes / 2**30:.1f} GiB memory free")
    return f"{', '.join(parts)}."


def _nobody_online(names: Collection[str]) -> str:
    if names:
        return f"No access node online: {_listed(names)}."
    return "No access node online."


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
