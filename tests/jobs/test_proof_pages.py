"""What people see of verifications, drills and damage: at each copy, on the medium's page and on the overview."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from jobs.models import BackupCopy, DrillResult, JobState, MediumReading, Operation, PackReading
from jobs.selectors_pages.proof import PAGE, coverage_of
from policies.models import Media, Subclient, UserScope
from snapcopy_site.lib.roles import Role
from tests.factories import backup_copy_of, make_media, make_policy, make_schedule, make_subclient, make_user
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


@pytest.fixture
def row(subclient: Subclient) -> BackupCopy:
    copied_at = timezone.now() - timedelta(days=3)
    return make_backup_copy(make_snapshot(subclient), backup_copy_of(subclient.policy), copied_at=copied_at)


def read(media: Media, *, days_ago: float, packs: int, was_read: bool = True) -> None:
    PackReading.objects.create(
        media=media,
        at=timezone.now() - timedelta(days=days_ago),
        turn=1,
        was_read=was_read,
        is_settled=True,
        packs=packs,
        stored_bytes=packs,
        keys=b"12345678" * packs,
    )


def verify(media: Media, *, packs: int = 100, problems: int = 0) -> MediumReading:
    result = {"packs": packs, "bytes_read": 5, "packs_bytes": 100}
    job = make_job(operation=Operation.VERIFY, state=JobState.COMPLETED, media=media, result=result)
    given = {"packs": packs, "problems": problems, "verified_at": timezone.now() - timedelta(hours=2), "job": job}
    return MediumReading.objects.update_or_create(media=media, defaults=given)[0]


def drill(row: BackupCopy, *, differences: int = 0) -> DrillResult:
    job = make_job(operation=Operation.DRILL, state=JobState.COMPLETED, subclient=row.snapshot.subclient)
    given = {"files": 25, "compared_bytes": 10**6, "seconds": 1.5, "at": timezone.now() - timedelta(hours=1)}
    return DrillResult.objects.create(
        job=job, backup_copy=row, copy=row.copy, compared_with="snapshot", differences=differences, **given
    )


def damage(row: BackupCopy, *paths: str) -> None:
    for path in paths:
        row.media.damaged_paths.create(path=path.encode(), display_path=path, backup_copies=[row.pk])
    BackupCopy.objects.filter(pk=row.pk).update(damaged_files=len(paths))


def pages(row: BackupCopy) -> dict[str, str]:
    subclient = row.snapshot.subclient
    return {
        "overview": reverse("overview"),
        "medium": reverse("policies:media_detail", args=[row.media_id]),
        "subclient": reverse("subclient", args=[subclient.file_server.name, subclient.name]),
    }


def test_before_any_verification_and_drill_the_pages_say_never(enter: Enter, row: BackupCopy) -> None:
    for name, address in pages(row).items():
        page = enter(Role.VIEWER).get(address).content.decode()
        assert "Never drilled" in page, name
        assert ("Never verified" in page) == (name != "medium"), name


def test_how_much_was_read_within_the_promised_days_and_the_last_drill_are_on_every_page(
    enter: Enter, row: BackupCopy, media: Media
) -> None:
    verify(media)
    read(media, days_ago=2, packs=40)
    read(media, days_ago=10, packs=20)
    read(media, days_ago=45, packs=15)
    read(media, days_ago=1, packs=25, was_read=False)
    drill(row)
    for name, address in pages(row).items():
        page = " ".join(enter(Role.VIEWER).get(address).content.decode().split())
        assert "60 % of the packs" in page, name
        assert "within 30 days" in page, name
        assert "25 files as copied, by the snapshot" in page, name
    values = {"operation": "verify", "verify_how": "days", "cron": "0 1 * * *"}
    make_schedule(None, name="v", verify_days=50, media=media, **values)
    assert coverage_of([media.pk])[media.pk].percent == 75
    make_schedule(None, name="w", verify_days=7, **values)
    assert (coverage_of([media.pk])[media.pk].percent, coverage_of([media.pk])[media.pk].days) == (40, 7)


def test_a_copy_made_after_the_last_verification_does_not_borrow_its_word(
    enter: Enter, row: BackupCopy, media: Media
) -> None:
    verify(media)
    BackupCopy.objects.filter(pk=row.pk).update(copied_at=timezone.now())
    page = enter(Role.VIEWER).get(pages(row)["subclient"]).content.decode()
    assert "Made since the last verification" in page


def test_J1_damage_is_an_alarm_on_every_page_with_the_files_named(enter: Enter, row: BackupCopy, media: Media) -> None:
    verify(media, problems=1)
    damage(row, "/srv/home/a", "/srv/home/b", "/srv/home/c", "/srv/home/d")
    drill(row, differences=2)
    told = {
        "overview": "1 backup copy on",
        "medium": "1 backup copy cannot be restored whole",
        "subclient": "<code>/srv/home/a</code>, <code>/srv/home/b</code>, <code>/srv/home/c</code> and 1 more",
    }
    for name, address in pages(row).items():
        page = " ".join(enter(Role.OPERATOR).get(address).content.decode().split())
        assert told[name] in page, name
        assert reverse("media-damage", args=[media.pk]) in page, name
        assert "2 of 25 files not as copied" in page, name
    of_it = f"{reverse('media-damage', args=[media.pk])}?copy={row.pk}"
    listed = enter(Role.VIEWER).get(of_it).content.decode()
    for path in ("a", "b", "c", "d"):
        assert f"/srv/home/{path}" in listed
    assert row.snapshot.subclient.path in listed
    assert "not tried yet" in listed
    assert reverse("media-repair", args=[media.pk]) not in listed
    assert reverse("media-repair", args=[media.pk]) in enter(Role.OPERATOR).get(of_it).content.decode()


def test_damage_is_listed_in_pages(
    enter: Enter, row: BackupCopy, media: Media, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    damage(row, *(f"/srv/home/{number:04}" for number in range(PAGE + 5)))
    client = enter(Role.VIEWER)
    with django_assert_max_num_queries(11):
        first = client.get(reverse("media-damage", args=[media.pk])).content.decode()
    assert f"/srv/home/{PAGE - 1:04}" in first
    assert f"/srv/home/{PAGE:04}" not in first
    last = media.damaged_paths.order_by("pk")[PAGE - 1].pk
    assert f"after={last}" in first
    second = client.get(reverse("media-damage", args=[media.pk]), {"after": last}).content.decode()
    assert f"/srv/home/{PAGE + 4:04}" in second
    assert "Next" not in second


def test_the_damage_of_a_medium_names_only_what_one_may_see(row: BackupCopy, media: Media) -> None:
    damage(row, "/srv/home/secret")
    other = make_subclient(name="other", file_server=row.snapshot.subclient.file_server, policy=row.copy.policy)
    seen = make_backup_copy(make_snapshot(other), row.copy)
    damage(seen, "/srv/other/mine")
    user = make_user(Role.OPERATOR)
    UserScope.objects.create(user=user).subclients.set([other])
    client = Client()
    client.force_login(user)
    page = client.get(reverse("media-damage", args=[media.pk])).content.decode()
    assert "/srv/other/mine" in page
    assert "secret" not in page
    assert client.get(reverse("media-damage", args=[media.pk]), {"copy": row.pk}).status_code == 404
    assert "1 backup copy on" in " ".join(client.get(reverse("overview")).content.decode().split())
    assert "secret" not in client.get(reverse("policies:media_detail", args=[media.pk])).content.decode()


def test_more_copies_cost_no_more_queries(
    enter: Enter, row: BackupCopy, media: Media, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client = enter(Role.VIEWER)
    addresses = pages(row)
    for address in addresses.values():
        client.get(address)

    def spent() -> list[int]:
        counts = []
        for address in addresses.values():
            with django_assert_max_num_queries(60) as counted:
                client.get(address)
            counts.append(len(counted))
        return counts

    verify(media)
    drill(row)
    damage(row, "/srv/home/a")
    few = spent()
    for number in range(1, 6):
        more = make_backup_copy(make_snapshot(row.snapshot.subclient, n=number), row.copy)
        drill(more)
        damage(more, f"/srv/home/{number}")
    assert spent() == few
