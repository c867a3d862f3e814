"""Schedules and blackout windows. Slots are claimed and jobs launched elsewhere (:mod:`jobs.services.schedules`)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time
from itertools import pairwise
from typing import Any, Final, TypedDict, Unpack

from django.core.exceptions import ValidationError
from django.utils import timezone

from jobs.rules.recurrence import InvalidRecurrence, Recurrence, next_slots
from policies import audit
from policies.models import BlackoutWindow, Copy, FileServer, Media, Schedule, StoragePolicy, Subclient
from policies.selectors.schedules import next_start
from policies.services import writing

_OF_RECURRENCE: Final = ("cron", "time_zone", "jitter_seconds", "is_active")
"""A change of one of these begins anew: slots from before it are never caught up."""

_LOOKED_AT: Final = 10
"""So many slots ahead are compared with the spread."""


class ScheduleValues(TypedDict, total=False):
    name: str
    description: str
    operation: str
    policy: StoragePolicy | None
    file_server: FileServer | None
    subclient: Subclient | None
    copy: Copy | None
    media: Media | None
    level: str
    verify_how: str
    verify_percent: int
    verify_days: int
    drill_files: int
    drill_mib: int
    cron: str
    time_zone: str
    jitter_seconds: int
    missed: str
    is_active: bool


class BlackoutValues(TypedDict, total=False):
    name: str
    operations: list[str]
    days: list[int]
    starts_at: time
    ends_at: time
    time_zone: str
    is_active: bool


def create_schedule(
    *, user: audit.Actor, how: str = audit.How.WEB, now: datetime | None = None, **values: Unpack[ScheduleValues]
) -> Schedule:
    """A schedule whose first slot comes after ``now`` (None = the present). Raises ValidationError."""
    schedule = Schedule(active_since=now or timezone.now())
    _refuse_long_spread(schedule, values)
    writing.create(schedule, values=values, user=user, how=how)
    plan_next(schedule, after=schedule.active_since)
    return schedule


def update_schedule(
    schedule: Schedule,
    *,
    user: audit.Actor,
    how: str = audit.How.WEB,
    now: datetime | None = None,
    **values: Unpack[ScheduleValues],
) -> Schedule:
    """Slots from before a change of the recurrence are not caught up. Raises ValidationError."""
    _refuse_long_spread(schedule, values)
    begins_anew = any(name in values and dict(values)[name] != getattr(schedule, name) for name in _OF_RECURRENCE)
    given: dict[str, Any] = dict(values)
    if begins_anew:
        given["active_since"] = now or timezone.now()
    writing.update(schedule, values=given, user=user, how=how)
    if begins_anew:
        plan_next(schedule, after=given["active_since"])
    return schedule


def delete_schedule(schedule: Schedule, *, user: audit.Actor, how: str = audit.How.WEB) -> None:
    """Its past runs and jobs stay in the history."""
    writing.delete(schedule, user=user, how=how)


def plan_next(schedule: Schedule, *, after: datetime | None) -> None:
    """Write down when it starts next, for lists and for the scheduler; None = it is switched off."""
    schedule.next_slot_at = next_start(schedule, after or timezone.now()) if schedule.is_active else None
    schedule.save(update_fields=["next_slot_at"])


def create_blackout_window(
    *, user: audit.Actor, how: str = audit.How.WEB, **values: Unpack[BlackoutValues]
) -> BlackoutWindow:
    """Raises ValidationError."""
    return writing.create(BlackoutWindow(), values=values, user=user, how=how)


def update_blackout_window(
    window: BlackoutWindow, *, user: audit.Actor, how: str = audit.How.WEB, **values: Unpack[BlackoutValues]
) -> BlackoutWindow:
    """Raises ValidationError."""
    return writing.update(window, values=values, user=user, how=how)


def delete_blackout_window(window: BlackoutWindow, *, user: audit.Actor, how: str = audit.How.WEB) -> None:
    writing.delete(window, user=user, how=how)


def _refuse_long_spread(schedule: Schedule, values: Mapping[str, Any]) -> None:
    """A slot must start before the next one comes."""
    spread = values.get("jitter_seconds", schedule.jitter_seconds)
    if not spread:
        return
    try:
        recurrence = Recurrence(
            cron=values.get("cron", schedule.cron), zone=values.get("time_zone", schedule.time_zone)
        )
    except InvalidRecurrence:
        return
    slots = next_slots(recurrence, timezone.now(), _LOOKED_AT)
    shortest = min((later - slot for slot, later in pairwise(slots)), default=None)
    if shortest is not None and spread >= shortest.total_seconds():
        minutes = int(shortest.total_seconds() // 60)
        raise ValidationError(
            {"jitter_seconds": f"Shorter, please: the slots are {minutes} minutes apart, and none may meet the next."}
        )
