"""What pages say of aging, pruning and verification, and what calls for a person there (RULES R4, R8, R10)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Count, Q, QuerySet, Sum
from django.utils.dateparse import parse_datetime

from jobs.engine.snapshots.registry import ENGINES
from jobs.models import CopyState, Job, JobState, Operation, SnapshotState
from jobs.rules import states
from jobs.rules.retention import limit_warning
from jobs.visible import only_visible, visible_backup_copies
from policies.models import Media, Subclient
from policies.selectors.visible import Person, visible_subclients

from .proof import Damage, MediumProof, damage_of, proof_of_media

NAMED_PATHS: Final = 5
"""So many damaged paths are named on the medium's page."""

_OF_A_MEDIUM: Final = (Operation.PRUNE, Operation.VERIFY, Operation.REPAIR, Operation.ATTACH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """Of one medium. ``aged_*``: logically aged, space not freed yet. Jobs are the last of their kind that ended.

    ``is_repaired``: the repair came after the verification, so what is damaged is what it found.
    """

    aged_copies: int
    aged_bytes: int
    active: Job | None
    pruned: Job | None
    verified: Job | None
    repaired: Job | None
    damage: Damage
    proof: MediumProof

    @property
    def locked_until(self) -> datetime | None:
        """When what the last pruning could not delete is no longer locked; None = nothing is, or nobody knows."""
        told = self.pruned.result.get("locked_until") if self.pruned is not None else None
        return parse_datetime(told) if told else None

    @property
    def is_repaired(self) -> bool:
        return self.repaired is not None and (self.verified is None or self.repaired.pk > self.verified.pk)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitWarning:
    subclient: Subclient
    sentence: str


def upkeep_of(media: Media, user: Person) -> Upkeep:
    """Counts what the user may see; a job that tells of more is only there for who sees everything."""
    waiting = visible_backup_copies(user).filter(media=media, state=CopyState.AGED, forgotten_at__isnull=True)
    figures = waiting.aggregate(copies=Count("pk"), size=Sum("logical_bytes"))
    jobs = only_visible(Job.objects.filter(media=media, operation__in=_OF_A_MEDIUM), user).order_by("-pk")
    over = jobs.filter(state__in=(JobState.COMPLETED, JobState.COMPLETED_WITH_ERRORS, JobState.FAILED))
    last = {job.operation: job for job in over.order_by("operation", "-pk").distinct("operation")}
    return Upkeep(
        aged_copies=figures["copies"],
        aged_bytes=figures["size"] or 0,
        active=jobs.filter(state__in=states.ACTIVE).first(),
        pruned=last.get(Operation.PRUNE),
        verified=last.get(Operation.VERIFY),
        repaired=last.get(Operation.REPAIR),
        damage=damage_of(media, named=NAMED_PATHS),
        proof=proof_of_media([media.pk], user)[media.pk],
    )


def last_aging() -> Job | None:
    """The newest aging job, over or not."""
    return Job.objects.filter(operation=Operation.AGING).order_by("-pk").first()


def frozen_subclients(user: Person) -> list[Subclient]:
    """Those that the source guard stopped (RULES R10)."""
    frozen = visible_subclients(user).filter(aging_frozen_at__isnull=False)
    return list(frozen.select_related("file_server").order_by("aging_frozen_at"))


def limit_warnings(subclients: QuerySet[Subclient]) -> list[LimitWarning]:
    """RULES R8: those of ``subclients`` that come near to what their storage allows."""
    limits = {name: kind.snapshot_limit for name, kind in ENGINES.items() if kind.snapshot_limit}
    if not limits:
        return []
    counted = (
        subclients.filter(file_server__engine__in=limits)
        .select_related("file_server")
        .annotate(present=Count("snapshots", filter=Q(snapshots__state=SnapshotState.PRESENT)))
    )
    found = (
        LimitWarning(subclient=one, sentence=limit_warning(present=one.present, limit=limits[one.file_server.engine]))
        for one in counted
    )
    return [one for one in found if one.sentence]
