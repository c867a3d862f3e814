"""What the overview says of copies that wait and of storage (RULES D2, D3)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.models import CopyState, JobState, Operation
from jobs.selectors_pages.overview import media_use
from jobs.selectors_pages.pending import Pending, pending_copies
from jobs.selectors_pages.protection import subclient_states
from policies.models import Media, StoragePolicy, Subclient
from snapcopy_site.lib.roles import Role
from tests.factories import backup_copy_of, make_subclient, make_user
from tests.job_factories import make_backup_copy, make_job, make_snapshot

DAY = timedelta(days=1)


def _wait(subclient: Subclient, *ages_days: float) -> None:
    """Snapshots that were selected so many days ago and are not copied."""
    for number, age in enumerate(ages_days):
        when = timezone.now() - age * DAY
        snapshot = make_snapshot(subclient, n=number, taken_at=when)
        copy = backup_copy_of(subclient.policy)
        make_backup_copy(snapshot, copy, state=CopyState.TO_BE_COPIED, selected_at=when)


def _copied_before(subclient: Subclient, *, bytes_read: int, seconds: float, days_ago: float = 2) -> None:
    ended = timezone.now() - days_ago * DAY
    make_job(
        operation=Operation.BACKUP_COPY,
        state=JobState.COMPLETED,
        subclient=subclient,
        bytes_read=bytes_read,
        started_at=ended - timedelta(seconds=seconds),
        finished_at=ended,
    )


def _pending() -> Pending:
    (found,) = pending_copies(subclient_states())
    return found


def test_D2_what_waits_is_counted_with_its_oldest_and_the_days_until_it_is_overdue(subclient: Subclient) -> None:
    _wait(subclient, 3.5, 1, 9.5)
    pending = _pending()
    assert pending.row.waiting == 3
    assert pending.row.oldest_waiting is not None
    assert (timezone.now() - pending.row.oldest_waiting).days == 9
    assert (pending.days_to_overdue, pending.is_overdue) == (4, False)
    StoragePolicy.objects.update(overdue_after_days=9)
    assert (_pending().days_to_overdue, _pending().is_overdue) == (-1, True)


def test_D2_bytes_and_time_are_estimated_from_the_copies_made_lately(subclient: Subclient) -> None:
    _wait(subclient, 2, 1)
    assert (_pending().bytes_to_read, _pending().takes) == (None, None)
    _copied_before(subclient, bytes_read=100, seconds=10)
    _copied_before(subclient, bytes_read=300, seconds=30)
    _copied_before(subclient, bytes_read=10**9, seconds=9999, days_ago=100)
    assert (_pending().bytes_to_read, _pending().takes) == (400, timedelta(seconds=40))


def test_D2_the_overview_shows_it_and_nothing_where_nothing_waits(subclient: Subclient, client: Client) -> None:
    client.force_login(make_user(Role.VIEWER))
    make_backup_copy(make_snapshot(subclient), backup_copy_of(subclient.policy))
    assert "Backup copies pending" not in client.get(reverse("overview")).content.decode()
    _wait(subclient, 1.5)
    _copied_before(subclient, bytes_read=3 * 2**30, seconds=120)
    page = client.get(reverse("overview")).content.decode()
    assert "Backup copies pending" in page
    assert "in 12 days" in page
    assert "3.00 GiB" in page


@pytest.mark.parametrize(("action", "is_alarm"), [("alert", True), ("skip_older", True), ("keep_waiting", False)])
def test_B10_the_overview_raises_an_alarm_unless_the_policy_keeps_waiting(
    action: str, is_alarm: bool, subclient: Subclient, client: Client
) -> None:
    client.force_login(make_user(Role.VIEWER))
    StoragePolicy.objects.update(overdue_action=action)
    make_backup_copy(make_snapshot(subclient, n=9), backup_copy_of(subclient.policy))
    _wait(subclient, 15)
    page = client.get(reverse("overview")).content.decode()
    assert ("is overdue" in page) is is_alarm
    assert ("never: keeps waiting" in page) is not is_alarm
    assert ("That is overdue: over 14 days." in page) is is_alarm
    assert "A snapshot has waited 15 days for its copy." in page, "the alert of 48 hours stays"


def test_B10_many_alarms_do_not_bury_the_page(subclient: Subclient, client: Client) -> None:
    client.force_login(make_user(Role.VIEWER))
    for number in range(7):
        other = make_subclient(name=f"s{number}", file_server=subclient.file_server, policy=subclient.policy)
        _wait(other, 20)
    page = client.get(reverse("overview")).content.decode()
    assert page.count("is overdue</p>") == 5
    assert "2 more subclients overdue" in page


def test_D3_storage_is_told_as_logical_and_stored_with_the_savings(subclient: Subclient) -> None:
    for number in range(3):
        make_backup_copy(make_snapshot(subclient, n=number), backup_copy_of(subclient.policy), logical_bytes=1000)
    Media.objects.update(stored_bytes=600)
    (use,) = media_use(make_user(Role.VIEWER))
    assert (use.backup_copies, use.logical_bytes, use.savings) == (3, 3000, 5.0)


def test_D3_recovery_points_stand_apart_for_snapshots_and_for_copies(subclient: Subclient) -> None:
    old, new = make_snapshot(subclient, taken_at=timezone.now() - 3 * DAY), make_snapshot(subclient, n=1)
    make_backup_copy(old, backup_copy_of(subclient.policy))
    (row,) = subclient_states()
    assert (row.snapshot_point, row.copied_point) == (new.taken_at, old.taken_at)
