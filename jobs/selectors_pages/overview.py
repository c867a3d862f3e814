"""What the overview says beside the subclients: the verdict, what runs, what asks for attention, how full media are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db.models import Count, Min, Sum
from django.utils import timezone

from jobs.models import Job, Operation
from jobs.rules import states
from jobs.rules.protection import Protection
from jobs.selectors import active_jobs, jobs_needing_attention
from jobs.visible import only_visible, visible_backup_copies
from policies.models import AccessNode, Media
from policies.selectors.visible import Person, sees_everything

from .proof import MediumProof, proof_of_media
from .protection import SubclientState

PACE_DAYS: Final = 14
"""The growth of so many days forecasts when a medium is full."""

LONGEST_FORECAST_DAYS: Final = 730


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The first line of the product: “12 of 13 subclients protected”, and what is wrong with the others."""

    protected: int
    overdue: int
    unprotected: int
    offline_nodes: int

    @property
    def total(self) -> int:
        return self.protected + self.overdue + self.unprotected

    @property
    def tone(self) -> str:
        if self.unprotected or self.offline_nodes:
            return "bad"
        return "warn" if self.overdue else "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaUse:
    """``logical_bytes``: what the restorable backup copies would hold without dedup and compression.

    ``is_whole`` False: only those that the user may see. ``days_to_full`` None = unknown, or too far away to say.
    """

    media: Media
    backup_copies: int
    logical_bytes: int
    is_whole: bool
    days_to_full: int | None
    proof: MediumProof

    @property
    def savings(self) -> float | None:
        """Logical to stored: 5.0 = the same restore points would take five times the space."""
        if not self.is_whole or not self.media.stored_bytes or not self.logical_bytes:
            return None
        return self.logical_bytes / self.media.stored_bytes

    @property
    def used_percent(self) -> float | None:
        if not self.media.total_bytes or self.media.free_bytes is None:
            return None
        return 100 * (1 - self.media.free_bytes / self.media.total_bytes)

    @property
    def tone(self) -> str:
        used = self.used_percent or 0
        if used >= 95 or (self.days_to_full is not None and self.days_to_full <= 7):
            return "bad"
        return "warn" if used >= 85 or (self.days_to_full is not None and self.days_to_full <= 30) else "live"


def verdict(rows: Sequence[SubclientState]) -> Verdict:
    """Counts active subclients only; an enabled node that went away is counted, one that never came is not."""
    kinds = [row.verdict.protection for row in rows]
    nodes = AccessNode.objects.filter(is_enabled=True, last_seen_at__isnull=False)
    return Verdict(
        protected=kinds.count(Protection.PROTECTED),
        overdue=kinds.count(Protection.OVERDUE),
        unprotected=kinds.count(Protection.UNPROTECTED),
        offline_nodes=sum(not node.is_online for node in nodes),
    )


def running_jobs(user: Person, *, limit: int = 20) -> list[Job]:
    """Active jobs, those with a process first; a job that waits for its children is shown by them."""
    jobs = only_visible(active_jobs(), user).order_by("-pk")[:limit]
    return sorted(jobs, key=lambda job: (job.state != Job.State.RUNNING, -job.pk))


def attention(user: Person, *, limit: int = 8) -> tuple[list[Job], int]:
    """The newest jobs that call for a person, and how many there are in all."""
    jobs = only_visible(jobs_needing_attention(), user)
    return list(jobs.order_by("-pk")[:limit]), jobs.count()


def media_use(user: Person) -> list[MediaUse]:
    """Storage per active medium, with a forecast by the pace of the last days; backup copies that the user may see."""
    held = {
        media: (count, logical)
        for media, count, logical in visible_backup_copies(user)
        .filter(state__in=states.ON_MEDIA)
        .values_list("media")
        .annotate(Count("pk"), Sum("logical_bytes"))
        .order_by()
    }
    since = timezone.now() - timedelta(days=PACE_DAYS)
    written = {
        media: (stored or 0, first)
        for media, stored, first in Job.objects.filter(
            operation=Operation.BACKUP_COPY, finished_at__gte=since, copy__media__isnull=False
        )
        .values_list("copy__media")
        .annotate(Sum("bytes_stored"), Min("finished_at"))
        .order_by()
    }
    is_whole = sees_everything(user)
    uses = []
    active = list(Media.objects.filter(is_active=True))
    proofs = proof_of_media([media.pk for media in active], user)
    for media in active:
        count, logical = held.get(media.pk, (0, 0))
        stored, first = written.get(media.pk, (0, None))
        days = (timezone.now() - first) / timedelta(days=1) if first else 0.0
        uses.append(
            MediaUse(
                media=media,
                backup_copies=count,
                logical_bytes=logical or 0,
                is_whole=is_whole,
                proof=proofs[media.pk],
                days_to_full=_days_to_full(media.free_bytes, stored, days),
            )
        )
    return uses


def _days_to_full(free_bytes: int | None, written_bytes: int, days: float) -> int | None:
    """None without three days of history: a first full copy says nothing about the pace."""
    if free_bytes is None or days < 3 or not written_bytes:
        return None
    left = round(free_bytes / (written_bytes / days))
    return left if left <= LONGEST_FORECAST_DAYS else None
