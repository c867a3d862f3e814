"""A medium that refuses deletes is understood: what is aged stays, says so, and goes when it may (RULES R7)."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.engine.media.s3 import stock_s3
from jobs.engine.plan import Secret
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
from tests.moto_servers import BUCKET, serve_locking_s3
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


def test_r7_object_lock_says_until_when_and_what_is_free_again_goes(subclient: Subclient, tmp_path: Path) -> None:
    """RULES R7, on a bucket with a default retention."""
    media, server = Media.objects.get(), serve_locking_s3()
    folder = tmp_path.name
    values = {"endpoint": server.url, "bucket": BUCKET, "prefix": folder, "access_key": "key", "object_lock": True}
    configuration.update_media(media, user=None, kind="s3", options=values, secrets={"secret_key": Secret("secret")})
    aged = aged_and_kept(subclient, tmp_path)
    media.refresh_from_db()
    job = run(launch_prune(media=media))
    assert (job.state, job.exceptions_count) == (JobState.COMPLETED, 0), picture()
    aged.refresh_from_db()
    assert (aged.state, aged.forgotten_at) == (CopyState.AGED, None)
    assert aged.retain_until is not None
    assert abs(aged.retain_until - timezone.now() - timedelta(days=server.days)) < timedelta(minutes=5)
    client = Client()
    client.force_login(make_user(Role.VIEWER))
    for page in (reverse("subclient", args=["server-tree", "tree"]), reverse("policies:media_detail", args=[media.pk])):
        assert "ocked until" in client.get(page).content.decode()

    for name in server.names(f"{folder}/"):
        server.end_lock(name)
    freed = run(launch_prune(media=media))
    assert (freed.result["forgotten"], freed.result["freed_bytes"] > 250_000) == (1, True), picture()
    aged.refresh_from_db()
    assert aged.forgotten_at is not None
    assert not server.versions(f"{folder}/snapshots/{aged.snapshot_file_id}")
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    Restic(address=stock_s3(values), password=PASSWORD, environment=keys).judge()
    assert Job.objects.filter(state=JobState.FAILED).count() == 0
