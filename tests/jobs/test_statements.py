"""What the services that run with every job ask of the database: few statements, the same however long the history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytest_django.fixtures import DjangoAssertNumQueries

from jobs.models import BackupCopy, CopyState, JobState, Level
from jobs.selectors import bases_of, last_copied, placement_lists
from jobs.services import launch_backup_copy, refresh_selection
from jobs.services.selection import next_to_copy, skip_overdue
from policies.models import Copy, Selection, Subclient
from tests.job_factories import make_backup_copy, make_node, make_snapshot
from tests.jobs.farm import backup_copy_of, configure

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG = 60


@pytest.fixture
def subclient(db: None, tmp_path: Path) -> Subclient:
    """With a long history, all copied: one full, and incrementals."""
    made = configure(tmp_path)
    for number in range(LONG):
        level = Level.INCREMENTAL if number else Level.FULL
        taken = make_snapshot(made, n=number, ran_level=level, taken_at=NOW - timedelta(hours=LONG - number))
        make_backup_copy(taken, backup_copy_of(made), ran_level=level)
    return fresh(made)


def fresh(subclient: Subclient) -> Subclient:
    """As a job reads it."""
    return Subclient.objects.select_related("file_server", "policy").get(pk=subclient.pk)


def test_asking_the_rules_where_nothing_is_new_takes_three_statements(
    subclient: Subclient, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(3):
        refresh_selection(subclient, now=NOW)


def test_a_new_snapshot_is_selected_in_seven(
    subclient: Subclient, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    new = make_snapshot(subclient, n=LONG, taken_at=NOW)
    with django_assert_num_queries(7):
        refresh_selection(subclient, now=NOW)
    assert BackupCopy.objects.get(snapshot=new).state == CopyState.TO_BE_COPIED


def test_snapshots_that_wait_already_are_not_written_again(
    subclient: Subclient, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(5):
        make_snapshot(subclient, n=LONG + number, taken_at=NOW + timedelta(minutes=number))
    refresh_selection(subclient, now=NOW)
    with django_assert_num_queries(5):
        refresh_selection(subclient, now=NOW)


def test_a_rule_of_periods_reads_the_calendar_and_its_period_only(
    subclient: Subclient, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    subclient.policy.selection, subclient.policy.selection_period = Selection.FIRST, "day"
    subclient.policy.save()
    make_snapshot(subclient, n=LONG, ran_level=Level.FULL, taken_at=NOW)
    with django_assert_num_queries(9):
        refresh_selection(subclient, now=NOW)


def test_what_is_overdue_is_looked_for_only_where_the_policy_skips(
    subclient: Subclient, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    copy = backup_copy_of(subclient)
    with django_assert_num_queries(0):
        assert skip_overdue(subclient, copy, now=NOW) == 0


def test_the_bases_of_a_copy_take_one_statement_after_a_full_and_two_after_an_incremental(
    subclient: Subclient, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    copy = Copy.objects.select_related("media").get(pk=backup_copy_of(subclient).pk)
    first, second, last = (BackupCopy.objects.order_by("snapshot__taken_at")[n].snapshot for n in (0, 1, LONG - 1))
    with django_assert_num_queries(1):
        latest, full = bases_of(subclient, copy, before=second)
        assert latest == full
        assert latest is not None
        assert latest.snapshot.taken_at == first.taken_at
    with django_assert_num_queries(2):
        latest, full = bases_of(subclient, copy, before=last)
    assert latest == last_copied(subclient, copy, before=last)
    assert full == last_copied(subclient, copy, before=last, is_full=True)
    assert (latest is not None, full is not None, latest != full) == (True, True, True)


def test_the_next_to_copy_takes_the_same_however_many_wait(
    subclient: Subclient, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(9):
        make_snapshot(subclient, n=LONG + number, taken_at=NOW + timedelta(minutes=number))
    refresh_selection(subclient, now=NOW)
    copy = backup_copy_of(subclient)
    with django_assert_max_num_queries(4):
        found = next_to_copy(subclient, copy, now=NOW + timedelta(days=1))
    assert found is not None
    assert found.snapshot.taken_at == NOW


def test_a_copy_is_launched_and_placed_in_few(
    subclient: Subclient, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    """34 before what placing asks came with the job and the four lists of nodes in one statement."""
    make_node()
    make_snapshot(subclient, n=LONG, taken_at=NOW)
    with django_assert_max_num_queries(26):
        assert launch_backup_copy(subclient).state == JobState.QUEUED


def test_N1_N2_the_four_lists_of_nodes_are_read_together(
    subclient: Subclient, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    own, server, snap, agent, other = (make_node(name=name) for name in ("own", "server", "snap", "agent", "other"))
    copy = backup_copy_of(subclient)
    subclient.access_nodes.add(own)
    subclient.file_server.access_nodes.add(server)
    subclient.policy.copies.get(kind="primary_snap").media_agents.add(snap)
    copy.media_agents.add(agent, other)
    with django_assert_max_num_queries(2):
        lists = placement_lists(subclient=subclient, copy=copy)
    assert (lists.subclient_nodes, lists.file_server_nodes) == ({"own"}, {"server"})
    assert (lists.snap_agents, lists.backup_agents) == ({"snap"}, {"agent", "other"})
