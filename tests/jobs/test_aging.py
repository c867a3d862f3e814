"""Aging with real rows (RULES R1-R7, R10): what is marked, what is held, and what every row says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import chain as both
from typing import Any

import pytest

from jobs import services
from jobs.models import BackupCopy, CopyState, Job, Operation, Snapshot, SnapshotReplica
from jobs.services.aging import Aged, age_everything
from policies.models import Copy, ExtendedRetention, Subclient
from tests.factories import make_file_server, make_media, make_policy, make_subclient
from tests.job_factories import make_backup_copy, make_job, make_snapshot

SUNDAY = datetime(2026, 1, 4, 20, tzinfo=UTC)
NOON = timedelta(hours=16)
DAY = timedelta(days=1)

Ageing = Callable[[datetime], Aged]


@pytest.fixture
def subclient(db: None) -> Subclient:
    return make_subclient(policy=make_policy(media=make_media()))


@pytest.fixture
def backup(subclient: Subclient) -> Copy:
    return Copy.objects.get(policy=subclient.policy, kind="primary_backup")


@pytest.fixture
def primary(subclient: Subclient) -> Copy:
    return Copy.objects.get(policy=subclient.policy, kind="primary_snap")


def keep(copy: Copy, retention: str, **figures: object) -> None:
    empty = {"retention_days": None, "retention_cycles": None, "retention_count": None}
    Copy.objects.filter(pk=copy.pk).update(retention=retention, **{**empty, **figures})


def snap(subclient: Subclient, at: datetime, level: str = "full", **values: Any) -> Snapshot:
    return make_snapshot(subclient, taken_at=at, ran_level=level, **values)


def chain(subclient: Subclient, copy: Copy, *, weeks: int) -> list[BackupCopy]:
    """Fulls on Sundays at 20:00 from 2026-01-04, incrementals on all other days; all copied."""
    rows = []
    for day in range(weeks * 7):
        level = "full" if day % 7 == 0 else "incremental"
        taken = snap(subclient, SUNDAY + day * DAY, level)
        rows.append(make_backup_copy(taken, copy, ran_level=level))
    return rows


def snapshots_only(subclient: Subclient) -> None:
    """No copy waits for them, so that only their own retention counts."""
    Copy.objects.filter(policy=subclient.policy, kind="primary_backup").update(is_active=False)


def aged_weeks(copy: Copy) -> int:
    """How many whole cycles are marked, and that no cycle is marked in part."""
    aged = BackupCopy.objects.filter(copy=copy, state=CopyState.AGED).count()
    assert aged % 7 == 0, "a cycle is aged as a whole"
    return aged // 7


@pytest.mark.parametrize(
    ("days", "cycles", "ages_at"),
    [
        (14, 2, datetime(2026, 1, 25, 12, tzinfo=UTC)),
        (30, 1, datetime(2026, 2, 10, 12, tzinfo=UTC)),
        (0, 3, datetime(2026, 1, 26, 12, tzinfo=UTC)),
    ],
)
def test_R1_a_cycle_ages_as_a_whole_by_days_and_cycles(
    subclient: Subclient, backup: Copy, days: int, cycles: int, ages_at: datetime
) -> None:
    keep(backup, "basic", retention_days=days, retention_cycles=cycles)
    copied = chain(subclient, backup, weeks=9)
    later = [row for row in copied if row.snapshot.taken_at > ages_at]
    BackupCopy.objects.filter(pk__in=[row.pk for row in later]).delete()

    age_everything(now=ages_at - DAY)
    assert aged_weeks(backup) == 0
    age_everything(now=ages_at)
    assert aged_weeks(backup) == 1


def test_R1_the_cycle_of_the_newest_full_that_succeeded_is_kept_whatever_its_age(
    subclient: Subclient, backup: Copy
) -> None:
    keep(backup, "basic", retention_days=1, retention_cycles=1)
    whole = make_backup_copy(snap(subclient, SUNDAY), backup, ran_level="full")
    partial = make_backup_copy(snap(subclient, SUNDAY + DAY), backup, ran_level="full", state=CopyState.PARTIAL)
    age_everything(now=SUNDAY + 400 * DAY)
    for row in (whole, partial):
        row.refresh_from_db()
        assert row.state != CopyState.AGED
        assert row.retain_reason.startswith("Cycles: ")


def test_R1_for_ever_is_for_ever(subclient: Subclient, backup: Copy) -> None:
    chain(subclient, backup, weeks=2)
    done = age_everything(now=SUNDAY + 4000 * DAY)
    assert done.backup_copies == {"infinite": 14}
    assert set(BackupCopy.objects.values_list("retain_reason", flat=True)) == {"Infinite: It is kept for ever."}


def test_R2_snapshots_are_kept_for_days(subclient: Subclient, primary: Copy) -> None:
    keep(primary, "days", retention_days=3)
    snapshots_only(subclient)
    for day in range(5):
        snap(subclient, SUNDAY + day * DAY)
    age_everything(now=SUNDAY + 4 * DAY + timedelta(hours=1))
    assert list(Snapshot.objects.filter(aged_at__isnull=False).values_list("taken_at", flat=True).order_by("pk")) == [
        SUNDAY,
        SUNDAY + DAY,
    ]


def test_R2_snapshots_are_kept_by_number_and_deleted_by_jobs_of_their_own(subclient: Subclient, primary: Copy) -> None:
    keep(primary, "count", retention_count=2)
    snapshots_only(subclient)
    taken = [snap(subclient, SUNDAY + day * DAY) for day in range(4)]
    age_everything(now=SUNDAY + 4 * DAY)
    deleting = Job.objects.filter(operation=Operation.DELETE_SNAPSHOT)
    assert set(deleting.values_list("snapshot", flat=True)) == {taken[0].pk, taken[1].pk}

    age_everything(now=SUNDAY + 5 * DAY)
    assert deleting.count() == 2, "a deletion that waits for its node is not launched again"


def test_R2_a_deletion_that_failed_is_launched_again(subclient: Subclient, primary: Copy) -> None:
    keep(primary, "count", retention_count=1)
    snapshots_only(subclient)
    old, _new = snap(subclient, SUNDAY), snap(subclient, SUNDAY + DAY)
    age_everything(now=SUNDAY + 2 * DAY)
    Job.objects.filter(operation=Operation.DELETE_SNAPSHOT).update(state="failed", finished_at=SUNDAY)
    age_everything(now=SUNDAY + 3 * DAY)
    again = Job.objects.filter(operation=Operation.DELETE_SNAPSHOT, snapshot=old)
    assert again.count() == 2


def test_R3_the_first_full_of_each_month_is_kept_longer(subclient: Subclient, backup: Copy) -> None:
    keep(backup, "basic", retention_days=7, retention_cycles=1)
    ExtendedRetention.objects.create(copy=backup, position=1, period="month", pick="first", days=365)
    chain(subclient, backup, weeks=9)
    age_everything(now=SUNDAY + 100 * DAY)
    kept = BackupCopy.objects.exclude(state=CopyState.AGED).filter(retain_reason__startswith="Extended: ")
    first = kept.order_by("snapshot__taken_at").first()
    assert first is not None
    assert [row.snapshot.taken_at.date().isoformat() for row in kept.order_by("snapshot__taken_at")] == [
        "2026-01-04",
        "2026-02-01",
        "2026-03-01",
    ][: kept.count()]
    assert kept.count() >= 2
    assert first.retain_until == SUNDAY + 365 * DAY


def test_R4_aging_marks_and_frees_nothing(subclient: Subclient, backup: Copy) -> None:
    keep(backup, "basic", retention_days=1, retention_cycles=1)
    chain(subclient, backup, weeks=3)
    done = age_everything(now=SUNDAY + 30 * DAY)
    assert done.backup_copies["aged"] == 14
    aged = BackupCopy.objects.filter(state=CopyState.AGED)
    assert not aged.filter(forgotten_at__isnull=False).exists()
    assert set(aged.values_list("aged_at", flat=True)) == {SUNDAY + 30 * DAY}
    assert done.logical_bytes == 14 * 10**6


def test_R5_a_selected_snapshot_is_held_until_it_is_copied(subclient: Subclient, backup: Copy, primary: Copy) -> None:
    keep(primary, "days", retention_days=1)
    waits = snap(subclient, SUNDAY)
    row = make_backup_copy(waits, backup, state=CopyState.TO_BE_COPIED)
    age_everything(now=SUNDAY + 9 * DAY)
    waits.refresh_from_db()
    assert waits.aged_at is None
    assert waits.retain_reason.startswith("Not copied: ")

    values = {"snapshot_file_id": "a" * 64, "tree_id": "b" * 64, "copied_at": SUNDAY}
    BackupCopy.objects.filter(pk=row.pk).update(state=CopyState.COPIED, **values)
    age_everything(now=SUNDAY + 9 * DAY)
    waits.refresh_from_db()
    assert waits.aged_at is not None


@pytest.mark.parametrize("how", ["prevented", "deactivated"])
def test_R5_the_hold_ends_when_the_copy_is_prevented_or_deactivated(
    subclient: Subclient, backup: Copy, primary: Copy, how: str
) -> None:
    keep(primary, "days", retention_days=1)
    waits = snap(subclient, SUNDAY)
    row = make_backup_copy(waits, backup, state=CopyState.TO_BE_COPIED)
    if how == "prevented":
        BackupCopy.objects.filter(pk=row.pk).update(state=CopyState.PREVENTED, mark="prevent")
    else:
        Copy.objects.filter(pk=backup.pk).update(is_active=False)
    age_everything(now=SUNDAY + 9 * DAY)
    waits.refresh_from_db()
    assert waits.aged_at is not None


def test_R5_a_backup_copy_that_still_feeds_another_is_held(subclient: Subclient, backup: Copy) -> None:
    keep(backup, "basic", retention_days=1, retention_cycles=1)
    second = Copy.objects.create(
        policy=subclient.policy,
        name="far",
        kind="secondary_backup",
        precedence=9,
        media=make_media(name="far"),
        source=backup,
    )
    rows = chain(subclient, backup, weeks=2)
    for row in rows:
        make_backup_copy(row.snapshot, second, state=CopyState.TO_BE_COPIED if row is rows[0] else CopyState.COPIED)
    age_everything(now=SUNDAY + 30 * DAY)
    rows[0].refresh_from_db()
    assert rows[0].state == CopyState.COPIED
    assert rows[0].retain_reason.startswith("Not copied: ")
    assert BackupCopy.objects.filter(copy=backup, state=CopyState.AGED).count() == 6


def test_R6_pinned_is_held_and_a_pin_with_a_date_ends(subclient: Subclient, backup: Copy, primary: Copy) -> None:
    keep(primary, "days", retention_days=1)
    snapshots_only(subclient)
    for_ever = snap(subclient, SUNDAY, is_pinned=True)
    until = snap(subclient, SUNDAY, is_pinned=True, pinned_until=SUNDAY + 20 * DAY)
    age_everything(now=SUNDAY + 10 * DAY)
    for_ever.refresh_from_db()
    until.refresh_from_db()
    assert (for_ever.retain_until, for_ever.retain_reason) == (None, "Pinned: It is pinned.")
    assert until.retain_until == SUNDAY + 20 * DAY
    age_everything(now=SUNDAY + 21 * DAY)
    until.refresh_from_db()
    for_ever.refresh_from_db()
    assert until.aged_at is not None
    assert for_ever.aged_at is None


def test_R6_the_newest_copied_snapshot_is_the_base_of_the_next_where_the_engine_compares(
    db: None,
) -> None:
    server = make_file_server(name="compares", engine="btrfs", volume="/mnt/data")
    subclient = make_subclient(file_server=server, policy=make_policy(media=make_media()), paths=("/mnt/data/home",))
    keep(Copy.objects.get(kind="primary_snap"), "days", retention_days=1)
    backup = Copy.objects.get(kind="primary_backup")
    first, base = snap(subclient, SUNDAY), snap(subclient, SUNDAY + DAY)
    for one in (first, base):
        make_backup_copy(one, backup)
    age_everything(now=SUNDAY + 9 * DAY)
    first.refresh_from_db()
    base.refresh_from_db()
    assert first.aged_at is not None
    assert base.aged_at is None
    assert base.retain_reason.startswith("Base of incremental: ")


def test_R6_what_a_running_job_reads_is_held(subclient: Subclient, backup: Copy) -> None:
    keep(backup, "basic", retention_days=1, retention_cycles=1)
    rows = chain(subclient, backup, weeks=2)
    make_job(operation=Operation.RESTORE, subclient=subclient, backup_copy=rows[2], state="running")
    age_everything(now=SUNDAY + 30 * DAY)
    rows[2].refresh_from_db()
    assert rows[2].state == CopyState.COPIED
    assert rows[2].retain_reason == "Running job: A running job uses it."


def test_R7_every_row_says_until_when_and_why(subclient: Subclient, backup: Copy, primary: Copy) -> None:
    keep(primary, "days", retention_days=30)
    keep(backup, "basic", retention_days=30, retention_cycles=1)
    chain(subclient, backup, weeks=3)
    age_everything(now=SUNDAY + 21 * DAY)
    said = both(*(model.objects.values_list("retain_reason", flat=True) for model in (Snapshot, BackupCopy)))
    assert all(said)
    newest = BackupCopy.objects.filter(snapshot__taken_at__gte=SUNDAY + 14 * DAY)
    assert all(row.retain_until is None and row.retain_reason.startswith("Cycles: ") for row in newest)
    oldest = BackupCopy.objects.filter(snapshot__taken_at__lt=SUNDAY + 7 * DAY)
    assert {row.retain_until for row in oldest} == {SUNDAY + 6 * DAY + 30 * DAY}
    assert {row.retain_reason for row in oldest} == {"Days: 30 days from the last job of its cycle."}


def test_R7_aging_off_keeps_everything_and_says_so(subclient: Subclient, backup: Copy) -> None:
    keep(backup, "basic", retention_days=1, retention_cycles=1)
    Copy.objects.filter(pk=backup.pk).update(ages=False)
    chain(subclient, backup, weeks=2)
    done = age_everything(now=SUNDAY + 99 * DAY)
    assert done.backup_copies == {"aging off": 14}
    assert done.not_aging == [str(backup)]


def test_R10_nothing_of_a_frozen_subclient_ages_until_somebody_acknowledges(
    subclient: Subclient, backup: Copy, primary: Copy
) -> None:
    keep(primary, "days", retention_days=1)
    keep(backup, "basic", retention_days=1, retention_cycles=1)
    chain(subclient, backup, weeks=2)
    services.freeze_aging(subclient, reason="The source is empty.")
    done = age_everything(now=SUNDAY + 99 * DAY)
    assert done.frozen == [subclient.path]
    assert done.aged == 0
    assert set(Snapshot.objects.values_list("retain_reason", flat=True)) == {
        "Source guard: The source guard froze aging until somebody acknowledges it."
    }
    services.acknowledge_source(subclient, user=None)
    assert age_everything(now=SUNDAY + 99 * DAY).aged > 0


def test_R2_snapshots_on_a_secondary_snap_copy_age_by_its_own_retention(subclient: Subclient) -> None:
    target = make_file_server(name="vault")
    vault = Copy.objects.create(
        policy=subclient.policy,
        name="vault",
        kind="secondary_snap",
        precedence=9,
        target_server=target,
        retention="days",
        retention_days=2,
    )
    replicas = [
        SnapshotReplica.objects.create(
            snapshot=snap(subclient, SUNDAY + day * DAY),
            copy=vault,
            file_server=target,
            state=CopyState.COPIED,
            copied_at=SUNDAY,
        )
        for day in range(3)
    ]
    age_everything(now=SUNDAY + 9 * DAY)
    for row in replicas:
        row.refresh_from_db()
    assert [row.state for row in replicas] == ["aged", "aged", "copied"]
    assert replicas[2].retain_reason.startswith("Base of incremental: ")


def test_a_subclient_that_moved_to_another_policy_still_ages_by_the_old_copies(
    subclient: Subclient, backup: Copy
) -> None:
    keep(backup, "basic", retention_days=1, retention_cycles=1)
    chain(subclient, backup, weeks=2)
    subclient.policy = make_policy(name="other")
    subclient.save()
    assert age_everything(now=SUNDAY + 99 * DAY).backup_copies == {"aged": 7, "cycles": 7}


def test_a_retention_that_no_rule_allows_leaves_the_copy_alone_and_says_so(subclient: Subclient, backup: Copy) -> None:
    keep(backup, "basic", retention_days=100, retention_cycles=1)
    ExtendedRetention.objects.create(copy=backup, position=1, period="month", days=30)
    chain(subclient, backup, weeks=2)
    done = age_everything(now=SUNDAY + 999 * DAY)
    assert done.aged == 0
    assert "longer than the basic rule" in done.refused[0]
