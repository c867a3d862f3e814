"""RULES L4: the base of a backup copy changes only with the transaction that marks it *copied*."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from jobs.models import BackupCopy, CopyState, Snapshot
from jobs.services.copy_states import mark_copying, mark_failed, mark_stopped
from policies.models import Copy, Subclient
from tests.job_factories import make_backup_copy, make_job, make_snapshot
from tests.jobs.farm import backup_copy_of, configure

pytestmark = pytest.mark.django_db


@pytest.fixture
def subclient(db: None, tmp_path: Path) -> Subclient:
    return configure(tmp_path)


@pytest.fixture
def copy(subclient: Subclient) -> Copy:
    return backup_copy_of(subclient)


def snap(subclient: Subclient, days_ago: int) -> Snapshot:
    return make_snapshot(subclient, taken_at=timezone.now() - timedelta(days=days_ago))


def test_L4_a_recopy_that_fails_leaves_the_base_of_what_is_on_media(subclient: Subclient, copy: Copy) -> None:
    first, second = (make_backup_copy(snap(subclient, days), copy) for days in (3, 2))
    row = make_backup_copy(snap(subclient, 1), copy, parent=first)
    for end in (mark_failed, mark_stopped):
        row.refresh_from_db()
        mark_copying(row, job_id=make_job().pk, base=second)
        row.refresh_from_db()
        assert (row.state, row.parent) == (CopyState.COPYING, second)
        mark_copying(row, job_id=make_job().pk, base=second)
        row.refresh_from_db()
        end(row, reason="no space")
        row.refresh_from_db()
        assert (row.state, row.parent, row.tokens) == (CopyState.COPIED, first, {})


def test_L4_a_first_copy_that_fails_has_no_base(subclient: Subclient, copy: Copy) -> None:
    base = make_backup_copy(snap(subclient, 2), copy)
    row = make_backup_copy(snap(subclient, 1), copy, state=CopyState.TO_BE_COPIED)
    mark_copying(row, job_id=make_job().pk, base=base)
    mark_failed(BackupCopy.objects.get(pk=row.pk), reason="no space")
    row.refresh_from_db()
    assert (row.state, row.parent) == (CopyState.FAILED, None)
