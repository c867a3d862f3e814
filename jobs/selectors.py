"""Every read of the work that deserves a name. No writes."""

from __future__ import annotations

import time
from collections.abc import Iterable

from django.db.models import Count, Exists, Max, Model, OuterRef, Q, QuerySet
from django.utils import timezone

from jobs.holds import holds_of
from jobs.models import BackupCopy, CopyState, Job, JobState, Level, Operation, Snapshot, SnapshotReplica, SnapshotState
from jobs.rules import placement, states
from policies.models import AccessNode, Copy, CopyKind, FileServer, Media, Subclient
from policies.models.policy_choices import BACKUP_KINDS

_WITHOUT_SLOT = (
    Operation.TEST,
    Operation.DEMO,
    Operation.AGING,
    Operation.MOUNT,
    Operation.UNMOUNT,
    Operation.RECONCILE,
)
_IS_PREVIEW = Q(operation=Operation.RESTORE, parameters__dry_run=True)
_ASKS_AGAIN = (Operation.TEST, Operation.RECONCILE)
_PROVES_A_MEDIUM = (Operation.VERIFY, Operation.REPAIR)
_ON_A_NODE = (JobState.QUEUED, JobState.RUNNING)


def active_jobs() -> QuerySet[Job]:
    """Jobs that are not over, newest first."""
    return Job.objects.filter(state__in=states.ACTIVE)


def jobs_needing_attention() -> QuerySet[Job]:
    """Failed or completed with errors, and nobody acknowledged them yet (RULES J1).

    A test or reconciliation that failed is forgiven as soon as a later one of the same object passes; a failed
    verification or repair, as soon as a later one of the medium finds nothing wrong: each reads again what was damaged.
    What a dry run finds is its answer.
    """
    bad = Job.objects.filter(state__in=(JobState.FAILED, JobState.COMPLETED_WITH_ERRORS), acknowledged_at__isnull=True)
    passed = Job.objects.filter(
        operation=OuterRef("operation"),
        state=JobState.COMPLETED,
        pk__gt=OuterRef("pk"),
        file_server_label=OuterRef("file_server_label"),
        media_label=OuterRef("media_label"),
    )
    clean = Job.objects.filter(
        operation__in=_PROVES_A_MEDIUM, state=JobState.COMPLETED, pk__gt=OuterRef("pk"), media=OuterRef("media")
    )
    return (
        bad.exclude(Q(operation__in=_ASKS_AGAIN) & Exists(passed))
        .exclude(Q(operation__in=_PROVES_A_MEDIUM) & Exists(clean))
        .exclude(_IS_PREVIEW)
    )


def node_figures() -> list[placement.NodeFigures]:
    """What RULES N need to know of every node, busy slots counted from the job table, so that they are exact."""
    now = time.time()
    nodes = AccessNode.objects.annotate(
        assigned=Count(
            "jobs",
            filter=Q(jobs__state__in=_ON_A_NODE)
            & ~Q(jobs__operation__in=_WITHOUT_SLOT)
            & ~Q(jobs__operation=Operation.RESTORE, jobs__parameters__dry_run=True),
        ),
        last_used_at=Max("jobs__queued_at"),
    )
    return [
        placement.NodeFigures(
            name=node.name,
            is_online=node.takes_work,
            slots=node.slots,
            busy=node.assigned,
            cores=node.cores,
            load_1m=node.load_1m,
            memory_free_bytes=node.memory_free_bytes,
            last_used_at=min(node.last_used_at.timestamp(), now) if node.last_used_at else 0.0,
        )
        for node in nodes
    ]


def placement_lists(*, subclient: Subclient | None, copy: Copy | None) -> placement.Lists:
    """The configured lists that decide where a job of this subclient and copy may run (RULES N1, N2)."""
    if subclient is None:
        return placement.Lists(backup_agents=_names(copy.media_agents.all()) if copy else ())
    copies = Copy.objects.filter(policy_id=subclient.policy_id, is_active=True)
    snap = copies.filter(kind=CopyKind.PRIMARY_SNAP).first()
    backup = copy or copies.filter(kind=CopyKind.PRIMARY_BACKUP).first()
    listed = AccessNode.objects.annotate(
        _subclient=_lists_node(Subclient.access_nodes.through, subclient=subclient),
        _server=_lists_node(FileServer.access_nodes.through, fileserver=subclient.file_server_id),
        _snap=_lists_node(Copy.media_agents.through, copy=snap),
        _backup=_lists_node(Copy.media_agents.through, copy=backup),
    ).values_list("name", "_subclient", "_server", "_snap", "_backup")
    rows = list(listed)
    names = [frozenset(row[0] for row in rows if row[column]) for column in range(1, 5)]
    return placement.Lists(
        subclient_nodes=names[0], file_server_nodes=names[1], snap_agents=names[2], backup_agents=names[3]
    )


def agents_of_media(media: Media) -> placement.Lists:
    """Who may prune and verify a medium: the MediaAgents of the copies on it, as they reach it."""
    agents = AccessNode.objects.filter(agent_of_copies__media=media, agent_of_copies__is_active=True).distinct()
    return placement.Lists(backup_agents=_names(agents))


def active_backup_copy_job(subclient: Subclient, copy: Copy) -> Job | None:
    """The one backup copy job of this subclient and copy that is not over (RULES B11)."""
    return active_jobs().filter(operation=Operation.BACKUP_COPY, subclient=subclient, copy=copy).order_by("pk").first()


def backup_copies_of_policy(subclient: Subclient) -> list[Copy]:
    """The active backup copies of its policy, in order of precedence (RULES O3).

    Those that another backup copy feeds come last: what they wait for is launched before them.
    """
    kinds = (CopyKind.PRIMARY_BACKUP, CopyKind.SECONDARY_BACKUP)
    copies = Copy.objects.filter(policy_id=subclient.policy_id, kind__in=kinds, is_active=True)
    found = copies.select_related("media", "policy__backup_source", "source").order_by("precedence")
    return sorted(found, key=_is_fed_from_media)


def waiting_backup_copies(subclient: Subclient, copy: Copy) -> QuerySet[BackupCopy]:
    """Snapshots still to be copied to this copy, oldest first (RULES B5).

    Without those that are gone from where the copy reads them; what another backup copy feeds reads none (B6).
    """
    rows = BackupCopy.objects.filter(snapshot__subclient=subclient, copy=copy, state__in=states.WAITS)
    if copy.source is None or not copy.source.is_backup:
        replicas = SnapshotReplica.objects.filter(
            snapshot=OuterRef("snapshot"), copy=copy.policy.backup_source_id, state__in=states.ON_MEDIA
        )
        rows = rows.filter(Q(snapshot__state=SnapshotState.PRESENT) | Exists(replicas))
    return rows.select_related("snapshot").order_by("snapshot__taken_at", "snapshot_id")


def last_copied(
    subclient: Subclient,
    copy: Copy,
    *,
    before: Snapshot | None = None,
    is_full: bool = False,
    is_whole: bool = False,
) -> BackupCopy | None:
    """The newest backup copy on the copy's present medium: what the next incremental compares with (RULES B5, B8).

    ``is_full``: the newest full, what a differential compares with (S3). ``is_whole``: never a partial one (L4).
    """
    rows = BackupCopy.objects.filter(
        snapshot__subclient=subclient, copy=copy, media=copy.media, state__in=states.ON_MEDIA
    )
    if is_full:
        rows = rows.filter(ran_level=Level.FULL)
    if is_whole:
        rows = rows.filter(state=CopyState.COPIED)
    if before is not None:
        rows = rows.filter(snapshot__taken_at__lt=before.taken_at).exclude(snapshot=before)
    return rows.select_related("snapshot").order_by("-snapshot__taken_at", "-snapshot_id").first()


def bases_of(
    subclient: Subclient, copy: Copy, *, before: Snapshot, is_whole: bool = False
) -> tuple[BackupCopy | None, BackupCopy | None]:
    """What an incremental and what a differential compares with: the newest copy, and the newest full one."""
    latest = last_copied(subclient, copy, before=before, is_whole=is_whole)
    if latest is None or latest.ran_level == Level.FULL:
        return latest, latest
    return latest, last_copied(subclient, copy, before=before, is_full=True, is_whole=is_whole)


def sessions_of_file_server(file_server_id: int) -> int:
    """Backup copies of a file server, and restores that it writes itself, that have a node now (RULES B11).

    What is fed from another backup copy reads a medium only.
    """
    copies = Q(operation=Operation.BACKUP_COPY, subclient__file_server_id=file_server_id)
    fed = Q(operation=Operation.BACKUP_COPY, copy__source__kind__in=BACKUP_KINDS)
    restores = Q(operation=Operation.RESTORE, parameters__file_server__id=file_server_id)
    return Job.objects.filter((copies & ~fed) | restores, state__in=_ON_A_NODE).count()


def jobs_to_place() -> QuerySet[Job]:
    """Waiting for a slot, or pending and due again; who awaits children has done its own part."""
    due = Q(retry_at__isnull=True) | Q(retry_at__lte=timezone.now())
    return (
        Job.objects.filter(due, state__in=(JobState.WAITING, JobState.PENDING), want=Job.Want.RUN)
        .exclude(awaits_children=True)
        .order_by("priority", "pk")
    )


def holds_on(snapshot: Snapshot) -> list[str]:
    """What keeps a snapshot from being deleted, as parts of a sentence (RULES R5, R6, V4, S6)."""
    return [held.sentence for held in holds_of([snapshot]).get(snapshot.pk, [])]


def _lists_node(table: type[Model], **owner: object) -> Exists:
    """Whether the owner's list names the node; an owner that is None has no list."""
    rows = table._default_manager.filter(accessnode=OuterRef("pk"), **owner)
    return Exists(rows if all(value is not None for value in owner.values()) else rows.none())


def _is_fed_from_media(copy: Copy) -> bool:
    return copy.source is not None and copy.source.is_backup


def _names(nodes: Iterable[AccessNode]) -> frozenset[str]:
    return frozenset(node.name for node in nodes)
