"""Aging stays quick with many rows: a bounded number of queries, and nothing rewritten that did not change."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs.models import BackupCopy, CopyState, Snapshot
from jobs.services.aging import age_everything
from policies.models import Copy, Subclient
from tests.factories import make_file_server, make_media, make_policy, make_subclient

ROWS = int(os.environ.get("ROWS", "2000"))
SUBCLIENTS = 20
START = datetime(2020, 1, 5, 20, tzinfo=UTC)
DAY = timedelta(days=1)

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(600)]


def fill(subclient: Subclient, copy: Copy, rows: int) -> None:
    """Weekly fulls and daily incrementals, all copied; their snapshots are deleted since."""
    media = copy.media
    assert media is not None
    snapshots = Snapshot.objects.bulk_create(
        Snapshot(
            subclient=subclient,
            name=f"sc-large-{subclient.pk}-{number}",
            engine="directory",
            state=Snapshot.State.DELETED,
            ran_level="full" if number % 7 == 0 else "incremental",
            taken_at=START + number * DAY,
        )
        for number in range(rows)
    )
    BackupCopy.objects.bulk_create(
        BackupCopy(
            snapshot=snapshot,
            copy=copy,
            media=media,
            state=CopyState.COPIED,
            ran_level=snapshot.ran_level,
            snapshot_file_id=f"{snapshot.pk:064x}",
            tree_id="f" * 64,
            copied_at=snapshot.taken_at,
            logical_bytes=10**6,
        )
        for snapshot in snapshots
    )


def test_R4_aging_of_many_rows_takes_few_queries_and_rewrites_nothing_the_second_time() -> None:
    policy = make_policy(media=make_media())
    copy = Copy.objects.get(kind="primary_backup")
    Copy.objects.filter(pk=copy.pk).update(retention="basic", retention_days=365, retention_cycles=4)
    server = make_file_server()
    each = ROWS // SUBCLIENTS
    for number in range(SUBCLIENTS):
        made = make_subclient(name=f"s{number}", file_server=server, policy=policy, paths=(f"/srv/{number}",))
        fill(made, copy, each)
    now = START + each * DAY
    began = time.monotonic()
    with CaptureQueriesContext(connection) as first:
        done = age_everything(now=now)
    took = time.monotonic() - began
    assert done.backup_copies.total() == each * SUBCLIENTS
    assert len(first) < SUBCLIENTS * (40 + ROWS // 10_000)
    began = time.monotonic()
    with CaptureQueriesContext(connection) as second:
        age_everything(now=now)
    print(
        f"{ROWS} rows: {took:.1f} s, {len(first)} queries, {done.backup_copies}; again {time.monotonic() - began:.1f} s"
    )
    writes = [query["sql"] for query in second if query["sql"].startswith('UPDATE "jobs_backupcopy"')]
    assert [sql for sql in writes if "retain_until" in sql] == []
