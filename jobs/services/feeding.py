"""Where a copy gets a snapshot from, and whether it is there yet (RULES B6): snapshots or another backup copy.

A backup copy reads the primary snapshot, or the secondary snap copy its policy names; a secondary backup copy may be
fed from another backup copy, and then needs no snapshot at all. Who is not there yet is waited for.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from jobs.models import BackupCopy, CopyState, Job, Operation, Snapshot, SnapshotReplica
from jobs.rules import states, waiting
from jobs.selectors import active_jobs
from policies.models import Copy

_ALIVE = (*states.WAITS, CopyState.CANDIDATE, CopyState.COPYING)


class Supply(StrEnum):
    """READY: it can be read now. COMING: a job brings it. LATER: it is to come. NEVER: not unless somebody acts."""

    READY = "ready"
    COMING = "coming"
    LATER = "later"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """``source`` is the snap copy to read when it is READY, None for a copy fed from another backup copy.

    ``replica`` is the row on a secondary snap copy that is to be read.
    """

    supply: Supply
    sentence: str
    source: waiting.Source | None = None
    replica: SnapshotReplica | None = None


def is_fed_from_media(copy: Copy) -> bool:
    """Whether it takes its data from another backup copy, and never from a snapshot."""
    return copy.source is not None and copy.source.is_backup


def chosen_source(copy: Copy) -> Copy | None:
    """The secondary snap copy that the backup copies of the policy read; None = the primary.

    Nothing waits for a copy that is switched off (RULES O3).
    """
    source = copy.policy.backup_source
    return source if source is not None and source.is_active else None


def source_row(snapshot: Snapshot, copy: Copy) -> BackupCopy | None:
    """The row of the backup copy that feeds ``copy``."""
    if copy.source is None:
        return None
    return BackupCopy.objects.filter(snapshot=snapshot, copy=copy.source).select_related("media", "copy").first()


def feed_of(snapshot: Snapshot, copy: Copy) -> Feed:
    """Whether ``copy`` can have ``snapshot`` now, and from where (RULES B6).

    What nobody seems to bring is looked at again: its job may have ended between the looks at the row and at the jobs.
    """
    feed = _feed_of(snapshot, copy)
    return _feed_of(snapshot, copy) if feed.supply is Supply.LATER else feed


def _feed_of(snapshot: Snapshot, copy: Copy) -> Feed:
    if is_fed_from_media(copy):
        return _from_media(snapshot, copy)
    chosen = chosen_source(copy)
    if chosen is None:
        if snapshot.is_present:
            return Feed(supply=Supply.READY, sentence="", source=waiting.Source.PRIMARY)
        return Feed(supply=Supply.NEVER, sentence=f"The snapshot {snapshot.name} is no longer there.")
    return _from_secondary(snapshot, copy, chosen)


def waits_for_source(job: Job) -> str:
    """What a backup copy job has to wait for before it may run, as a sentence; empty = it may go."""
    if job.operation != Operation.BACKUP_COPY or job.snapshot is None or job.copy is None:
        return ""
    feed = feed_of(job.snapshot, job.copy)
    return feed.sentence if feed.supply is Supply.COMING else ""


def _from_media(snapshot: Snapshot, copy: Copy) -> Feed:
    row = source_row(snapshot, copy)
    if row is not None and row.is_on_media:
        return Feed(supply=Supply.READY, sentence="")
    if copy.source is not None and row is not None and row.state in _ALIVE:
        return _not_yet(snapshot, copy.source, Operation.BACKUP_COPY)
    name = copy.source.name if copy.source is not None else "the copy"
    state = row.get_state_display().lower() if row is not None else "not selected"
    return Feed(supply=Supply.NEVER, sentence=f"{snapshot.name} is not on {name}, which feeds this copy: {state}.")


def _from_secondary(snapshot: Snapshot, copy: Copy, chosen: Copy) -> Feed:
    replica = SnapshotReplica.objects.filter(snapshot=snapshot, copy=chosen).select_related("file_server").first()
    choice = waiting.choose_source(
        wanted_is_primary=False,
        wanted_has_it=replica is not None and replica.is_present,
        primary_has_it=snapshot.is_present,
        allow_primary=copy.policy.allow_primary,
    )
    if choice.source is not waiting.Source.WAIT:
        is_secondary = choice.source is waiting.Source.SECONDARY
        used = replica if is_secondary else None
        return Feed(supply=Supply.READY, sentence=choice.reason, source=choice.source, replica=used)
    if replica is None or replica.state not in _ALIVE:
        state = replica.get_state_display().lower() if replica is not None else "not selected"
        return Feed(
            supply=Supply.NEVER,
            sentence=f"{snapshot.name} is not on {chosen.name}, which backup copies are read from: {state}.",
        )
    return _not_yet(snapshot, chosen, Operation.SECONDARY_COPY)


def _not_yet(snapshot: Snapshot, source: Copy, operation: Operation) -> Feed:
    name = source.name
    working = active_jobs().filter(operation=operation, subclient_id=snapshot.subclient_id, copy=source)
    bringing = working.order_by("pk").values_list("pk", flat=True).first()
    if bringing is None:
        return Feed(supply=Supply.LATER, sentence=f"{snapshot.name} is not on {name} yet; nothing brings it now.")
    return Feed(supply=Supply.COMING, sentence=f"{snapshot.name} is not on {name} yet: job {bringing} is at it.")
