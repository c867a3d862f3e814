"""One subclient's chain: its snapshots, what became of each towards every copy, what holds it and until when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from django.db.models import Prefetch, Q

from jobs.holds import Held, holds_of
from jobs.models import BackupCopy, CopyState, MountState, Snapshot, SnapshotMount, SnapshotReplica, SnapshotState
from jobs.rules import levels, states
from policies.models import Copy, Subclient
from policies.resolve import incremental_limit

from .proof import CopyProof, proof_of_copies

PAGE: Final = 25

_SETTLED: Final = frozenset(states.ON_MEDIA | {CopyState.COPYING, CopyState.AGED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One copy of the policy and what became of the snapshot there. ``row`` None = it was never selected.

    ``proof`` is there for what is on media.
    """

    copy: Copy
    row: BackupCopy | None
    proof: CopyProof | None = None

    @property
    def state(self) -> str:
        return self.row.state if self.row else CopyState.NOT_SELECTED.value

    @property
    def may_be_marked(self) -> bool:
        """Neither on media nor on its way."""
        return self.row is None or self.row.state not in _SETTLED

    @property
    def waits_until(self) -> str:
        """The words before ``row.due_at``, if it has a meaning now; '' = it has none."""
        if self.row is None or self.row.due_at is None:
            return ""
        return {CopyState.TO_BE_COPIED: "copied from", CopyState.CANDIDATE: "decided"}.get(
            CopyState(self.row.state), ""
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One snapshot in the chain. ``held_by`` are parts of sentences; while there is one it is not to be deleted."""

    snapshot: Snapshot
    destinations: Sequence[Destination]
    replicas: Sequence[SnapshotReplica]
    held_by: Sequence[str]
    mount: SnapshotMount | None = None

    @property
    def is_on_media(self) -> bool:
        return any(place.row and place.row.is_on_media for place in self.destinations)

    @property
    def restorable(self) -> BackupCopy | None:
        """The backup copy that serves a restore: lowest precedence first (RULES V1)."""
        return next((place.row for place in self.destinations if place.row and place.row.is_on_media), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    links: Sequence[Link]
    older: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """RULES L3: where the numbering stands, and when an incremental will be converted; ``left`` None = never."""

    number: int
    limit: int | None
    left: int | None


def chain(subclient: Subclient, copies: Sequence[Copy], *, before: int | None = None, size: int = PAGE) -> Chain:
    """Newest first, keyset by id. A deleted snapshot stays in the chain while a copy of it is on media."""
    rows = BackupCopy.objects.select_related("copy", "media", "job").order_by("copy__precedence")
    replicas = SnapshotReplica.objects.select_related("copy", "file_server").order_by("copy__precedence")
    mounts = SnapshotMount.objects.exclude(state=MountState.UNMOUNTED)
    held = Q(backup_copies__state__in=states.ON_MEDIA)
    snapshots = (
        Snapshot.objects.filter(subclient=subclient)
        .filter(held | ~Q(state=SnapshotState.DELETED))
        .distinct()
        .select_related("job")
        .prefetch_related(
            Prefetch("backup_copies", queryset=rows, to_attr="rows"),
            Prefetch("replicas", queryset=replicas, to_attr="replica_rows"),
            Prefetch("mounts", queryset=mounts, to_attr="standing_mounts"),
        )
        .order_by("-pk")
    )
    if before is not None:
        snapshots = snapshots.filter(pk__lt=before)
    found = list(snapshots[: size + 1])
    shown = found[:size]
    holds = holds_of([snapshot for snapshot in shown if snapshot.is_present])
    proofs = proof_of_copies(row for snapshot in shown for row in _rows(snapshot))
    links = [_link(snapshot, copies, holds.get(snapshot.pk, []), proofs) for snapshot in shown]
    return Chain(links=links, older=found[size - 1].pk if len(found) > size else None)


def level_forecast(subclient: Subclient) -> Forecast | None:
    """None while there is no snapshot that was numbered."""
    newest = subclient.snapshots.filter(level_number__isnull=False).order_by("-taken_at", "-pk").first()
    if newest is None or newest.level_number is None:
        return None
    limit = incremental_limit(subclient.file_server)
    left = levels.forecast(last_number=newest.level_number, limit=limit)
    return Forecast(number=newest.level_number, limit=limit, left=left)


def _rows(snapshot: Snapshot) -> list[BackupCopy]:
    rows: list[BackupCopy] = getattr(snapshot, "rows")  # noqa: B009 - set by the prefetch
    return rows


def _link(snapshot: Snapshot, copies: Sequence[Copy], held: Sequence[Held], proofs: Mapping[int, CopyProof]) -> Link:
    replicas: list[SnapshotReplica] = getattr(snapshot, "replica_rows")  # noqa: B009 - set by the prefetch
    mounts: list[SnapshotMount] = getattr(snapshot, "standing_mounts")  # noqa: B009 - set by the prefetch
    by_copy = {row.copy_id: row for row in _rows(snapshot)}
    known = [_destination(copy, by_copy.pop(copy.pk, None), proofs) for copy in copies]
    former = [_destination(row.copy, row, proofs) for row in by_copy.values()]
    return Link(
        snapshot=snapshot,
        destinations=[*known, *former],
        replicas=replicas,
        held_by=[one.sentence for one in held],
        mount=mounts[0] if mounts else None,
    )


def _destination(copy: Copy, row: BackupCopy | None, proofs: Mapping[int, CopyProof]) -> Destination:
    return Destination(copy=copy, row=row, proof=proofs.get(row.pk) if row is not None else None)
