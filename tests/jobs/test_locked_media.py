"""A medium that refuses deletes is understood: what is aged stays, says so, and goes when it may (RULES R7)."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.engine.errors import DeletionRefused
from jobs.engine.media.disk import DiskMedia
from jobs.models import BackupCopy, CopyState, Job, JobState, Snapshot
from jobs.selectors import jobs_needing_attention
from jobs.services import launch_aging, launch_backup_copy, launch_prune, launch_snapshot
from policies import services as configuration
from policies.models import Copy, Media, Subclient
from snapcopy_site.lib.roles import Role
from tests.factories import make_user
from tests.interop.restic import Restic
from tests.job_factories import make_node
from tests.jobs.farm import PASSWORD, backup_copy_of, configure, picture
from tests.jobs.here import run
from tests.rclone_servers import append_only, rest_server

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.interop]


@pytest.fixture
def subclient(tmp_path: Path, redis_url: str) -> Subclient:
    make_node(slots=4)
    made = configure(tmp_path)
    (tmp_path / "source" / "file").write_bytes(os.urandom(300_000))
    copy = backup_copy_of(made)
    Copy.objects.filter(pk=copy.pk).update(retention="basic", retention_days=1, retention_cycles=1)
    return made


def aged_and_kept(subclient: Subclient, tmp_path: Path) -> BackupCopy:
    """Two fulls of which the first is over its retention; returns that one."""
    for days_ago in (9, 0):
        run(launch_snapshot(subclient, level="full"))
        snapshot = Snapshot.objects.latest("pk")
        Snapshot.objects.filter(pk=snapshot.pk).update(taken_at=timezone.now() - timedelta(days=days_ago))
        assert run(launch_backup_copy(subclient)).state == JobState.COMPLETED, picture()
        (tmp_path / "source" / "file").write_bytes(os.urandom(300_000))
    assert run(launch_aging()).result["backup_copies"] == {"aged": 1, "cycles": 1}, picture()
    return BackupCopy.objects.get(state=CopyState.AGED)


def files_on(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_r7_an_append_only_server_keeps_what_is_aged_and_pruning_is_tried_again(
    subclient: Subclient, tmp_path: Path
) -> None:
    """RULES R7: the reason is *locked*."""
    media = Media.objects.get()
    (tmp_path / "media").mkdir()
    there = f"{append_only()}{tmp_path}/media/"
    configuration.update_media(media, user=None, kind="rest", options={"url": there})
    aged = aged_and_kept(subclient, tmp_path)
    media.refresh_from_db()
    before = files_on(tmp_path / "media")
    job = run(launch_prune(media=media))
    assert (job.state, job.exceptions_count) == (JobState.COMPLETED, 0), picture()
    assert job.result["aged_copies"] == 1
    assert not jobs_needing_attention().exists()
    after = files_on(tmp_path / "media")
    assert before <= after, "nothing went"
    assert {name.split("/")[0] for name in after - before} <= {"data", "index", "snapshots"}, "the configuration came"
    aged.refresh_from_db()
    assert (aged.state, aged.forgotten_at) == (CopyState.AGED, None)
    assert aged.retain_reason.startswith("Locked: the medium refuses deletes")
    client = Client()
    client.force_login(make_user(Role.OPERATOR))
    assert "each pruning tries again" in client.get(reverse("policies:media_detail", args=[media.pk])).content.decode()
    assert "The medium refuses deletes" in client.get(reverse("job", args=[job.pk])).content.decode()
    page = client.get(reverse("subclient", args=["server-tree", "tree"])).content.decode()
    assert "Locked: the medium refuses deletes" in page

    again = run(launch_prune(media=media))
    assert again.state == JobState.COMPLETED
    assert files_on(tmp_path / "media") == after, "trying again writes nothing"
    configuration.update_media(media, user=None, options={"url": f"{rest_server()}{tmp_path}/media/"})
    freed = run(launch_prune(media=media))
    assert (freed.result["forgotten"], freed.result["freed_bytes"] > 250_000) == (1, True), picture()
    aged.refresh_from_db()
    assert aged.forgotten_at is not None
    Restic(repository=tmp_path / "media", password=PASSWORD).judge()


def test_r7_what_is_locked_for_a_time_says_until_when(subclient: Subclient, tmp_path: Path) -> None:
    """RULES R7: a medium that tells when the lock ends. None here does, so the refusal is a stand-in's."""
    aged = aged_and_kept(subclient, tmp_path)
    until = datetime(2031, 5, 1, 12, tzinfo=UTC)
    refusal = DeletionRefused("It is locked.", until_ns=int(until.timestamp()) * 10**9)
    media = Media.objects.get()

    def refuse(_media: DiskMedia, name: str) -> None:
        if not name.startswith("locks/"):
            raise refusal

    with mock.patch.object(DiskMedia, "delete", refuse):
        job = run(launch_prune(media=media))
    assert job.state == JobState.COMPLETED, picture()
    aged.refresh_from_db()
    assert aged.retain_until == until
    client = Client()
    client.force_login(make_user(Role.VIEWER))
    for page in (reverse("subclient", args=["server-tree", "tree"]), reverse("policies:media_detail", args=[media.pk])):
        assert "ocked until" in client.get(page).content.decode()
    assert Job.objects.filter(state=JobState.FAILED).count() == 0


def test_locks_that_may_not_be_deleted_fail_no_copy(subclient: Subclient, tmp_path: Path) -> None:
    def refuse(_media: DiskMedia, name: str) -> None:
        raise DeletionRefused(f"“{name}” is locked.")

    with mock.patch.object(DiskMedia, "delete", refuse):
        run(launch_snapshot(subclient))
        job = run(launch_backup_copy(subclient))
    assert job.state == JobState.COMPLETED, picture()
    Restic(repository=tmp_path / "media", password=PASSWORD).run("unlock", "--remove-all")
    Restic(repository=tmp_path / "media", password=PASSWORD).judge()
