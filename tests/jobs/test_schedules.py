"""Schedules become jobs: each slot once, missed ones caught up or not, blackout windows, spread, run now."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections

from jobs.models import How, Initiator, Job, JobState, Operation, ScheduleRun, SlotState
from jobs.services import schedules as service
from jobs.services.schedules import run_schedule_now, tick
from policies import services as configuration
from policies.models import AuditEntry, Media, Schedule, Subclient
from tests import factories
from tests.factories import make_blackout_window, make_user
from tests.job_factories import make_backup_copy, make_job, make_snapshot
from tests.jobs.farm import backup_copy_of, configure

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def subclient(db: None, redis_url: str, tmp_path: Path) -> Subclient:
    Schedule.objects.all().delete()
    return configure(tmp_path)


def make_schedule(subclient: Subclient | None, **values: Any) -> Schedule:
    """Switched on at noon."""
    return factories.make_schedule(subclient, **({"now": NOON} | values))


def end_all_jobs() -> None:
    Job.objects.exclude(state=JobState.COMPLETED).update(state=JobState.COMPLETED, finished_at=NOON)


def slots() -> list[tuple[str, str]]:
    runs = ScheduleRun.objects.order_by("slot")
    return [(run.slot.strftime("%d %H:%M"), run.state) for run in runs]


def test_a_slot_launches_once_and_says_what_started_the_job(subclient: Subclient) -> None:
    """RULES P3: the job remembers that a schedule started it."""
    schedule = make_schedule(subclient)
    assert tick(now=NOON + timedelta(minutes=59)) == 0
    assert tick(now=NOON + timedelta(hours=1)) == 1
    assert tick(now=NOON + timedelta(hours=1, seconds=1)) == 0
    job = Job.objects.get()
    assert (job.operation, job.initiator, job.how) == (Operation.SNAPSHOT, Initiator.SCHEDULE, How.POLICY)
    assert job.schedule_run == ScheduleRun.objects.get()
    assert slots() == [("01 13:00", SlotState.LAUNCHED)]
    schedule.refresh_from_db()
    assert schedule.last_slot_at == NOON + timedelta(hours=1)
    assert schedule.next_slot_at == NOON + timedelta(hours=2)


def test_the_level_of_the_schedule_is_what_its_snapshots_ask(subclient: Subclient) -> None:
    make_schedule(subclient, level="full")
    tick(now=NOON + timedelta(hours=1))
    assert Job.objects.get().asked_level == "full"


def test_a_slot_is_never_run_twice_even_when_its_schedule_forgot_it(subclient: Subclient) -> None:
    schedule = make_schedule(subclient)
    tick(now=NOON + timedelta(hours=1))
    end_all_jobs()
    Schedule.objects.filter(pk=schedule.pk).update(last_slot_at=None, next_slot_at=None)
    assert tick(now=NOON + timedelta(hours=1, minutes=1)) == 0
    assert Job.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_schedulers_at_once_launch_each_slot_once(redis_url: str, tmp_path: Path) -> None:
    Schedule.objects.all().delete()
    subclient = configure(tmp_path)
    for number in range(6):
        make_schedule(subclient, name=f"s{number}", operation="backup_copy", cron="*/5 * * * *")
    gate = threading.Barrier(3)

    def scheduler(_number: int) -> int:
        try:
            gate.wait(60)
            return sum(tick(now=NOON + timedelta(minutes=minute)) for minute in range(5, 30, 5))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(scheduler, range(3)))
    tick(now=NOON + timedelta(minutes=29))
    runs = ScheduleRun.objects.values_list("schedule__name", "slot", "missed")
    assert len({(name, slot) for name, slot, _missed in runs}) == len(runs)
    dealt_with = {name: sum(1 + missed for other, _slot, missed in runs if other == name) for name, _s, _m in runs}
    assert dealt_with == {f"s{number}": 5 for number in range(6)}


def test_missed_slots_are_caught_up_once(subclient: Subclient) -> None:
    make_schedule(subclient)
    assert tick(now=NOON + timedelta(hours=5, minutes=30)) == 1
    assert slots() == [("01 17:00", SlotState.LAUNCHED)]
    run = ScheduleRun.objects.get()
    assert run.missed == 4
    assert "Catches up for 4 missed slots" in run.sentence


def test_missed_slots_are_not_caught_up_when_the_schedule_says_so(subclient: Subclient) -> None:
    make_schedule(subclient, missed="skip")
    tick(now=NOON + timedelta(hours=5, minutes=30))
    assert slots() == [("01 17:00", SlotState.MISSED)]
    assert not Job.objects.exists()
    tick(now=NOON + timedelta(hours=6))
    assert slots()[1:] == [("01 18:00", SlotState.LAUNCHED)]


def test_what_was_before_the_schedule_was_switched_on_is_not_caught_up(subclient: Subclient) -> None:
    schedule = make_schedule(subclient, is_active=False)
    assert tick(now=NOON + timedelta(hours=5)) == 0
    configuration.update_schedule(schedule, user=None, now=NOON + timedelta(hours=5, minutes=10), is_active=True)
    assert tick(now=NOON + timedelta(hours=5, minutes=30)) == 0
    assert tick(now=NOON + timedelta(hours=6)) == 1


def test_a_changed_recurrence_begins_anew(subclient: Subclient) -> None:
    schedule = make_schedule(subclient)
    configuration.update_schedule(schedule, user=None, now=NOON + timedelta(minutes=90), cron="30 * * * *")
    assert schedule.next_slot_at == NOON + timedelta(minutes=150)
    assert tick(now=NOON + timedelta(minutes=100)) == 0
    assert tick(now=NOON + timedelta(minutes=150)) == 1


def test_a_backup_copy_schedule_with_nothing_new_is_a_recorded_no_op(subclient: Subclient) -> None:
    """RULES B2."""
    make_schedule(subclient, operation="backup_copy")
    tick(now=NOON + timedelta(hours=1))
    assert slots() == [("01 13:00", SlotState.NOTHING_NEW)]
    make_backup_copy(make_snapshot(subclient), backup_copy_of(subclient), state="to_be_copied")
    tick(now=NOON + timedelta(hours=2))
    assert slots()[1:] == [("01 14:00", SlotState.LAUNCHED)]
    assert Job.objects.filter(operation=Operation.BACKUP_COPY).get().initiator == Initiator.SCHEDULE


def test_b1_a_schedule_of_a_policy_is_of_all_its_subclients(subclient: Subclient) -> None:
    second = configuration.create_subclient(
        file_server=subclient.file_server,
        name="second",
        content_paths=["/srv/second"],
        policy=subclient.policy,
        user=None,
    )
    make_schedule(None, policy=subclient.policy)
    tick(now=NOON + timedelta(hours=1))
    assert {job.subclient for job in Job.objects.all()} == {subclient, second}
    assert ScheduleRun.objects.get().sentence == "2 jobs."


def test_what_cannot_be_launched_is_refused_in_words(subclient: Subclient) -> None:
    make_job(operation=Operation.SNAPSHOT, state=JobState.RUNNING, subclient=subclient)
    make_schedule(subclient)
    tick(now=NOON + timedelta(hours=1))
    run = ScheduleRun.objects.get()
    assert run.state == SlotState.REFUSED
    assert "is already taking a snapshot" in run.sentence


def test_a_slot_whose_scheduler_died_before_the_launch_is_launched_again(
    subclient: Subclient, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_schedule(subclient)
    with monkeypatch.context() as patched:
        patched.setattr(service, "_start", lambda _run_id, _now: 0)
        tick(now=NOON + timedelta(hours=1))
    run = ScheduleRun.objects.get()
    assert (run.state, Job.objects.count()) == (SlotState.LAUNCHING, 0)
    ScheduleRun.objects.update(created_at=NOON + timedelta(hours=1))
    assert tick(now=NOON + timedelta(hours=1, seconds=59)) == 0
    assert tick(now=NOON + timedelta(hours=1, seconds=61)) == 1
    assert tick(now=NOON + timedelta(hours=1, seconds=62)) == 0
    run.refresh_from_db()
    assert (run.state, run.jobs.count()) == (SlotState.LAUNCHED, 1)


def test_a_launch_that_dies_in_the_middle_leaves_no_job(subclient: Subclient, monkeypatch: pytest.MonkeyPatch) -> None:
    make_schedule(subclient)

    def die(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(service, "_settle", die)
        with pytest.raises(KeyboardInterrupt):
            tick(now=NOON + timedelta(hours=1))
    assert not Job.objects.exists()
    assert ScheduleRun.objects.get().state == SlotState.LAUNCHING


def test_a_blackout_window_puts_a_slot_off_to_its_end(subclient: Subclient) -> None:
    make_schedule(subclient, cron="0 13 * * *")
    make_blackout_window()
    tick(now=NOON + timedelta(hours=1))
    assert slots() == [("01 13:00", SlotState.PUT_OFF)]
    assert "until 2026-06-01 18:00 UTC" in ScheduleRun.objects.get().sentence
    assert tick(now=NOON + timedelta(hours=5, minutes=59)) == 0
    assert tick(now=NOON + timedelta(hours=6)) == 1
    assert slots() == [("01 13:00", SlotState.LAUNCHED)]
    assert Job.objects.count() == 1


def test_of_the_slots_that_were_put_off_only_the_newest_runs(subclient: Subclient) -> None:
    make_schedule(subclient)
    make_blackout_window()
    for hour in range(1, 6):
        tick(now=NOON + timedelta(hours=hour))
    tick(now=NOON + timedelta(hours=5, minutes=59))
    states = [state for _slot, state in slots()]
    assert states == [SlotState.MISSED] * 4 + [SlotState.PUT_OFF]
    tick(now=NOON + timedelta(hours=6))
    assert Job.objects.count() == 1
    assert slots()[-1] == ("01 18:00", SlotState.LAUNCHED)


def test_a_blackout_window_of_another_operation_is_none_of_its_business(subclient: Subclient) -> None:
    make_schedule(subclient)
    make_blackout_window(operations=["prune", "verify"])
    make_blackout_window(name="off", is_active=False)
    tick(now=NOON + timedelta(hours=1))
    assert slots() == [("01 13:00", SlotState.LAUNCHED)]


def test_a_schedule_that_was_switched_off_does_not_run_what_was_put_off(subclient: Subclient) -> None:
    schedule = make_schedule(subclient)
    make_blackout_window()
    tick(now=NOON + timedelta(hours=1))
    configuration.update_schedule(schedule, user=None, is_active=False)
    tick(now=NOON + timedelta(hours=7))
    assert slots() == [("01 13:00", SlotState.MISSED)]
    assert not Job.objects.exists()


def test_a_spread_slot_starts_later_and_always_as_much_later(subclient: Subclient) -> None:
    schedule = make_schedule(subclient, cron="0 13 * * *", jitter_seconds=3600, id=1)  # how much depends on the number
    start = schedule.next_slot_at
    assert start is not None
    assert NOON + timedelta(hours=1) < start < NOON + timedelta(hours=2), "this schedule's is neither end"
    assert tick(now=start - timedelta(seconds=1)) == 0
    assert tick(now=start) == 1
    assert slots() == [("01 13:00", SlotState.LAUNCHED)]


def test_run_now_is_a_start_by_the_person(subclient: Subclient) -> None:
    """RULES P3: what started the job is a person, not the schedule."""
    schedule = make_schedule(subclient, is_active=False)
    make_blackout_window()
    anna = make_user(username="anna")
    run = run_schedule_now(schedule, user=anna, now=NOON)
    job = Job.objects.get()
    assert (job.initiator, job.started_by, job.schedule_run) == (Initiator.PERSON, anna, run)
    assert (run.state, run.sentence) == (SlotState.LAUNCHED, "Run now by anna: 1 job.")
    assert AuditEntry.objects.filter(action="operated", user=anna, object_label="hourly").exists()


def test_a_schedule_that_makes_no_sense_is_switched_off_and_others_run(subclient: Subclient) -> None:
    broken = make_schedule(subclient, name="broken")
    Schedule.objects.filter(pk=broken.pk).update(cron="nonsense")
    make_schedule(subclient)
    tick(now=NOON + timedelta(hours=1))
    broken.refresh_from_db()
    assert not broken.is_active
    assert AuditEntry.objects.filter(object_label="broken", how="system", sentence__contains="no cron").exists()
    assert slots() == [("01 13:00", SlotState.LAUNCHED)]


def test_a_quiet_tick_costs_three_queries(subclient: Subclient, django_assert_num_queries: Any) -> None:
    for number in range(20):
        make_schedule(subclient, name=f"s{number}")
    with django_assert_num_queries(3):
        tick(now=NOON + timedelta(minutes=5))


def test_aging_pruning_and_verification_are_launched(subclient: Subclient) -> None:
    """RULES R4; media that nothing was copied to yet are passed over."""
    medium = backup_copy_of(subclient).media
    assert medium is not None
    Media.objects.create(name="empty", kind="disk")
    make_schedule(None, name="a", operation="aging")
    make_schedule(None, name="v", operation="verify", verify_percent=7)
    tick(now=NOON + timedelta(hours=1))
    assert {job.operation for job in Job.objects.all()} == {Operation.AGING}
    Media.objects.filter(pk=medium.pk).update(repository_id="f" * 64)
    end_all_jobs()
    tick(now=NOON + timedelta(hours=2))
    verify = Job.objects.get(operation=Operation.VERIFY)
    assert (verify.media, verify.parameters["percent"]) == (medium, 7)


def test_a_slot_of_a_medium_at_work_starts_when_it_is_free(subclient: Subclient) -> None:
    """A weekly prune and a weekly verification at the same hour: one after the other, none is lost."""
    medium = backup_copy_of(subclient).media
    assert medium is not None
    Media.objects.filter(pk=medium.pk).update(repository_id="f" * 64)
    make_schedule(None, name="v", operation="verify", cron="0 13 * * *")
    make_schedule(None, name="p", operation="prune", cron="0 13 * * *", media=medium)
    tick(now=NOON + timedelta(hours=1))
    verify = Job.objects.get(operation=Operation.VERIFY)
    run = ScheduleRun.objects.get(schedule__name="p")
    assert run.state == SlotState.PUT_OFF
    assert run.sentence == f"Put off until job {verify.pk} is done with the medium."
    assert tick(now=NOON + timedelta(hours=2)) == 0
    end_all_jobs()
    assert tick(now=NOON + timedelta(hours=2, seconds=1)) == 1
    run.refresh_from_db()
    assert (run.state, run.slot) == (SlotState.LAUNCHED, NOON + timedelta(hours=1))
    assert Job.objects.get(operation=Operation.PRUNE).media == medium


@pytest.mark.parametrize(
    ("zone", "before", "cron", "expected"),
    [
        # the clocks jump from 02:00 to 03:00: the slot of 02:30 comes right after the jump
        ("Europe/Berlin", datetime(2026, 3, 28, 12, tzinfo=UTC), "30 2 * * *", ["29 01:00", "30 00:30"]),
        # the clocks show 02:30 twice: the slot comes the first time only
        ("Europe/Berlin", datetime(2026, 10, 24, 12, tzinfo=UTC), "30 2 * * *", ["25 00:30", "26 01:30"]),
        ("America/New_York", datetime(2026, 3, 7, 12, tzinfo=UTC), "30 2 * * *", ["08 07:00", "09 06:30"]),
        ("America/New_York", datetime(2026, 10, 31, 12, tzinfo=UTC), "30 1 * * *", ["01 05:30", "02 06:30"]),
    ],
)
def test_on_the_nights_when_clocks_change_no_slot_is_lost_nor_doubled(
    subclient: Subclient, zone: str, before: datetime, cron: str, expected: list[str]
) -> None:
    """Ticks every half hour through two days around the change, as the scheduler would."""
    make_schedule(subclient, now=before, cron=cron, time_zone=zone)
    for step in range(2 * 46):
        tick(now=before + timedelta(minutes=30 * step))
        end_all_jobs()
    assert slots() == [(slot, SlotState.LAUNCHED) for slot in expected]
    assert Job.objects.count() == 2


def test_the_impossible_row_a_slot_of_a_schedule_twice(subclient: Subclient) -> None:
    schedule = make_schedule(subclient)
    values = {"schedule": schedule, "schedule_label": "hourly", "slot": NOON}
    ScheduleRun.objects.create(**values)
    with pytest.raises(Exception, match="schedule_run_once_per_slot"), connection.cursor():
        ScheduleRun.objects.create(**values)
