"""RULES R9: what an edit would delete, shown before it is saved, is what aging then does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from jobs.models import BackupCopy, CopyState, Snapshot, SnapshotReplica
from jobs.services import freeze_aging
from jobs.services.aging import age_everything
from jobs.services.aging_preview import deletions_of_aging
from policies.models import Copy, ExtendedRetention, Subclient
from policies.previews import deletions_of_edit
from tests.factories import make_file_server, make_media, make_policy, make_subclient
from tests.job_factories import make_backup_copy, make_snapshot

pytestmark = pytest.mark.django_db
FULL = [28, 21, 14, 7, 0]
NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def amid_a_year(monkeypatch: pytest.MonkeyPatch) -> None:
    """In January the last four weeks have the first full of two years."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture
def subclient() -> Subclient:
    """Fulls of the last four weeks, all copied; nothing ages yet."""
    made = make_subclient(policy=make_policy(media=make_media()))
    copy = Copy.objects.get(kind="primary_backup")
    for number, days in enumerate(FULL):
        taken = make_snapshot(made, n=number, taken_at=timezone.now() - timedelta(days=days, hours=1))
        make_backup_copy(taken, copy, ran_level="full")
    return made


@pytest.fixture
def backup(subclient: Subclient) -> Copy:
    return Copy.objects.get(kind="primary_backup")


@pytest.fixture
def primary(subclient: Subclient) -> Copy:
    return Copy.objects.get(kind="primary_snap")


def save(copy: Copy, changes: dict[str, Any]) -> None:
    rules = changes.pop("extended", None)
    Copy.objects.filter(pk=copy.pk).update(**changes)
    for number, rule in enumerate(rules or (), start=1):
        ExtendedRetention.objects.create(copy=copy, position=number, **rule)


@pytest.mark.parametrize(
    ("kind", "changes", "count"),
    [
        ("primary_backup", {"retention": "basic", "retention_days": 10, "retention_cycles": 1}, 3),
        ("primary_backup", {"retention": "basic", "retention_days": 10, "retention_cycles": 4}, 1),
        ("primary_backup", {"retention": "basic", "retention_days": 90, "retention_cycles": 1}, 0),
        (
            "primary_backup",
            {
                "retention": "basic",
                "retention_days": 10,
                "retention_cycles": 1,
                "extended": [{"period": "year", "pick": "first", "days": None}],
            },
            2,
        ),
        ("primary_snap", {"retention": "days", "retention_days": 8}, 3),
        ("primary_snap", {"retention": "count", "retention_count": 4}, 1),
        ("primary_snap", {"retention": "spool"}, 5),
    ],
)
def test_R9_the_preview_names_exactly_what_aging_marks_once_the_edit_is_saved(
    subclient: Subclient, kind: str, changes: dict[str, Any], count: int
) -> None:
    copy = Copy.objects.get(kind=kind)
    before = set(BackupCopy.objects.values_list("state", flat=True))
    shown = deletions_of_edit(copy=copy, changes=changes)
    assert len(shown) == count
    assert all(one.reason and subclient.path in one.label and one.at for one in shown)
    assert [one.at for one in shown] == sorted(one.at for one in shown if one.at)
    assert set(BackupCopy.objects.values_list("state", flat=True)) == before, "a preview changes nothing"
    copy.refresh_from_db()
    assert copy.retention == "infinite"

    save(copy, changes)
    age_everything()
    if copy.is_backup:
        marked = set(BackupCopy.objects.filter(state=CopyState.AGED).values_list("snapshot__name", flat=True))
    else:
        marked = set(Snapshot.objects.filter(aged_at__isnull=False).values_list("name", flat=True))
    assert {one.label.rpartition(": ")[2] for one in shown} == marked


def test_R9_what_the_next_aging_deletes_anyway_is_not_the_edits_fault(subclient: Subclient, backup: Copy) -> None:
    save(backup, {"retention": "basic", "retention_days": 22, "retention_cycles": 1})
    backup.refresh_from_db()
    assert len(deletions_of_aging()) == 1
    shown = deletions_of_edit(copy=backup, changes={"retention_days": 10})
    assert len(shown) == 2


def test_R9_aging_switched_on_shows_what_waited_for_it(subclient: Subclient, backup: Copy) -> None:
    save(backup, {"retention": "basic", "retention_days": 1, "retention_cycles": 1, "ages": False})
    backup.refresh_from_db()
    assert deletions_of_aging() == []
    assert len(deletions_of_edit(copy=backup, changes={"ages": True})) == 4


def test_R9_a_deactivated_copy_gives_up_the_snapshots_that_wait_for_it(
    subclient: Subclient, backup: Copy, primary: Copy
) -> None:
    save(primary, {"retention": "days", "retention_days": 30})
    late = make_snapshot(subclient, n=9, taken_at=timezone.now() - timedelta(days=50))
    make_backup_copy(late, backup, state=CopyState.TO_BE_COPIED)
    (shown,) = deletions_of_edit(copy=backup, changes={"is_active": False})
    assert (shown.kind, late.name in shown.label) == ("snapshot", True)
    backup.refresh_from_db()
    assert backup.is_active, "it was only tried"


def test_R9_a_secondary_snap_copy_shows_its_own_snapshots(subclient: Subclient) -> None:
    target = make_file_server(name="vault")
    vault = Copy.objects.create(
        policy=subclient.policy, name="vault", kind="secondary_snap", precedence=9, target_server=target
    )
    for snapshot in Snapshot.objects.all():
        SnapshotReplica.objects.create(
            snapshot=snapshot,
            copy=vault,
            file_server=target,
            state=CopyState.COPIED,
            copied_at=timezone.now(),
        )
    shown = deletions_of_edit(copy=vault, changes={"retention": "count", "retention_count": 2})
    assert [one.kind for one in shown] == ["secondary snapshot"] * 3


def test_R9_R10_nothing_of_a_frozen_subclient_would_go(subclient: Subclient, backup: Copy) -> None:
    freeze_aging(subclient, reason="The source is empty.")
    changes = {"retention": "basic", "retention_days": 1, "retention_cycles": 1}
    assert deletions_of_edit(copy=backup, changes=changes) == []


def test_R9_an_edit_of_other_fields_and_a_new_copy_delete_nothing(subclient: Subclient, backup: Copy) -> None:
    assert deletions_of_edit(copy=backup, changes={"name": "other"}) == []
    assert deletions_of_edit(copy=Copy(), changes={"retention": "days", "retention_days": 1}) == []


def test_R9_figures_that_no_rule_allows_are_for_the_form_to_refuse(subclient: Subclient, backup: Copy) -> None:
    rules = [{"period": "month", "pick": "first", "days": 3}]
    changes = {"retention": "basic", "retention_days": 10, "retention_cycles": 1, "extended": rules}
    assert deletions_of_edit(copy=backup, changes=changes) == []
