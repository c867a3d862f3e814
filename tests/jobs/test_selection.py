"""Which snapshots are copied, with rows and a fixed clock: RULES B2 to B5, B7 and B10."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs.holds import holds_of
from jobs.models import BackupCopy, CopyState, Job, Level, Mark, Snapshot, SnapshotState
from jobs.services import CannotLaunch, NothingNew, launch_backup_copies, launch_backup_copy, refresh_selection
from jobs.services.copy_states import mark_offline
from jobs.services.selection import next_to_copy, skip_overdue
from policies.models import Installation, OverdueAction, Period, Selection, Subclient
from tests.job_factories import make_backup_copy, make_node, make_snapshot
from tests.jobs.farm import backup_copy_of, configure

NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)
DAYS = (1, 2, 5, 8, 9, 14, 16)
"""Of January 2026: Thursday, Friday, Monday, Thursday, Friday, Wednesday, Friday."""


@pytest.fixture
def subclient(db: None, redis_url: str, tmp_path: Path) -> Subclient:
    make_node()
    return configure(tmp_path)


def ruled(subclient: Subclient, **values: Any) -> Subclient:
    for name, value in values.items():
        setattr(subclient.policy, name, value)
    subclient.policy.save()
    return subclient


def fulls(subclient: Subclient) -> dict[int, Snapshot]:
    return {
        day: make_snapshot(subclient, n=day, ran_level=Level.FULL, taken_at=datetime(2026, 1, day, 20, tzinfo=UTC))
        for day in DAYS
    }


def states_by_day() -> dict[int, str]:
    rows = BackupCopy.objects.select_related("snapshot")
    return {row.snapshot.taken_at.day: row.state for row in rows}


def days_in(state: str) -> list[int]:
    return sorted(day for day, found in states_by_day().items() if found == state)


def test_B2_all_takes_every_snapshot_and_says_so(subclient: Subclient) -> None:
    fulls(subclient)
    refresh_selection(subclient, now=NOW)
    assert days_in(CopyState.TO_BE_COPIED) == list(DAYS)
    row = BackupCopy.objects.first()
    assert row is not None
    assert (row.state_reason, row.selected_at) == ("Every snapshot is copied.", NOW)


def test_B2_all_fulls_leaves_incrementals(subclient: Subclient) -> None:
    ruled(subclient, selection=Selection.FULLS)
    make_snapshot(subclient, n=0, ran_level=Level.INCREMENTAL)
    full = make_snapshot(subclient, n=1, ran_level=Level.FULL)
    refresh_selection(subclient)
    assert BackupCopy.objects.get(state=CopyState.TO_BE_COPIED).snapshot == full
    assert BackupCopy.objects.get(state=CopyState.NOT_SELECTED).state_reason == "Only fulls are copied."


def test_B3_the_first_full_of_a_week_that_starts_on_friday(subclient: Subclient) -> None:
    ruled(subclient, selection=Selection.FIRST, selection_period=Period.WEEK)
    fulls(subclient)
    refresh_selection(subclient, now=NOW)
    assert days_in(CopyState.TO_BE_COPIED) == [1, 2, 9, 16]


def test_B3_the_first_full_of_a_week_that_starts_on_monday(subclient: Subclient) -> None:
    Installation.objects.update(week_start=0)
    ruled(subclient, selection=Selection.FIRST, selection_period=Period.WEEK)
    fulls(subclient)
    refresh_selection(subclient, now=NOW)
    assert days_in(CopyState.TO_BE_COPIED) == [1, 5, 14]


def test_B3_the_last_full_is_a_candidate_until_its_week_closes(subclient: Subclient) -> None:
    ruled(subclient, selection=Selection.LAST, selection_period=Period.WEEK)
    fulls(subclient)
    refresh_selection(subclient, now=NOW)
    assert days_in(CopyState.TO_BE_COPIED) == [1, 8, 14]
    assert days_in(CopyState.CANDIDATE) == [16]
    candidate = BackupCopy.objects.get(state=CopyState.CANDIDATE)
    assert candidate.due_at == datetime(2026, 1, 23, tzinfo=UTC)
    refresh_selection(subclient, now=datetime(2026, 1, 23, tzinfo=UTC))
    assert days_in(CopyState.TO_BE_COPIED) == [1, 8, 14, 16]


def test_B3_days_are_those_of_the_installation(subclient: Subclient) -> None:
    Installation.objects.update(time_zone="Pacific/Auckland")
    ruled(subclient, selection=Selection.FIRST, selection_period=Period.DAY)
    for hour in (9, 12):
        make_snapshot(subclient, n=hour, ran_level=Level.FULL, taken_at=datetime(2026, 1, 5, hour, tzinfo=UTC))
    refresh_selection(subclient, now=NOW)
    assert BackupCopy.objects.filter(state=CopyState.TO_BE_COPIED).count() == 2, "noon UTC is the next day there"


def test_B2_the_first_of_a_week_stays_it_when_its_snapshot_is_gone(subclient: Subclient) -> None:
    ruled(subclient, selection=Selection.FIRST, selection_period=Period.WEEK)
    taken = fulls(subclient)
    Snapshot.objects.filter(pk=taken[2].pk).update(state=SnapshotState.DELETED)
    refresh_selection(subclient, now=NOW)
    assert days_in(CopyState.TO_BE_COPIED) == [1, 9, 16], "Monday the 5th does not take the place of Friday the 2nd"


def test_B2_nothing_from_before_the_start_date(subclient: Subclient) -> None:
    ruled(subclient, selection_starts_on=date(2026, 1, 9))
    fulls(subclient)
    refresh_selection(subclient, now=NOW)
    assert days_in(CopyState.TO_BE_COPIED) == [9, 14, 16]


def test_B2_an_excluded_subclient_is_never_copied(subclient: Subclient) -> None:
    subclient.policy.excluded_subclients.add(subclient)
    fulls(subclient)
    refresh_selection(subclient, now=NOW)
    assert days_in(CopyState.NOT_SELECTED) == list(DAYS)
    with pytest.raises(NothingNew, match="not selected"):
        launch_backup_copy(subclient)


def test_B2_a_deferred_snapshot_is_not_copied_before_its_time(subclient: Subclient) -> None:
    ruled(subclient, defer_days=5)
    fulls(subclient)
    refresh_selection(subclient, now=NOW)
    due = next_to_copy(subclient, backup_copy_of(subclient), now=NOW)
    assert due is not None
    assert due.snapshot.taken_at.day == 1
    BackupCopy.objects.exclude(snapshot__taken_at__day=16).delete()
    copy = backup_copy_of(subclient)
    assert next_to_copy(subclient, copy, now=NOW) is None
    later = next_to_copy(subclient, copy, now=datetime(2026, 1, 21, 20, tzinfo=UTC))
    assert later is not None
    assert later.selected_at == later.due_at == datetime(2026, 1, 21, 20, tzinfo=UTC), "it waits only from then on"


def test_B2_nothing_new_is_no_job_and_no_error(subclient: Subclient) -> None:
    launched = launch_backup_copies(scope=subclient.policy, initiator="schedule", how="policy")
    assert (launched.jobs, launched.refused) == ([], [])


def test_B1_a_policy_or_a_server_copies_all_of_its_subclients_by_name(subclient: Subclient) -> None:
    make_snapshot(subclient)
    for scope in (subclient.policy, subclient.file_server, subclient):
        launched = launch_backup_copies(scope=scope, initiator="schedule", how="policy")
        assert [job.subclient for job in launched.jobs] == [subclient], "the second request attaches to the first"
    assert Job.objects.filter(operation="backup_copy").count() == 1
    Subclient.objects.update(is_active=False)
    assert launch_backup_copies(scope=subclient.policy, initiator="schedule", how="policy").jobs == []


def test_B4_asked_again_nothing_changes(subclient: Subclient) -> None:
    ruled(subclient, selection=Selection.LAST, selection_period=Period.WEEK)
    fulls(subclient)
    refresh_selection(subclient, now=NOW)
    before = list(BackupCopy.objects.order_by("pk").values())
    refresh_selection(subclient, now=NOW + timedelta(hours=1))
    assert list(BackupCopy.objects.order_by("pk").values()) == before


def test_B4_a_copied_snapshot_is_not_selected_again(subclient: Subclient) -> None:
    snapshot = make_snapshot(subclient)
    make_backup_copy(snapshot, backup_copy_of(subclient))
    refresh_selection(subclient)
    assert BackupCopy.objects.get().state == CopyState.COPIED
    with pytest.raises(NothingNew, match="already copied"):
        launch_backup_copy(subclient)


def test_B5_what_the_rules_come_to_want_later_stays_behind_a_newer_copy(subclient: Subclient) -> None:
    ruled(subclient, selection=Selection.FULLS)
    make_snapshot(subclient, n=0, ran_level=Level.INCREMENTAL)
    make_backup_copy(make_snapshot(subclient, n=1, ran_level=Level.FULL), backup_copy_of(subclient))
    make_snapshot(subclient, n=2, ran_level=Level.INCREMENTAL)
    refresh_selection(subclient)
    refresh_selection(ruled(subclient, selection=Selection.ALL))
    states = list(BackupCopy.objects.order_by("snapshot__taken_at").values_list("state", flat=True))
    assert states == [CopyState.NOT_SELECTED, CopyState.COPIED, CopyState.TO_BE_COPIED]
    assert "newer snapshot" in BackupCopy.objects.get(state=CopyState.NOT_SELECTED).state_reason


def test_B5_a_failed_snapshot_is_never_overtaken(subclient: Subclient) -> None:
    old, new = make_snapshot(subclient, n=0), make_snapshot(subclient, n=1)
    refresh_selection(subclient)
    BackupCopy.objects.filter(snapshot=old).update(state=CopyState.FAILED, failures=3)
    assert launch_backup_copy(subclient).snapshot == old
    assert BackupCopy.objects.get(snapshot=new).state == CopyState.TO_BE_COPIED


def test_B7_an_offline_source_is_tried_ten_times_then_skipped(subclient: Subclient) -> None:
    row = make_backup_copy(make_snapshot(subclient), backup_copy_of(subclient), state=CopyState.TO_BE_COPIED)
    for attempt in range(1, 10):
        assert not mark_offline(row, now=NOW)
        row.refresh_from_db()
        assert (row.state, row.offline_attempts, row.offline_since) == (CopyState.FAILED, attempt, NOW)
    assert mark_offline(row, now=NOW)
    row.refresh_from_db()
    assert row.state == CopyState.SKIPPED
    assert row.state_reason == "Source offline. The source was offline at 10 attempts."


def test_B7_an_offline_source_is_skipped_after_the_days_of_the_policy(subclient: Subclient) -> None:
    ruled(subclient, offline_days=2)
    row = make_backup_copy(make_snapshot(subclient), backup_copy_of(subclient), state=CopyState.TO_BE_COPIED)
    mark_offline(row, now=NOW)
    row.refresh_from_db()
    row.copy.policy.refresh_from_db()
    assert mark_offline(row, now=NOW + timedelta(days=2))
    row.refresh_from_db()
    assert (row.state, row.state_reason) == (
        CopyState.SKIPPED,
        "Source offline. The source has been offline for 2 days.",
    )


@pytest.mark.parametrize("action", [OverdueAction.ALERT, OverdueAction.KEEP_WAITING])
def test_B10_by_default_what_is_overdue_goes_on_waiting(subclient: Subclient, action: str) -> None:
    ruled(subclient, overdue_action=action)
    fulls(subclient)
    refresh_selection(subclient, now=NOW)
    assert skip_overdue(subclient, backup_copy_of(subclient), now=NOW + timedelta(days=30)) == 0


@pytest.mark.parametrize(
    ("action", "held"),
    [
        (OverdueAction.ALERT, list(DAYS)),
        (OverdueAction.KEEP_WAITING, list(DAYS)),
        (OverdueAction.SKIP_OLDER, [16]),
    ],
)
def test_B10_R5_only_skipping_ends_the_hold_of_what_is_overdue(
    subclient: Subclient, action: str, held: list[int]
) -> None:
    ruled(subclient, overdue_action=action)
    taken = fulls(subclient)
    refresh_selection(subclient, now=NOW)
    late = NOW + timedelta(days=400)
    skip_overdue(subclient, backup_copy_of(subclient), now=late)
    refresh_selection(subclient, now=late)
    holds = holds_of(list(taken.values()))
    assert sorted(day for day, snapshot in taken.items() if holds.get(snapshot.pk)) == held
    following = next_to_copy(subclient, backup_copy_of(subclient), now=late)
    assert following is not None
    assert following.snapshot.taken_at.day == held[0], "copied normally: the oldest that is held is next"


def test_B10_the_older_are_skipped_and_the_newest_is_copied(subclient: Subclient) -> None:
    ruled(subclient, overdue_action=OverdueAction.SKIP_OLDER)
    fulls(subclient)
    refresh_selection(subclient, now=NOW)
    copy = backup_copy_of(subclient)
    BackupCopy.objects.filter(snapshot__taken_at__day=2).update(mark=Mark.PICK)
    assert skip_overdue(subclient, copy, now=NOW + timedelta(days=14)) == 0
    assert skip_overdue(subclient, copy, now=NOW + timedelta(days=14, seconds=1)) == 5
    assert days_in(CopyState.SKIPPED) == [1, 5, 8, 9, 14]
    assert days_in(CopyState.TO_BE_COPIED) == [2, 16], "what a person picked is never skipped"
    assert "over 14 days" in BackupCopy.objects.filter(state=CopyState.SKIPPED)[0].state_reason


def test_O3_an_inactive_copy_receives_nothing_and_nothing_waits_for_it(subclient: Subclient) -> None:
    copy = backup_copy_of(subclient)
    copy.is_active = False
    copy.save()
    fulls(subclient)
    refresh_selection(subclient, now=NOW)
    assert not BackupCopy.objects.exists()
    with pytest.raises(CannotLaunch, match="no active backup copy"):
        launch_backup_copy(subclient)
