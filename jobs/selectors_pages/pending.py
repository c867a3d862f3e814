"""Backup copies that wait: how many, since when, how much that probably is, and how long until it is overdue (D2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Avg, F
from django.utils import timezone

from jobs.models import Job, JobState, Operation
from policies.models import OverdueAction

from .protection import SubclientState

LOOKED_BACK: Final = timedelta(days=90)
"""Copies of so many days say what the next ones will take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """``bytes_to_read`` and ``takes`` are what the subclient's copies took lately, times those that wait.

    Both None = none was made lately. ``days_to_overdue`` below zero = it is overdue for so many days; None = never, for
    its policy keeps waiting (B10).
    """

    row: SubclientState
    bytes_to_read: float | None
    takes: timedelta | None
    days_to_overdue: int | None

    @property
    def is_overdue(self) -> bool:
        return self.days_to_overdue is not None and self.days_to_overdue < 0


def pending_copies(rows: Sequence[SubclientState], *, now: datetime | None = None) -> list[Pending]:
    """Of these subclients, the longest waiting first; one query, or none where nothing waits (RULES D2)."""
    now = now or timezone.now()
    waiting = [(row, row.oldest_waiting) for row in rows if row.oldest_waiting is not None]
    if not waiting:
        return []
    past = {
        subclient: (size, took)
        for subclient, size, took in Job.objects.filter(
            operation=Operation.BACKUP_COPY,
            state__in=(JobState.COMPLETED, JobState.COMPLETED_WITH_ERRORS),
            subclient__in=[row.subclient.pk for row, _oldest in waiting],
            finished_at__gte=now - LOOKED_BACK,
        )
        .values_list("subclient")
        .annotate(size=Avg("bytes_read"), took=Avg(F("finished_at") - F("started_at")))
        .order_by()
    }
    found = []
    for row, oldest in sorted(waiting, key=lambda pair: pair[1]):
        size, took = past.get(row.subclient.pk, (None, None))
        policy = row.subclient.policy
        overdue_at = oldest + timedelta(days=policy.overdue_after_days)
        is_ever = policy.overdue_action != OverdueAction.KEEP_WAITING
        found.append(
            Pending(
                row=row,
                bytes_to_read=size * row.waiting if size is not None else None,
                takes=took * row.waiting if took is not None else None,
                days_to_overdue=(overdue_at - now).days if is_ever else None,
            )
        )
    return found
