"""Who may run a job, as the lists of RULES N: by what it reads and where it writes. Choosing one is in ``dispatch``."""

from __future__ import annotations

from dataclasses import replace

from django.db.models import Q, QuerySet

from jobs.models import Job, Operation
from jobs.restore_sources import reach_of
from jobs.rules import placement
from jobs.rules.waiting import Source
from jobs.selectors import agents_of_media, node_figures, placement_lists
from jobs.services.feeding import chosen_source, feed_of, is_fed_from_media
from jobs.services.replicas import common_nodes, is_streamed, source_server_of, target_of
from jobs.services.restore_parameters import DESTINATION
from policies.models import AccessNode, Copy, CopyKind, FileServer, Subclient


def lists_of(job: Job) -> placement.Lists:
    """A node that a person chose needs no list; everything else goes by the configuration."""
    if job.parameters.get("node"):
        return placement.Lists()
    if job.operation == Operation.RESTORE:
        return _of_restore(job)
    if job.operation == Operation.REPAIR and job.subclient is not None:
        return placement_lists(subclient=job.subclient, copy=None)
    if job.operation == Operation.RECONCILE:
        return _of_storage(job)
    if (
        job.operation in (Operation.PRUNE, Operation.VERIFY, Operation.REPAIR, Operation.ATTACH)
        and job.media is not None
    ):
        return agents_of_media(job.media)
    if job.subclient is not None and job.copy is not None:
        match job.operation:
            case Operation.BACKUP_COPY:
                return _of_backup_copy(job, job.subclient, job.copy)
            case Operation.SECONDARY_COPY:
                return _of_transfer(job.subclient, job.copy)
            case Operation.DELETE_SNAPSHOT if job.replica is not None:
                nodes = job.replica.file_server.access_nodes.values_list("name", flat=True)
                return placement.Lists(file_server_nodes=tuple(nodes), snap_agents=_agents(job.copy))
    return placement_lists(subclient=job.subclient, copy=job.copy)


def _of_backup_copy(job: Job, subclient: Subclient, copy: Copy) -> placement.Lists:
    """RULES N2: the MediaAgents of the source snap copy. What is fed from a medium needs no node of the file server."""
    if is_fed_from_media(copy):
        return placement.Lists(snap_agents=_agents(copy.source), backup_agents=_agents(copy))
    usual = placement_lists(subclient=subclient, copy=copy)
    secondary = chosen_source(copy)
    if secondary is None or job.snapshot is None or feed_of(job.snapshot, copy).source is not Source.SECONDARY:
        return usual
    nodes = tuple(target_of(secondary).access_nodes.values_list("name", flat=True))
    if nodes:
        usual = replace(usual, subclient_nodes=(), file_server_nodes=nodes)
    return replace(usual, snap_agents=_agents(secondary))


def _of_transfer(subclient: Subclient, copy: Copy) -> placement.Lists:
    """The nodes that reach both storages; the subclient's own where they are among them.

    Where no node reaches both, a node of the source sends to one of the target: see :func:`receiver_for`.
    """
    source, target = source_server_of(subclient, copy), target_of(copy)
    if is_streamed(source, target):
        common = frozenset(source.access_nodes.values_list("name", flat=True))
    else:
        common = common_nodes(source, target) or frozenset()
    own = frozenset(subclient.access_nodes.values_list("name", flat=True)) & common
    primary = copy.source or Copy.objects.filter(policy=copy.policy_id, kind="primary_snap").first()
    return placement.Lists(
        subclient_nodes=own,
        file_server_nodes=common,
        snap_agents=_agents(primary),
        backup_agents=_agents(copy),
    )


def receiver_for(copy: Copy) -> placement.Chosen | placement.NoNode:
    """The node of a secondary snap copy's target that receives what another node sends (RULES N3, N4).

    Receiving takes no slot, so one that is busy may.
    """
    nodes = target_of(copy).access_nodes.values_list("name", flat=True)
    known = [node.with_room for node in node_figures()]
    return placement.choose(
        lists=placement.Lists(file_server_nodes=tuple(nodes), backup_agents=_agents(copy)), known=known
    )


def _of_restore(job: Job) -> placement.Lists:
    """RULES V2: any node, but what it reads and, in place, what it writes to must be reached from there (N1)."""
    if DESTINATION in job.parameters:
        return _of_undump(job)
    if job.subclient is None or (job.backup_copy_id is not None and not job.parameters.get("in_place")):
        return placement_lists(subclient=None, copy=job.copy)
    if job.replica is None:
        usual = placement_lists(subclient=job.subclient, copy=job.copy)
        return usual if job.backup_copy_id is None else replace(usual, snap_agents=())
    there = reach_of(job.replica.file_server)
    if job.parameters.get("in_place"):
        live = reach_of(job.subclient.file_server, job.subclient)
        there = there & live if there and live else there or live
    return placement.Lists(file_server_nodes=there or (), snap_agents=_agents(job.copy))


def _of_undump(job: Job) -> placement.Lists:
    """Who reaches the file server that writes the files; it says nothing where the subclient's own list is meant."""
    there = FileServer.objects.filter(pk=job.parameters[DESTINATION]["id"]).first()
    if there is None:
        return placement_lists(subclient=None, copy=job.copy)
    is_own = job.subclient is not None and job.subclient.file_server_id == there.pk
    nodes = reach_of(there, job.subclient if is_own else None)
    return placement.Lists(file_server_nodes=nodes or (), backup_agents=_agents(job.copy))


def _of_storage(job: Job) -> placement.Lists:
    """Who reaches a storage as such: its access nodes, else those of its subclients, else the MediaAgents on it."""
    server = job.parameters.get("file_server")
    reach = AccessNode.objects.filter(file_servers=server)
    own = AccessNode.objects.filter(subclients__file_server=server)
    here = Q(kind=CopyKind.PRIMARY_SNAP, policy__subclients__file_server=server) | Q(target_server=server)
    agents = AccessNode.objects.filter(agent_of_copies__in=Copy.objects.filter(here, is_active=True))
    return placement.Lists(
        file_server_nodes=_names(reach) or _names(own),
        snap_agents=_names(agents),
    )


def _names(nodes: QuerySet[AccessNode]) -> frozenset[str]:
    return frozenset(nodes.values_list("name", flat=True))


def _agents(copy: Copy | None) -> frozenset[str]:
    return frozenset(copy.media_agents.values_list("name", flat=True)) if copy is not None else frozenset()
