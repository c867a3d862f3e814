"""The copies that may serve a restore of one snapshot, with what each of them lacks (RULES V1): rows to candidates.

Who serves is decided in :mod:`jobs.rules.restore_source`; this is what pages, services and runners ask.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from jobs.models import BackupCopy, CopyState, DamagedPath, JobException, Snapshot, SnapshotReplica, SnapshotState
from jobs.rules import restore_source, states
from jobs.rules.restore_source import Candidate, NoSource, SourceKind
from policies.models import AccessNode, Copy, CopyKind, FileServer, Subclient
from policies.resolve import is_dump_stream

_NOT_OF_ONE_FILE: Final = ("source-guard",)
"""Exceptions that say something of the whole source."""

_DAMAGED_READ: Final = 10_000
"""So many damaged paths of a copy are looked at; more count as files that nobody can name."""

_SNAPSHOT_OBSTACLES: Final = {
    SnapshotState.DELETING: "the snapshot is being deleted",
    SnapshotState.DELETED: "the snapshot was deleted",
    SnapshotState.MISSING: "the snapshot is no longer on its storage",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreSource:
    """One candidate with its rows: ``replica`` and ``backup_copy`` are None for another kind."""

    candidate: Candidate
    copy: Copy
    replica: SnapshotReplica | None = None
    backup_copy: BackupCopy | None = None

    @property
    def kind(self) -> SourceKind:
        return self.candidate.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The source of a restore and the sentence that says why."""

    source: RestoreSource
    reason: str


def choose_source(
    snapshot: Snapshot,
    *,
    paths: Collection[bytes] = (),
    wanted: Copy | None = None,
    node: AccessNode | None = None,
    kinds: Collection[SourceKind] = tuple(SourceKind),
    within: frozenset[str] | None = None,
    obstacles: Mapping[int, str] | None = None,
) -> Chosen | NoSource:
    """Who serves a restore of ``paths`` (empty = everything) on ``node`` (None = any). ``wanted``: chosen by a person.

    ``kinds``: a caller that can read only some kinds names them. ``within``: names of the nodes that may run it, where
    it is not one. ``obstacles``: what a caller found out about copies, by id.
    """
    found = [source for source in sources_of(snapshot, node=node, within=within) if source.kind in kinds]
    sources = [_with_obstacle(source, (obstacles or {}).get(source.copy.pk, "")) for source in found]
    answer = restore_source.choose(
        [source.candidate for source in sources], paths=paths, wanted=wanted.pk if wanted else None
    )
    if isinstance(answer, NoSource):
        return answer
    chosen = next(source for source in sources if source.candidate.id == answer.id)
    return Chosen(source=chosen, reason=answer.reason)


def sources_of(
    snapshot: Snapshot, *, node: AccessNode | None = None, within: frozenset[str] | None = None
) -> list[RestoreSource]:
    """Every copy that has, or had, this snapshot, in the order of RULES V1. A handful of queries."""
    within = frozenset({node.name}) if node is not None else within
    unread = _exceptions({snapshot.job_id}) if snapshot.job_id else {}
    missing_at_source = frozenset(unread.get(snapshot.job_id or 0, ()))
    found = _primary(snapshot, missing_at_source, within)
    found += _replicas(snapshot, missing_at_source, within)
    found += _backup_copies(snapshot)
    return sorted(found, key=lambda source: source.candidate.order)


def reach_of(server: FileServer, subclient: Subclient | None = None) -> frozenset[str] | None:
    """Names of the nodes that reach a storage, None = any: the subclient's list replaces the agent's (RULES N1)."""
    own = frozenset(subclient.access_nodes.values_list("name", flat=True)) if subclient is not None else frozenset()
    return own or frozenset(server.access_nodes.values_list("name", flat=True)) or None


def _with_obstacle(source: RestoreSource, obstacle: str) -> RestoreSource:
    return replace(source, candidate=replace(source.candidate, obstacle=obstacle)) if obstacle else source


def _primary(snapshot: Snapshot, lacks: frozenset[bytes], within: frozenset[str] | None) -> list[RestoreSource]:
    copy = Copy.objects.filter(policy=snapshot.subclient.policy_id, kind=CopyKind.PRIMARY_SNAP).first()
    if copy is None:
        return []
    server = snapshot.subclient.file_server
    obstacle = _SNAPSHOT_OBSTACLES.get(SnapshotState(snapshot.state), "")
    if not obstacle and is_dump_stream(snapshot.engine):
        obstacle = "nothing of it lies on the file server"
    if not obstacle and server.engine != snapshot.engine:
        obstacle = f"the file server {server.name} no longer uses the engine {snapshot.engine}"
    obstacle = obstacle or _unreachable(server, within, snapshot.subclient)
    candidate = Candidate(
        id=copy.pk,
        name=copy.name,
        kind=SourceKind.SNAPSHOT,
        precedence=copy.precedence,
        obstacle=obstacle,
        lacks=lacks,
    )
    return [RestoreSource(candidate=candidate, copy=copy)]


def _replicas(snapshot: Snapshot, lacks: frozenset[bytes], within: frozenset[str] | None) -> list[RestoreSource]:
    rows = SnapshotReplica.objects.filter(snapshot=snapshot, state__in=(*states.ON_MEDIA, CopyState.AGED))
    found = []
    for row in rows.select_related("copy__policy", "file_server", "snapshot"):
        obstacle = "" if row.is_present else "its retention is over"
        candidate = Candidate(
            id=row.copy_id,
            name=row.copy.name,
            kind=SourceKind.REPLICA,
            precedence=row.copy.precedence,
            obstacle=obstacle or _unreachable(row.file_server, within, of=row.copy.name),
            lacks=lacks,
        )
        found.append(RestoreSource(candidate=candidate, copy=row.copy, replica=row))
    return found


def _backup_copies(snapshot: Snapshot) -> list[RestoreSource]:
    rows = BackupCopy.objects.filter(snapshot=snapshot, state__in=(*states.ON_MEDIA, CopyState.AGED))
    known = list(rows.select_related("copy__policy", "copy__media", "media", "snapshot"))
    unread = _exceptions({_read_by(row, known) for row in known if row.state == CopyState.PARTIAL})
    found = []
    for row in known:
        candidate = Candidate(
            id=row.copy_id,
            name=row.copy.name,
            kind=SourceKind.MEDIA,
            precedence=row.copy.precedence,
            obstacle="" if row.is_on_media else "its retention is over",
        )
        if row.state == CopyState.PARTIAL:
            lacks = unread.get(_read_by(row, known), frozenset())
            candidate = replace(candidate, lacks=lacks, unnamed=max(0, row.exceptions - len(lacks)))
        if row.is_damaged:
            candidate = _without_damaged(candidate, row)
        found.append(RestoreSource(candidate=candidate, copy=row.copy, backup_copy=row))
    return found


def _without_damaged(candidate: Candidate, row: BackupCopy) -> Candidate:
    """What the last verification found damaged is not there, until a repair brought it back."""
    paths = DamagedPath.objects.filter(backup_copies__contains=[row.pk]).values_list("path", flat=True)
    damaged = frozenset(bytes(path) for path in paths[:_DAMAGED_READ])
    unnamed = max(0, row.damaged_files + row.damaged_folders - len(damaged))
    return replace(candidate, lacks=candidate.lacks | damaged, unnamed=candidate.unnamed + unnamed)


def _read_by(row: BackupCopy, known: Sequence[BackupCopy]) -> int:
    """The job that read the files: what another backup copy feeds lacks what that one lacks."""
    fed_by = next((other for other in known if other.copy_id == row.copy.source_id), None)
    return _read_by(fed_by, known) if fed_by is not None else row.job_id or 0


def _unreachable(
    server: FileServer, within: frozenset[str] | None, subclient: Subclient | None = None, *, of: str = ""
) -> str:
    """RULES N1: with access nodes listed, only those reach the storage. ``within`` None = any node may run it.

    ``of``: whose storage it is called; empty = the file server's.
    """
    reach = reach_of(server, subclient) if within is not None else None
    if within is None or reach is None or reach & within:
        return ""
    if len(within) == 1:
        return f"the node {next(iter(within))} does not reach the storage of {of or server.name}"
    return f"none of the nodes {', '.join(sorted(within))} reaches the storage of {of or server.name}"


def _exceptions(job_ids: Collection[int]) -> dict[int, frozenset[bytes]]:
    """The files that jobs could not handle. Of a copy, those of its last attempt: earlier ones read them again."""
    if not job_ids:
        return {}
    found: dict[int, dict[int, set[bytes]]] = {}
    rows = JobException.objects.filter(job__in=job_ids).exclude(code__in=_NOT_OF_ONE_FILE)
    for job_id, attempt, path in rows.values_list("job", "attempt", "path"):
        found.setdefault(job_id, {}).setdefault(attempt, set()).add(bytes(path))
    return {job_id: frozenset(attempts[max(attempts)]) for job_id, attempts in found.items()}
