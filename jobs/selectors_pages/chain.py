"""One subclient's chain: its snapshots, what became of each towards every copy, and what holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.db.models import Max, Prefetch, Q

from jobs.models import BackupCopy, CopyState, Job, Operation, Snapshot, SnapshotState
from jobs.rules import states
from policies.models import Copy, Subclient

PAGE: Final = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One copy of the policy and what became of the snapshot there. ``row`` None = it was never selected."""

    copy: Copy
    row: BackupCopy | None

    @property
    def state(self) -> str:
        return self.row.state if self.row else CopyState.NOT_SELECTED.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One snapshot in the chain. ``held_by`` are sentences; while there is one the snapshot is not to be deleted."""

    snapshot: Snapshot
    destinations: Sequence[Destination]
    held_by: Sequence[str]

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


def chain(subclient: Subclient, copies: Sequence[Copy], *, before: int | None = None, size: int = PAGE) -> Chain:
    """Newest first, keyset by id. A deleted snapshot stays in the chain while a copy of it is on media."""
    rows = BackupCopy.objects.select_related("copy", "media", "job").order_by("copy__precedence")
    held = Q(backup_copies__state__in=states.ON_MEDIA)
    snapshots = (
        Snapshot.objects.filter(subclient=subclient)
        .filter(held | ~Q(state=SnapshotState.DELETED))
        .distinct()
        .select_related("job")
        .prefetch_related(Prefetch("backup_copies", queryset=rows, to_attr="rows"))
        .order_by("-pk")
    )
    if before is not None:
        snapshots = snapshots.filter(pk__lt=before)
    found = list(snapshots[: size + 1])
    bases = _bases(subclient)
    restoring = _in_use(subclient)
    links = [_link(snapshot, copies, bases=bases, restoring=restoring) for snapshot in found[:size]]
    return Chain(links=links, older=found[size - 1].pk if len(found) > size else None)


def _link(snapshot: Snapshot, copies: Sequence[Copy], *, bases: dict[int, int], restoring: dict[int, int]) -> Link:
    rows: list[BackupCopy] = getattr(snapshot, "rows")  # noqa: B009 - set by the prefetch
    by_copy = {row.copy_id: row for row in rows}
    known = [Destination(copy=copy, row=by_copy.pop(copy.pk, None)) for copy in copies]
    former = [Destination(copy=row.copy, row=row) for row in by_copy.values()]
    places = [*known, *former]
    holds = ["pinned"] if snapshot.is_pinned else []
    if awaited := [p.copy.name for p in places if p.row and p.row.state in (*states.WAITS, CopyState.COPYING)]:
        holds.append(f"held for {_and(awaited)}")
    if based := [p.copy.name for p in places if snapshot.pk == bases.get(p.copy.pk)]:
        holds.append(f"held as base of the next copy to {_and(based)}")
    if job := restoring.get(snapshot.pk):
        holds.append(f"job {job} works on it")
    return Link(snapshot=snapshot, destinations=places, held_by=holds if snapshot.is_present else [])


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _bases(subclient: Subclient) -> dict[int, int]:
    """For each copy, the newest snapshot on its media."""
    rows = BackupCopy.objects.filter(snapshot__subclient=subclient, state__in=states.ON_MEDIA)
    return dict(rows.values_list("copy").annotate(Max("snapshot")).order_by())


def _in_use(subclient: Subclient) -> dict[int, int]:
    """For each snapshot that an active job works on, that job."""
    jobs = Job.objects.filter(subclient=subclient, state__in=states.ACTIVE, snapshot__isnull=False)
    return {
        snapshot: job
        for snapshot, job in jobs.exclude(operation=Operation.RESTORE).values_list("snapshot", "pk")
        if snapshot
    }
