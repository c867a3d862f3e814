"""Folders from the catalog as pages: no repository is opened, every order, pages, what is gone, and the time line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from jobs.catalog.loading import load
from jobs.models import CatalogState, Snapshot
from jobs.selectors_pages.time_line import time_line
from jobs.views import opened
from jobs.views.stored_paths import query_of_path
from policies.models import Subclient, UserScope
from snapcopy_site.lib.roles import Role
from tests.catalog.histories import ROOT, File, Tree, changes, listing
from tests.factories import make_subclient, make_user
from tests.job_factories import make_snapshot

ODD = b"caf\xe9 & <b>.txt"
START = datetime(2026, 3, 30, 20, tzinfo=UTC)
OLD: Tree = {b"docs": {b"plan": File(5), b"draft": File(2)}, b"big": File(900), ODD: File(1)}
NEW: Tree = {b"docs": {b"plan": File(7)}, b"big": File(900)}


@pytest.fixture
def subclient(db: None) -> Subclient:
    return make_subclient(paths=("/srv/data",))


@pytest.fixture
def points(subclient: Subclient, monkeypatch: pytest.MonkeyPatch) -> list[Snapshot]:
    """Three days: the old tree, the new one, and one that is not catalogued. No repository may be opened."""
    monkeypatch.setattr(opened, "_open", lambda _media: pytest.fail("a repository was opened"))
    done = [
        make_snapshot(
            subclient, n=day, taken_at=START + timedelta(days=day), content=["/srv/data"], catalog_state=state
        )
        for day, state in enumerate((CatalogState.DONE, CatalogState.DONE, CatalogState.SKIPPED))
    ]
    load(subclient.pk, done[0].taken_at, listing(OLD), is_whole=True)
    load(subclient.pk, done[1].taken_at, changes(OLD, NEW), is_whole=False)
    return done


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(make_user(Role.OPERATOR))
    return client


def _url(point: Snapshot, path: bytes = ROOT, more: str = "") -> str:
    return f"{reverse('browse', args=(point.pk,))}{query_of_path(path)}{more}"


def _names(client: Client, url: str) -> list[str]:
    return [row.name for row in client.get(url).context["listing"].rows]


def test_the_same_folder_at_two_times_is_what_each_held(operator: Client, points: list[Snapshot]) -> None:
    assert _names(operator, _url(points[0])) == ["docs", "big", "caf\\xe9 & <b>.txt"]
    assert _names(operator, _url(points[1])) == ["docs", "big"]
    page = operator.get(reverse("browse", args=(points[0].pk,)))
    assert "caf\\xe9 &amp; &lt;b&gt;.txt" in page.content.decode()
    assert (page.context["folder"].files, page.context["folder"].size) == (4, 908)
    assert page.context["listing"].rows[0].files == 2


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ("&sort=-name", ["docs", "caf\\xe9 & <b>.txt", "big"]),
        ("&sort=size", ["docs", "caf\\xe9 & <b>.txt", "big"]),
        ("&sort=-size&mixed=1", ["big", "docs", "caf\\xe9 & <b>.txt"]),
        ("&sort=-modified", ["docs", "big", "caf\\xe9 & <b>.txt"]),
        ("&sort=nonsense&after=nonsense", ["docs", "big", "caf\\xe9 & <b>.txt"]),
        ("&name=BI", ["big"]),
        ("&name=%00", ["docs", "big", "caf\\xe9 & <b>.txt"]),
    ],
)
def test_a_folder_comes_in_the_order_that_is_asked_for(
    operator: Client, points: list[Snapshot], more: str, names: list[str]
) -> None:
    assert _names(operator, _url(points[0], more=more)) == names


def test_pages_follow_each_other_there_and_back(
    operator: Client, points: list[Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.views.browse.PAGE", 2)
    first = operator.get(_url(points[0])).context["listing"]
    second = operator.get(_url(points[0], more=f"&after={first.after}")).context["listing"]
    again = operator.get(_url(points[0], more=f"&before={second.before}")).context["listing"]
    assert [row.name for row in second.rows] == ["caf\\xe9 & <b>.txt"]
    assert (second.after, again.rows) == ("", first.rows)


def test_what_is_deleted_is_shown_when_asked_and_leads_to_where_it_was(
    operator: Client, points: list[Snapshot]
) -> None:
    rows = operator.get(_url(points[1], more="&deleted=1")).context["listing"].rows
    assert [(row.name, row.gone_at) for row in rows] == [
        ("docs", None),
        ("big", None),
        ("caf\\xe9 & <b>.txt", points[1].taken_at),
    ]
    there = operator.get(rows[2].last_seen_url + "&deleted=1")
    assert there.headers["Location"] == _url(points[0], more="&deleted=1")


def test_a_folder_that_went_says_so_and_leads_to_where_it_was(
    operator: Client, points: list[Snapshot], subclient: Subclient
) -> None:
    load(subclient.pk, points[2].taken_at, changes(NEW, {}), is_whole=False)
    Snapshot.objects.filter(pk=points[2].pk).update(catalog_state=CatalogState.DONE)
    page = operator.get(_url(points[2], ROOT + b"/docs"))
    assert page.status_code == 404
    assert "was no longer there at this time" in page.content.decode()
    assert operator.get(page.context["last_seen"]).headers["Location"] == _url(points[1], ROOT + b"/docs")
    page = operator.get(_url(points[2], ROOT + b"/docs", "&deleted=1"))
    assert [row.name for row in page.context["listing"].rows] == ["draft", "plan"]
    assert operator.get(_url(points[2], ROOT + b"/never")).status_code == 404


def test_a_point_that_is_not_catalogued_says_how_it_will_be(operator: Client, points: list[Snapshot]) -> None:
    html = operator.get(_url(points[2])).content.decode()
    assert "This time is not in the catalog" in html
    subclient = points[2].subclient
    assert reverse("catalog-now", args=(subclient.file_server.name, subclient.name)) in html


def test_the_time_line_has_months_days_and_times_of_the_readers_zone(
    points: list[Snapshot], settings: Settings
) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    with timezone.override("Europe/Berlin"):
        late = make_snapshot(points[0].subclient, n=9, taken_at=datetime(2026, 3, 31, 22, 30, tzinfo=UTC))
        line = time_line(points[1])
        assert [f"{stop.at:%Y-%m}" for stop in line.months] == ["2026-04", "2026-03"]
        assert [(stop.at.day, stop.point) for stop in line.days] == [(30, points[0].pk), (31, points[1].pk)]
        assert (line.earlier, line.later) == (points[0].pk, late.pk)
        assert [stop.is_here for stop in time_line(late).times] == [False, True]


def test_any_time_leads_to_the_last_point_before_it_and_keeps_the_folder(
    operator: Client, points: list[Snapshot], subclient: Subclient
) -> None:
    address = reverse("browse-at", args=(subclient.file_server.name, subclient.name))
    folder = {"folder": (ROOT + b"/docs").hex()}
    for at, point in (
        ("2026-03-31T20:00", points[1]),
        ("2026-03-31T19:00", points[0]),
        ("2020-01-01T00:00", points[0]),
    ):
        answer = operator.get(address, {"at": at, "sort": "size", **folder})
        assert answer.headers["Location"] == _url(point, ROOT + b"/docs", "&sort=size")
    assert operator.get(address, {"at": "2026-99-99T00:00"}).status_code == 302


def test_a_choice_keeps_the_view_of_the_folder(operator: Client, points: list[Snapshot]) -> None:
    address = reverse("change-basket", args=(points[0].pk,))
    values = {"order": "add", "paths": [(ROOT + b"/big").hex()], "folder": ROOT.hex(), "view": "&sort=-size&next=//x"}
    query = parse_qs(urlsplit(operator.post(address, values).headers["Location"]).query)
    assert query == {"path": ["/srv/data"], "sort": ["-size"]}


def test_nobody_browses_what_they_may_not_see(points: list[Snapshot], subclient: Subclient) -> None:
    user = make_user(Role.OPERATOR, username="narrow")
    scope = UserScope.objects.create(user=user)
    client = Client()
    client.force_login(user)
    addresses = (
        _url(points[0]),
        reverse("browse-at", args=(subclient.file_server.name, subclient.name)),
        reverse("restore-subclient", args=(subclient.file_server.name, subclient.name)),
        reverse("restore-start", args=(points[0].pk,)) + query_of_path(ROOT),
        reverse("download-file", args=(points[0].pk,)) + query_of_path(ROOT + b"/big"),
    )
    assert [client.get(address).status_code for address in addresses] == [404] * len(addresses)
    assert subclient.name not in client.get(reverse("restore")).content.decode()
    scope.subclients.add(subclient)
    assert client.get(addresses[0]).status_code == 200


def test_a_page_costs_the_same_however_much_there_is(
    operator: Client, points: list[Snapshot], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(3 + 13):
        operator.get(_url(points[0], ROOT + b"/docs"))
    for number in range(40):
        taken_at = START - timedelta(days=number, hours=1)
        make_snapshot(points[0].subclient, n=100 + number, taken_at=taken_at)
    with django_assert_num_queries(3 + 13):
        operator.get(_url(points[0]))
