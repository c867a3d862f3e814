"""Pages of aging, pruning, verification and the source guard: what they show, who may, what they launch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from jobs import services
from jobs.engine.snapshots.registry import ENGINES
from jobs.models import BackupCopy, CopyState, Job, JobState, Operation
from policies.models import AuditEntry, Copy, Media, Subclient
from snapcopy_site.lib.roles import Role
from snapcopy_site.lib.templatetags.units import bytes_text
from tests.factories import backup_copy_of, make_media, make_policy, make_subclient, make_user
from tests.job_factories import make_backup_copy, make_job, make_node, make_snapshot

pytestmark = pytest.mark.django_db
Enter = Callable[[Role], Client]


@pytest.fixture
def enter() -> Enter:
    def come(role: Role) -> Client:
        client = Client()
        client.force_login(User.objects.filter(username=role.value).first() or make_user(role))
        return client

    return come


@pytest.fixture
def media() -> Media:
    made = make_media()
    Media.objects.filter(pk=made.pk).update(repository_id="a" * 64)
    made.refresh_from_db()
    return made


@pytest.fixture
def subclient(media: Media) -> Subclient:
    make_node()
    return make_subclient(policy=make_policy(media=media))


def test_R4_the_medium_tells_logically_aged_and_space_freed_apart(
    enter: Enter, subclient: Subclient, media: Media
) -> None:
    row = make_backup_copy(make_snapshot(subclient), backup_copy_of(subclient.policy))
    BackupCopy.objects.filter(pk=row.pk).update(state=CopyState.AGED, aged_at=timezone.now())
    figures = {"freed_bytes": 7 * 10**6, "logical_bytes": 9 * 10**6, "aged_copies": 3, "unused_bytes_left": 0}
    make_job(operation=Operation.PRUNE, state=JobState.COMPLETED, media=media, result=figures)
    page = enter(Role.OPERATOR).get(reverse("policies:media_detail", args=[media.pk])).content.decode()
    assert f"1 backup copy, {bytes_text(10**6)} logical" in page
    assert f"{bytes_text(7 * 10**6)} freed, {bytes_text(9 * 10**6)} logical of 3 aged backup copies" in page
    assert "Prune now" in page
    assert "Prune now" not in enter(Role.VIEWER).get(reverse("policies:media_detail", args=[media.pk])).content.decode()


def test_a_failed_verification_is_on_the_page_of_its_medium(enter: Enter, subclient: Subclient, media: Media) -> None:
    wrong = {"error_code": "verification-failed", "error_sentence": "3 problems were found on disk-a."}
    problems = [{"name": "data/ab/abcd", "sentence": "data/ab/abcd is damaged", "hint": ""}]
    figures = dict.fromkeys(("snapshot_files", "trees", "packs", "packs_read", "bytes_read", "touched_count"), 4)
    result = {"ok": False, **figures, "problems": problems, "problems_count": 3, "touched": [], "percent": 100.0}
    job = make_job(operation=Operation.VERIFY, state=JobState.FAILED, media=media, result=result, **wrong)
    client = enter(Role.VIEWER)
    assert wrong["error_sentence"] in client.get(reverse("policies:media_detail", args=[media.pk])).content.decode()
    page = client.get(reverse("job", args=[job.pk])).content.decode()
    assert "data/ab/abcd is damaged" in page
    assert "Problems: 3" in page


@pytest.mark.parametrize(("name", "operation"), [("media-prune", "prune"), ("media-verify", "verify")])
def test_an_operator_prunes_and_verifies_a_medium(
    enter: Enter, subclient: Subclient, media: Media, name: str, operation: str
) -> None:
    assert enter(Role.VIEWER).post(reverse(name, args=[media.pk])).status_code == 403
    answer = enter(Role.OPERATOR).post(reverse(name, args=[media.pk]), {"percent": "12.5"})
    job = Job.objects.get(operation=operation)
    assert answer.headers["Location"] == reverse("job", args=[job.pk])
    assert (job.media, job.media_label, job.initiator) == (media, media.name, "person")
    if operation == "verify":
        assert job.parameters == {"percent": 12.5}
    answer = enter(Role.OPERATOR).post(reverse(name, args=[media.pk]), follow=True)
    assert f"Job {job.pk}" in answer.content.decode()
    assert Job.objects.filter(operation=operation).count() == 1


@pytest.mark.parametrize("percent", ["-1", "101", "all", "nan"])
def test_a_wrong_part_of_the_data_is_refused_with_a_sentence(
    enter: Enter, subclient: Subclient, media: Media, percent: str
) -> None:
    answer = enter(Role.OPERATOR).post(reverse("media-verify", args=[media.pk]), {"percent": percent}, follow=True)
    assert "a number between 0 and 100" in answer.content.decode()
    assert not Job.objects.filter(operation="verify").exists()


def test_a_medium_without_a_repository_is_not_pruned(enter: Enter, db: None) -> None:
    empty = make_media(name="empty")
    answer = enter(Role.OPERATOR).post(reverse("media-prune", args=[empty.pk]), follow=True)
    assert "has no repository yet" in answer.content.decode()


def test_R9_what_an_aging_would_mark_is_shown_before_it_runs(
    enter: Enter, subclient: Subclient, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    Copy.objects.filter(kind="primary_backup").update(retention="basic", retention_days=1, retention_cycles=1)
    copy = backup_copy_of(subclient.policy)
    now = timezone.now()
    for days in (9, 5):
        make_backup_copy(make_snapshot(subclient, taken_at=now - timedelta(days=days)), copy)
    client = enter(Role.OPERATOR)
    with django_assert_max_num_queries(25):
        page = client.get(reverse("aging")).content.decode()
    assert "Over their retention now: 1" in page
    assert "Its cycle is older than 1 day, and 1 newer cycle is kept." in page
    enter(Role.OPERATOR).post(reverse("age-now"))
    assert Job.objects.get(operation="aging").initiator == "person"
    assert enter(Role.VIEWER).post(reverse("age-now")).status_code == 403


def test_R10_the_overview_and_the_subclient_say_that_aging_is_stopped_until_somebody_acknowledges(
    enter: Enter, subclient: Subclient
) -> None:
    services.freeze_aging(subclient, reason="The source is empty.")
    own = reverse("subclient", args=[subclient.file_server.name, subclient.name])
    acknowledge = reverse("acknowledge-source", args=[subclient.file_server.name, subclient.name])
    for address in (reverse("overview"), own):
        page = enter(Role.OPERATOR).get(address).content.decode()
        assert "The source is empty." in page
        assert acknowledge in page
        assert acknowledge not in enter(Role.VIEWER).get(address).content.decode()
    assert enter(Role.VIEWER).post(acknowledge).status_code == 403

    answer = enter(Role.OPERATOR).post(acknowledge, follow=True)
    assert "ages again" in answer.content.decode()
    subclient.refresh_from_db()
    assert (subclient.aging_frozen_at, subclient.aging_frozen_reason) == (None, "")
    entry = AuditEntry.objects.latest("pk")
    assert (entry.user_label, "The source is empty." in entry.sentence) == ("operator", True)
    assert "nothing to acknowledge" in enter(Role.OPERATOR).post(acknowledge, follow=True).content.decode()


def test_R8_a_subclient_near_the_limit_of_its_storage_is_named(
    enter: Enter, subclient: Subclient, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = reverse("subclient", args=[subclient.file_server.name, subclient.name])
    for number in range(8):
        make_snapshot(subclient, n=number)
    client = enter(Role.VIEWER)
    assert "snapshot limit" not in client.get(own).content.decode()
    monkeypatch.setitem(ENGINES, "directory", dataclasses.replace(ENGINES["directory"], snapshot_limit=11))
    assert "snapshot limit" not in client.get(own).content.decode()
    monkeypatch.setitem(ENGINES, "directory", dataclasses.replace(ENGINES["directory"], snapshot_limit=10))
    for address in (reverse("overview"), own):
        assert "8 of the 10 snapshots that the storage allows are taken." in client.get(address).content.decode()


def test_an_aging_job_shows_what_it_did_by_reason(enter: Enter, subclient: Subclient) -> None:
    item = {"kind": "backup copy", "name": "sc-x-1-1", "subclient": "fs1/home", "copy": "gold/backup", "reason": "Old."}
    result = {"aged": 1, "aged_items": [item], "backup_copies": {"aged": 1, "cycles": 4}, "snapshots": {"days": 2}}
    job = make_job(operation=Operation.AGING, state=JobState.COMPLETED, result=result)
    page = enter(Role.VIEWER).get(reverse("job", args=[job.pk])).content.decode()
    for words in ("Marked as aged: 1", "Cycles 4", "Days 2", "sc-x-1-1", "Old."):
        assert words in page


def test_a_damaged_medium_says_so_and_an_operator_repairs_it_after_being_asked(
    enter: Enter, subclient: Subclient, media: Media
) -> None:
    row = make_backup_copy(make_snapshot(subclient), backup_copy_of(subclient.policy), damaged_files=1)
    media.damaged_packs.create(pack="b" * 64, sentence="It is damaged.", blobs=3, blobs_bad=1, found_at=timezone.now())
    media.damaged_paths.create(path=b"/srv/home/a", display_path="/srv/home/a", backup_copies=[row.pk])
    own, repair = reverse("policies:media_detail", args=[media.pk]), reverse("media-repair", args=[media.pk])
    page = enter(Role.OPERATOR).get(own).content.decode()
    assert "1 backup copy cannot be restored whole" in page
    assert "1 damaged pack, 1 path touched" in page
    assert repair in page
    assert repair not in enter(Role.VIEWER).get(own).content.decode()
    assert enter(Role.VIEWER).post(repair).status_code == 403

    asked = enter(Role.OPERATOR).get(repair).content.decode()
    assert "1 damaged pack and 1 path that cannot be restored whole are known." in asked
    assert not Job.objects.filter(operation=Operation.REPAIR).exists()
    answer = enter(Role.OPERATOR).post(repair)
    job = Job.objects.get(operation=Operation.REPAIR)
    assert answer.headers["Location"] == reverse("job", args=[job.pk])
    assert (job.media, job.initiator, job.parameters) == (media, "person", {"copy_again": True})
    assert AuditEntry.objects.latest("pk").sentence == f"Repair of the medium disk-a: job {job.pk}"


def test_a_repair_shows_what_came_back_and_what_is_copied_again(
    enter: Enter, subclient: Subclient, media: Media
) -> None:
    figures = dict.fromkeys(("snapshot_files", "trees", "packs", "packs_read", "bytes_read", "touched_count"), 4)
    mended = {"packs_removed": 2, "blobs_saved": 7, "blobs_back": 5, "blobs_lost": 1, "index_rebuilt": True}
    brought = [{"source": "the medium other", "blobs": 3}, {"source": "held snapshots", "blobs": 2}]
    again = {"copied_again": 1, "copied_again_jobs": [17], "not_copied_again": ["sc-x-1-1 is gone."]}
    result = {"ok": False, **figures, **mended, "brought": brought, **again}
    job = make_job(operation=Operation.REPAIR, state=JobState.FAILED, media=media, result=result)
    page = enter(Role.VIEWER).get(reverse("job", args=[job.pk])).content.decode()
    for words in ("the medium other (3) and held snapshots (2)", "made anew", "job 17", "sc-x-1-1 is gone."):
        assert words in page
