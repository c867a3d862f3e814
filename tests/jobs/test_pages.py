"""Pages of the work as a client sees them: what they show, who may, and how many queries they take."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, reverse
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries, Settings

from jobs import urls
from jobs.models import CopyState, Job, JobState, Operation
from jobs.selectors_pages import history
from jobs.selectors_pages.overview import _days_to_full
from jobs.selectors_pages.protection import subclient_states
from jobs.views.card import EXPECTED, PHASE_WORDS
from policies.models import AuditEntry, Subclient
from snapcopy_site.lib.roles import Role
from tests.factories import backup_copy_of, make_media, make_policy, make_subclient, make_user
from tests.job_factories import make_backup_copy, make_job, make_node, make_snapshot

pytestmark = pytest.mark.django_db
Enter = Callable[[Role], Client]


@pytest.fixture(autouse=True)
def key_file(tmp_path: Path, settings: Settings) -> None:
    settings.SNAPCOPY_KEY_FILE = tmp_path / "keyring"


@pytest.fixture
def enter() -> Enter:
    def come(role: Role) -> Client:
        client = Client()
        client.force_login(User.objects.filter(username=role.value).first() or make_user(role))
        return client

    return come


@pytest.fixture
def subclient() -> Subclient:
    return make_subclient(policy=make_policy(media=make_media()))


def _protect(subclient: Subclient, numbers: range) -> None:
    """More subclients beside this one, each with snapshots, copies and jobs."""
    copy = backup_copy_of(subclient.policy)
    for number in numbers:
        other = make_subclient(
            name=f"s{number}", file_server=subclient.file_server, policy=subclient.policy, paths=(f"/srv/{number}",)
        )
        make_backup_copy(make_snapshot(other, n=1), copy)
        make_backup_copy(make_snapshot(other, n=2), copy, state=CopyState.TO_BE_COPIED)
        make_job(operation=Operation.BACKUP_COPY, state=JobState.RUNNING, subclient=other, copy=copy)
        make_job(operation=Operation.BACKUP_COPY, state=JobState.FAILED, subclient=other, copy=copy)


def _address(name: str, subclient: Subclient) -> str:
    return reverse(name, args=(subclient.file_server.name, subclient.name))


@pytest.mark.parametrize(("path", "most"), [("/", 24), ("/protect/", 13), ("/jobs/", 9), ("/restore/", 12)])
def test_lists_take_the_same_queries_for_two_rows_and_for_twelve(
    path: str, most: int, enter: Enter, subclient: Subclient, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client = enter(Role.OPERATOR)
    _protect(subclient, range(2))
    client.get(path)
    with django_assert_max_num_queries(most) as few:
        assert client.get(path).status_code == 200
    _protect(subclient, range(2, 12))
    with django_assert_max_num_queries(most) as many:
        client.get(path)
    assert len(many) == len(few)


def test_a_chain_takes_the_same_queries_however_long(
    enter: Enter, subclient: Subclient, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client, copy = enter(Role.OPERATOR), backup_copy_of(subclient.policy)
    make_backup_copy(make_snapshot(subclient, n=1), copy)
    with django_assert_max_num_queries(30) as short:
        client.get(_address("subclient", subclient))
    for number in range(2, 20):
        make_backup_copy(make_snapshot(subclient, n=number), copy)
    with django_assert_max_num_queries(30) as long:
        page = client.get(_address("subclient", subclient))
    assert len(long) == len(short)
    assert page.content.decode().count('class="link"') == 19


def test_the_live_card_takes_few_queries(
    enter: Enter, subclient: Subclient, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    job = make_job(operation=Operation.BACKUP_COPY, state=JobState.RUNNING, subclient=subclient)
    client = enter(Role.VIEWER)
    with django_assert_max_num_queries(9):
        assert client.get(reverse("job-live", args=(job.pk,))).status_code == 200


@pytest.mark.parametrize("pattern", [p for p in urls.urlpatterns if isinstance(p, URLPattern)], ids=lambda p: p.name)
def test_every_page_names_the_role_it_needs(pattern: URLPattern) -> None:
    view: Any = pattern.callback
    assert view.required_role in set(Role)


def test_a_viewer_may_not_start_or_end_anything(enter: Enter, subclient: Subclient) -> None:
    job = make_job(state=JobState.FAILED, subclient=subclient)
    viewer = enter(Role.VIEWER)
    for address in (
        _address("snapshot-now", subclient),
        _address("copy-now", subclient),
        reverse("job-order", args=(job.pk, "kill")),
        reverse("job-resubmit", args=(job.pk,)),
        reverse("start-demo"),
    ):
        assert viewer.post(address).status_code == 403, address
    assert enter(Role.OPERATOR).post(reverse("start-demo")).status_code == 403
    assert Job.objects.count() == 1


def test_snapshot_now_leads_to_the_job(enter: Enter, subclient: Subclient) -> None:
    make_node()
    answer = enter(Role.OPERATOR).post(_address("snapshot-now", subclient))
    job = Job.objects.get()
    assert answer.headers["Location"] == reverse("job", args=(job.pk,))
    assert (job.operation, job.started_by_label) == (Operation.SNAPSHOT, "operator")


def test_a_refusal_is_a_sentence_on_the_page(enter: Enter, subclient: Subclient) -> None:
    page = enter(Role.OPERATOR).post(_address("copy-now", subclient), follow=True)
    assert page.status_code == 200
    assert 'class="note note-warn"' in page.content.decode()


def test_an_order_that_cannot_be_taken_says_so(enter: Enter, subclient: Subclient) -> None:
    job = make_job(state=JobState.COMPLETED, subclient=subclient)
    page = enter(Role.OPERATOR).post(reverse("job-order", args=(job.pk, "kill")), follow=True)
    assert "already over" in page.content.decode()


def test_every_phase_that_is_ahead_has_a_word() -> None:
    assert {name for names in EXPECTED.values() for name in names} <= PHASE_WORDS.keys()


def test_an_unknown_order_or_job_is_not_found(enter: Enter) -> None:
    client = enter(Role.OPERATOR)
    assert client.post("/jobs/1/explode/").status_code == 404
    assert client.get("/jobs/1/").status_code == 404


def test_after_an_order_one_never_leaves_the_site(enter: Enter, subclient: Subclient) -> None:
    job = make_job(state=JobState.FAILED, subclient=subclient)
    address = reverse("job-order", args=(job.pk, "acknowledge"))
    answer = enter(Role.OPERATOR).post(address, {"next": "https://evil.example/"})
    assert answer.headers["Location"] == reverse("job", args=(job.pk,))


def test_paging_by_key_shows_every_job_once(subclient: Subclient) -> None:
    keys = [make_job(state=JobState.COMPLETED, subclient=subclient).pk for _ in range(25)]
    jobs = history.filtered(history.Filter(), make_user(Role.VIEWER))
    seen: list[int] = []
    page = history.page_of(jobs, size=10)
    assert page.newer is None
    while True:
        seen += [job.pk for job in page.jobs]
        if page.older is None:
            break
        page = history.page_of(jobs, before=page.older, size=10)
    assert seen == keys[::-1]
    back = history.page_of(jobs, after=page.newer, size=10)
    assert [job.pk for job in back.jobs] == seen[10:20]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({}, 4),
        ({"state": "active"}, 1),
        ({"state": "attention"}, 1),
        ({"state": "completed"}, 1),
        ({"operation": "restore"}, 1),
        ({"since": "2000-01-01", "until": "2000-01-02"}, 0),
        ({"state": "no-such-state"}, 4),
    ],
)
def test_filters_narrow_the_list(query: dict[str, str], count: int, enter: Enter, subclient: Subclient) -> None:
    make_job(state=JobState.WAITING, subclient=subclient)
    make_job(state=JobState.FAILED, subclient=subclient)
    make_job(state=JobState.FAILED, subclient=subclient, acknowledged_at=timezone.now())
    make_job(operation=Operation.RESTORE, state=JobState.COMPLETED, subclient=subclient, parameters={"target": "/r"})
    page = enter(Role.VIEWER).get("/jobs/", query)
    assert len(page.context["page"].jobs) == count


def test_the_export_holds_what_the_filter_shows_and_no_formula(enter: Enter, subclient: Subclient) -> None:
    make_job(state=JobState.COMPLETED, subclient=subclient)
    make_job(state=JobState.FAILED, subclient=subclient, error_sentence="=1+1")
    answer = enter(Role.VIEWER).get(reverse("job-csv"), {"state": "failed"})
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["error_sentence"] for row in rows] == ["'=1+1"]
    assert "attachment" in answer.headers["Content-Disposition"]


def test_the_overview_counts_and_greets(enter: Enter) -> None:
    client = enter(Role.ADMIN)
    assert "Try with sample data" in client.get("/").content.decode()
    subclient = make_subclient(policy=make_policy(media=make_media()))
    assert "0 of 1 subclient protected" in client.get("/").content.decode()
    make_backup_copy(make_snapshot(subclient), backup_copy_of(subclient.policy))
    assert "1 of 1 subclient protected" in client.get("/").content.decode()


def test_the_running_fragment_asks_for_a_new_page_when_other_jobs_run(enter: Enter, subclient: Subclient) -> None:
    job = make_job(state=JobState.WAITING, subclient=subclient)
    client = enter(Role.VIEWER)
    assert client.get(reverse("overview-running"), {"seen": str(job.pk)}).status_code == 200
    assert client.get(reverse("overview-running"), {"seen": ""}).headers["HX-Refresh"] == "true"


def test_the_strip_shows_the_worst_of_each_day(subclient: Subclient, monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now().replace(hour=12)
    monkeypatch.setattr(timezone, "now", lambda: now)
    make_job(state=JobState.COMPLETED, subclient=subclient)
    make_job(state=JobState.FAILED, subclient=subclient)
    make_job(state=JobState.COMPLETED, subclient=subclient, finished_at=now - timedelta(days=1))
    make_job(state=JobState.COMPLETED, subclient=subclient, finished_at=now - timedelta(days=40))
    (row,) = subclient_states()
    assert len(row.strip) == 30
    assert [(day.state, day.jobs) for day in row.strip[-3:]] == [("", 0), ("completed", 1), ("failed", 2)]


@pytest.mark.parametrize(
    ("free", "written", "days", "left"),
    [(None, 10, 5, None), (100, 10, 2, None), (100, 10, 10, 100), (10**6, 10, 10, None)],
)
def test_a_forecast_needs_three_days_and_an_end_in_sight(
    free: int | None, written: int, days: float, left: int | None
) -> None:
    assert _days_to_full(free, written, days) == left


def test_the_theme_is_a_cookie(enter: Enter) -> None:
    client = enter(Role.VIEWER)
    client.post(reverse("theme"), {"theme": "dark"})
    assert '<html lang="en" data-theme="dark">' in client.get("/").content.decode()
    client.post(reverse("theme"), {"theme": "system"})
    assert '<html lang="en">' in client.get("/").content.decode()


def test_a_test_is_launched_and_its_report_follows(enter: Enter) -> None:
    make_node()
    media = make_media()
    client = enter(Role.OPERATOR)
    answer = client.post(reverse("test-media", args=(media.pk,)), headers={"HX-Request": "true"})
    job = Job.objects.get()
    assert answer.headers["Location"] == reverse("test-live", args=(job.pk,))
    fragment = client.get(answer.headers["Location"]).content.decode()
    assert "every 500ms" in fragment
    now = timezone.now()
    media.last_test, media.last_tested_at = {"ok": True, "steps": [{"name": "write", "ok": True, "seconds": 0.1}]}, now
    media.save()
    Job.objects.filter(pk=job.pk).update(
        state=JobState.COMPLETED, started_at=now - timedelta(seconds=1), finished_at=now + timedelta(seconds=1)
    )
    fragment = client.get(answer.headers["Location"]).content.decode()
    assert "every 500ms" not in fragment
    assert "Write" in fragment


def test_pages_never_show_a_secret(enter: Enter, subclient: Subclient) -> None:
    secret = "hunter2-hunter2"
    make_media(name="other", path="/srv/other", password=secret)
    client = enter(Role.ADMIN)
    for path in ("/", "/protect/", "/media/", "/activity/"):
        assert secret not in client.get(path).content.decode()
    assert not AuditEntry.objects.filter(changes__icontains=secret).exists()


def test_a_snapshot_is_deleted_by_an_admin_after_a_question(enter: Enter, subclient: Subclient) -> None:
    snapshot = make_snapshot(subclient)
    make_node()
    address = reverse("snapshot-delete", args=(snapshot.pk,))
    assert enter(Role.OPERATOR).get(address).status_code == 403
    page = enter(Role.ADMIN).get(address).content.decode()
    assert "its data can then not be restored any more" in page
    make_backup_copy(snapshot, backup_copy_of(subclient.policy))
    assert "Its backup copy stays on media" in enter(Role.ADMIN).get(address).content.decode()
    enter(Role.ADMIN).post(address)
    job = Job.objects.get(operation=Operation.DELETE_SNAPSHOT)
    assert (job.snapshot, job.started_by_label) == (snapshot, "admin")


def test_a_held_snapshot_is_not_deleted(enter: Enter, subclient: Subclient) -> None:
    """RULES V4."""
    snapshot = make_snapshot(subclient, is_pinned=True)
    make_backup_copy(snapshot, backup_copy_of(subclient.policy), state=CopyState.TO_BE_COPIED)
    address = reverse("snapshot-delete", args=(snapshot.pk,))
    page = enter(Role.ADMIN).get(address).content.decode()
    assert "It is pinned." in page
    assert "It is still to be copied to backup." in page
    assert "Delete the snapshot</button>" not in page
    assert "Unpin it on the page of its subclient" in page
    assert "is held" in enter(Role.ADMIN).post(address, follow=True).content.decode()
    wrong = enter(Role.ADMIN).post(address, {"force": "1", "reason": " "})
    assert (wrong.status_code, "Say why" in wrong.content.decode()) == (422, True)
    assert not Job.objects.filter(operation=Operation.DELETE_SNAPSHOT).exists()
    make_node()
    enter(Role.ADMIN).post(address, {"force": "1", "reason": "the array is full"})
    assert Job.objects.get(operation=Operation.DELETE_SNAPSHOT).parameters == {"forced": "the array is full"}


def test_d1_deleting_a_copied_snapshot_leaves_the_subclient_protected(subclient: Subclient) -> None:
    snapshot = make_snapshot(subclient)
    make_backup_copy(snapshot, backup_copy_of(subclient.policy))
    type(snapshot).objects.update(state="deleted")
    (row,) = subclient_states()
    assert (row.state, row.snapshot_point, row.snapshots) == ("protected", None, 0)
    type(snapshot).objects.update(state="missing", missing_at=timezone.now())
    (row,) = subclient_states()
    assert row.state == "unprotected"
