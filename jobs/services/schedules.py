"""Due schedules become jobs: a slot is claimed by its unique row, then launched, once, whoever else ticks beside.

Claiming and launching are two transactions, so that a slot whose launch died is seen and launched again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from jobs.models import How, Initiator, ScheduleRun, SlotState
from jobs.rules.recurrence import GRACE, Due, InvalidRecurrence, due
from jobs.services.launch import Actor
from jobs.services.launch_many import Launched
from jobs.services.schedule_launch import launch_scheduled, waits_for_media
from policies import audit
from policies.models import BlackoutWindow, Schedule
from policies.selectors.schedules import active_windows, next_start, put_off_until, schedules, start_of

logger = logging.getLogger(__name__)

ABANDONED_AFTER: Final = timedelta(seconds=60)
"""A claimed slot that has not been launched for so long lost its scheduler: it is launched again."""

_INSTANT: Final = timedelta(microseconds=1)
_REFUSALS_TOLD: Final = 5


def tick(*, now: datetime | None = None) -> int:
    """Launch what is due; returns how many slots were dealt with. ``now`` None = the present. Raises DatabaseError."""
    now = now or timezone.now()
    dealt_with = 0
    for schedule_id in _perhaps_due(now):
        dealt_with += _claim_and_start(schedule_id, now)
    for run_id in _abandoned(now):
        logger.warning("The slot of run %s was claimed and not launched: it is launched now.", run_id)
        dealt_with += _start(run_id, now)
    return dealt_with + _start_what_was_put_off(now)


def run_schedule_now(
    schedule: Schedule,
    *,
    user: Actor = None,
    initiator: str = Initiator.PERSON,
    how: str = How.WEB,
    now: datetime | None = None,
) -> ScheduleRun:
    """Launch what the schedule launches, at once, whether it is active or in a blackout window.

    It is a start by whoever asked, not by a schedule: the spool rule depends on it (RULES P3). What could not be
    launched is in the ``sentence`` of the returned run.
    """
    now = now or timezone.now()
    with transaction.atomic():
        Schedule.objects.select_for_update().get(pk=schedule.pk)
        run = ScheduleRun.objects.create(schedule=schedule, schedule_label=schedule.name, slot=now)
        launched = launch_scheduled(schedule, run=run, initiator=initiator, how=how, user=user)
        who = str(user) if user is not None and user.is_authenticated else "a script"
        _settle(run, launched, now, asked=f"Run now by {who}: ")
        audit.record(
            action=audit.Action.OPERATED,
            instance=schedule,
            user=user,
            how=how if how in audit.How.values else audit.How.SYSTEM,
            sentence=run.sentence,
        )
    return run


def _perhaps_due(now: datetime) -> list[int]:
    planned = Q(next_slot_at__isnull=True) | Q(next_slot_at__lte=now)
    return list(
        Schedule.objects.filter(planned, is_active=True).order_by("next_slot_at", "pk").values_list("pk", flat=True)
    )


def _claim_and_start(schedule_id: int, now: datetime) -> int:
    run = _claim(schedule_id, now)
    if run is None:
        return 0
    return _start(run.pk, now) if run.state == SlotState.LAUNCHING else 1


def _claim(schedule_id: int, now: datetime) -> ScheduleRun | None:
    """The row of the slot that is due, and the next one planned, in one transaction; None = nothing for us to do."""
    with transaction.atomic():
        schedule = Schedule.objects.select_for_update(skip_locked=True).filter(pk=schedule_id, is_active=True).first()
        if schedule is None:
            return None
        try:
            found = _due(schedule, now)
            run = _record(schedule, found, now)
            schedule.last_slot_at = found.latest or schedule.last_slot_at
            schedule.next_slot_at = next_start(schedule, _dealt_with_until(schedule))
        except InvalidRecurrence as error:
            _switch_off(schedule, error.sentence)
            return None
        schedule.save(update_fields=["last_slot_at", "next_slot_at"])
    return run


def _dealt_with_until(schedule: Schedule) -> datetime:
    """Slots up to here are over; what came before it was switched on or changed is never caught up."""
    begun = schedule.active_since or schedule.created_at
    return max(begun, schedule.last_slot_at) if schedule.last_slot_at else begun


def _due(schedule: Schedule, now: datetime) -> Due:
    """The slot whose start has come; with a spread a slot starts later than it is planned."""
    grace = GRACE + timedelta(seconds=schedule.jitter_seconds)
    until = now
    while True:
        found = due(
            recurrence=schedule.recurrence,
            last_slot=_dealt_with_until(schedule),
            now=until,
            missed=schedule.missed,
            grace=grace,
        )
        if found.slot is None or start_of(schedule, found.slot) <= now:
            return found
        until = found.slot - _INSTANT


def _record(schedule: Schedule, found: Due, now: datetime) -> ScheduleRun | None:
    """Insert the slot's row; None = nothing is due, or another scheduler was first."""
    if found.latest is None:
        return None
    if found.slot is None:
        state, sentence = SlotState.MISSED, f"{_slots(found.missed)} passed while no scheduler ran; the next one runs."
    elif until := put_off_until(schedule.operation, now, active_windows()):
        state, sentence = SlotState.PUT_OFF, f"Put off by a blackout window until {until:%Y-%m-%d %H:%M} UTC."
    elif waits := waits_for_media(schedule):
        state, sentence = SlotState.PUT_OFF, waits
    else:
        state, sentence = SlotState.LAUNCHING, ""
    try:
        with transaction.atomic():
            return ScheduleRun.objects.create(
                schedule=schedule,
                schedule_label=schedule.name,
                slot=found.latest,
                state=state,
                sentence=sentence,
                missed=found.missed,
            )
    except IntegrityError:
        return None


def _start(run_id: int, now: datetime) -> int:
    """Launch a claimed slot under its row's lock: all of its jobs and what became of it, or nothing."""
    with transaction.atomic():
        run = (
            ScheduleRun.objects.select_for_update(skip_locked=True).filter(pk=run_id, state=SlotState.LAUNCHING).first()
        )
        if run is None:
            return 0
        schedule = schedules().filter(runs=run).first()
        if schedule is None:
            _end(run, SlotState.MISSED, "The schedule was deleted before it was launched.", now)
            return 1
        launched = launch_scheduled(schedule, run=run, initiator=Initiator.SCHEDULE, how=How.POLICY, user=None)
        _settle(run, launched, now)
    return 1


def _settle(run: ScheduleRun, launched: Launched, now: datetime, *, asked: str = "") -> None:
    """What became of the slot, in words."""
    caught_up = f" Catches up for {_slots(run.missed)}." if run.missed else ""
    told = " ".join(launched.refused[:_REFUSALS_TOLD])
    more = len(launched.refused) - _REFUSALS_TOLD
    refused = f" Refused: {told}{f' And {more} more.' if more > 0 else ''}" if told else ""
    if launched.jobs:
        count = len(launched.jobs)
        state, words = SlotState.LAUNCHED, f"{count} job{'s' if count > 1 else ''}."
    elif refused:
        state, words = SlotState.REFUSED, "Nothing was launched."
    else:
        state, words = SlotState.NOTHING_NEW, "Nothing new."
    _end(run, state, f"{asked}{words}{refused}{caught_up}", now)


def _end(run: ScheduleRun, state: SlotState, sentence: str, now: datetime) -> None:
    run.state, run.sentence = state, sentence
    run.launched_at = now if state == SlotState.LAUNCHED else None
    run.save(update_fields=["state", "sentence", "launched_at"])


def _abandoned(now: datetime) -> list[int]:
    stale = ScheduleRun.objects.filter(
        state=SlotState.LAUNCHING, jobs__isnull=True, created_at__lt=now - ABANDONED_AFTER
    )
    return list(stale.values_list("pk", flat=True))


def _start_what_was_put_off(now: datetime) -> int:
    """Slots that blackout windows or busy media held back, newest per schedule; it takes the place of older ones."""
    waiting = list(ScheduleRun.objects.filter(state=SlotState.PUT_OFF).select_related("schedule").order_by("-slot"))
    if not waiting:
        return 0
    windows, seen, dealt_with = active_windows(), set[int](), 0
    for run in waiting:
        dealt_with += _release(run, windows, now, is_newest=run.schedule_id not in seen)
        if run.schedule_id is not None:
            seen.add(run.schedule_id)
    return dealt_with


def _release(run: ScheduleRun, windows: Sequence[BlackoutWindow], now: datetime, *, is_newest: bool) -> int:
    schedule = run.schedule
    if schedule is None or not schedule.is_active:
        gone = "deleted" if schedule is None else "switched off"
        return _give_up(run, f"The schedule was {gone} while its slot was put off.")
    newer = schedule.runs.filter(slot__gt=run.slot).exclude(state=SlotState.MISSED)
    if not is_newest or newer.exists():
        return _give_up(run, "Put off, and a later slot took its place.")
    if put_off_until(schedule.operation, now, windows) is not None or waits_for_media(schedule):
        return 0
    if not ScheduleRun.objects.filter(pk=run.pk, state=SlotState.PUT_OFF).update(state=SlotState.LAUNCHING):
        return 0
    return _start(run.pk, now)


def _give_up(run: ScheduleRun, sentence: str) -> int:
    return ScheduleRun.objects.filter(pk=run.pk, state=SlotState.PUT_OFF).update(
        state=SlotState.MISSED, sentence=sentence
    )


def _switch_off(schedule: Schedule, why: str) -> None:
    """Nobody can say when it is due; a page would have refused it."""
    logger.error("The schedule %s is switched off: %s", schedule, why)
    Schedule.objects.filter(pk=schedule.pk).update(is_active=False, next_slot_at=None)
    audit.record(
        action=audit.Action.CHANGED,
        instance=schedule,
        user=None,
        how=audit.How.SYSTEM,
        changes={"is_active": [True, False]},
        sentence=f"Switched off: {why}",
    )


def _slots(count: int) -> str:
    return f"{count} missed slot{'s' if count != 1 else ''}"
