"""Search, versions of a path and differences of two points as pages: over real rows of the catalog."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from jobs.catalog import searching
from jobs.catalog.loading import load
from jobs.catalog.searching import Question
from jobs.models import CatalogState, Snapshot, SnapshotState
from jobs.views.diff import Card
from jobs.views.search import Row, highlighted
from jobs.views.stored_paths import query_of_path
from policies.models import Subclient, UserScope
from snapcopy_site.lib.roles import Role
from tests.catalog.histories import ROOT, File, Tree, changes, listing
from tests.factories import backup_copy_of, make_media, make_policy, make_subclient, make_user
from tests.job_factories import make_backup_copy, make_snapshot

ODD = b"caf\xe9 & <b>.txt"
START = datetime(2026, 3, 30, 20, tzinfo=UTC)
TREES: list[Tree] = [
    {b"docs": {b"plan.txt": File(5), b"draft.txt": File(2)}, ODD: File(1)},
    {b"docs": {b"plan.txt": File(7), b"draft.txt": File(2)}, ODD: File(1)},
    {b"docs": {b"plan.txt": File(7)}, b"new.bin": File(2**20)},
]


@pytest.fixture
def subclient(db: None) -> Subclient:
    return make_subclient(paths=("/srv/data",), policy=make_policy(media=make_media()))


@pytest.fixture
def points(subclient: Subclient) -> list[Snapshot]:
    """Three days; the first is on media only."""
    made = []
    for day, tree in enumerate(TREES):
        taken_at = START + timedelta(days=day)
        made.append(
            make_snapshot(subclient, n=day, taken_at=taken_at, content=["/srv/data"], catalog_state=CatalogState.DONE)
        )
        told = listing(tree) if day == 0 else changes(TREES[day - 1], tree)
        load(subclient.pk, taken_at, told, is_whole=day == 0)
    make_backup_copy(made[0], backup_copy_of(subclient.policy))
    Snapshot.objects.filter(pk=made[0].pk).update(state=SnapshotState.DELETED, deleted_at=START)
    return made


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(make_user(Role.OPERATOR))
    return client


def _search(client: Client, query: str) -> dict[str, Row]:
    page = client.get(f"{reverse('restore-search')}?{query}")
    return {row.name: row for row in page.context["rows"]}


def _url(name: str, subclient: Subclient, query: str = "") -> str:
    return reverse(name, args=(subclient.file_server.name, subclient.name)) + query


def test_a_search_says_what_it_found_and_where_it_leads(
    operator: Client, subclient: Subclient, points: list[Snapshot]
) -> None:
    page = operator.get(reverse("restore-search") + "?q=PLAN")
    (row,) = page.context["rows"]
    assert (row.folder, row.name, row.size, row.versions, row.exists) == ("/srv/data/docs", "plan.txt", 7, 2, True)
    assert (row.first_at, row.until_at, row.point.pk) == (points[1].taken_at, None, points[2].pk)
    html = page.content.decode()
    assert "<mark>plan</mark>.txt" in html
    assert reverse("browse", args=(points[2].pk,)) + "?path=/srv/data/docs" in html
    assert _url("restore-versions", subclient, "?path=/srv/data/docs/plan.txt") in html


def test_what_is_gone_is_found_when_asked_and_taken_from_the_last_point_that_had_it(
    operator: Client, points: list[Snapshot]
) -> None:
    assert list(_search(operator, "q=draft")) == []
    page = operator.get(reverse("restore-search") + "?q=draft&which=deleted")
    (row,) = page.context["rows"]
    assert (row.exists, row.until_at, row.point.pk) == (False, points[2].taken_at, points[1].pk)
    assert "gone" in page.content.decode()


def test_a_result_goes_into_the_basket_of_its_point(operator: Client, points: list[Snapshot]) -> None:
    (row,) = operator.get(reverse("restore-search") + "?q=plan.txt&existed_until=2026-03-30").context["rows"]
    assert row.point.pk == points[0].pk
    answer = operator.post(
        reverse("change-basket", args=(row.point.pk,)),
        {"folder": row.folder_digits, "paths": row.digits, "order": "restore"},
    )
    assert answer.headers["Location"] == reverse("restore-start", args=(points[0].pk,))
    form = operator.get(answer.headers["Location"])
    assert [path["name"] for path in form.context["paths"]] == ["/srv/data/docs/plan.txt"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("q=*.txt", {"plan.txt"}),
        ("q=*.txt&which=all", {"plan.txt", "draft.txt", "caf\\xe9 & <b>.txt"}),
        ("q=draft.txt&exact=on&which=all", {"draft.txt"}),
        ("q=DRAFT.txt&exact=on&which=all", set()),
        ("q=/srv/data/new.bin", {"new.bin"}),
        ("q=new.bin&smallest=1&largest=1", {"new.bin"}),
        ("q=new.bin&smallest=1.1", set()),
        ("q=docs&kind=d", {"docs"}),
        ("q=docs&kind=f", set()),
        ("q=draft&existed_from=2026-03-31&existed_until=2026-03-31", {"draft.txt"}),
        ("q=draft&existed_from=2026-04-02", set()),
        ("q=plan&server=fs1", {"plan.txt"}),
        ("q=plan&modified_from=2026-01-01", set()),
        ("q=plan&modified_until=0001-01-01", set()),
        ("q=plan&modified_until=2026-01-01", {"plan.txt"}),
        ("q=plan&after=nonsense", {"plan.txt"}),
        ("q=plan%00", {"plan.txt"}),
    ],
)
def test_filters_of_the_address_narrow_a_search(
    operator: Client, points: list[Snapshot], query: str, names: set[str]
) -> None:
    if query.endswith("%00"):
        assert operator.get(f"{reverse('restore-search')}?{query}").status_code == 200
        return
    assert set(_search(operator, query)) == names


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "What are you looking for?"),
        ("q=", "Type a name"),
        ("q=pl", "three letters or digits"),
        ("q=a/b", "A whole path begins with one"),
        ("q=nothing-like-it", "Nothing of this name"),
        ("q=plan&smallest=2&largest=1", "Exchange the two"),
        ("q=plan&subclient=999999", "not one of the available choices"),
        ("q=plan&modified_from=0001-01-01", "plan"),
        ("q=plan&smallest=x", "Enter a number"),
    ],
)
def test_every_question_has_an_answer_in_words(
    operator: Client, points: list[Snapshot], query: str, words: str
) -> None:
    page = operator.get(f"{reverse('restore-search')}?{query}")
    assert page.status_code == 200
    assert words in page.content.decode()


def test_results_come_in_pages_and_the_filters_stay(
    operator: Client, points: list[Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.views.search.PAGE", 2)
    first = operator.get(reverse("restore-search") + "?q=*.txt&which=all")
    assert [row.name for row in first.context["rows"]] == ["caf\\xe9 & <b>.txt", "draft.txt"]
    assert "which=all" in first.context["next_url"]
    second = operator.get(reverse("restore-search") + first.context["next_url"])
    assert [row.name for row in second.context["rows"]] == ["plan.txt"]
    assert second.context["next_url"] == ""


def test_too_many_matches_are_said(operator: Client, points: list[Snapshot], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "MOST", 1)
    page = operator.get(reverse("restore-search") + "?q=*.txt&which=all").content.decode()
    assert "only the first are shown" in page
    monkeypatch.setattr(searching, "WINDOW", 0)
    monkeypatch.setattr(searching, "LOOKED_AT", 1)
    page = operator.get(reverse("restore-search") + "?q=*.txt&which=deleted&largest=0").content.decode()
    assert "Nothing among the first names" in page


def test_a_search_costs_the_same_however_many_results(
    operator: Client, subclient: Subclient, points: list[Snapshot], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    operator.get(reverse("restore-search") + "?q=*.txt&which=all")
    with django_assert_num_queries(16):
        operator.get(reverse("restore-search") + "?q=plan")
    with django_assert_num_queries(16):
        operator.get(reverse("restore-search") + "?q=*.txt&which=all")


def test_the_time_line_of_a_path_names_points_and_copies(
    operator: Client, subclient: Subclient, points: list[Snapshot]
) -> None:
    page = operator.get(_url("restore-versions", subclient, "?path=/srv/data/docs/plan.txt"))
    new, old = page.context["rows"]
    assert (new.size, new.until_at, [point.pk for point in new.points]) == (7, None, [points[2].pk, points[1].pk])
    assert (old.size, [(point.pk, point.copies) for point in old.points]) == (5, [(points[0].pk, ("backup",))])
    assert new.points[0].copies == ("snapshot",)
    html = page.content.decode()
    assert reverse("download-file", args=(points[0].pk,)) + "?path=/srv/data/docs/plan.txt" in html
    digits = operator.get(_url("restore-versions", subclient, f"?path={b'/srv/data/docs/plan.txt'.hex()}"))
    assert digits.context["rows"] == page.context["rows"]


def test_a_name_of_any_bytes_has_its_versions(operator: Client, subclient: Subclient, points: list[Snapshot]) -> None:
    page = operator.get(_url("restore-versions", subclient, query_of_path(ROOT + b"/" + ODD)))
    assert [row.size for row in page.context["rows"]] == [1]
    assert "caf\\xe9 &amp; &lt;b&gt;.txt" in page.content.decode()


def test_a_version_that_no_point_holds_says_so(operator: Client, subclient: Subclient, points: list[Snapshot]) -> None:
    Snapshot.objects.filter(pk=points[1].pk).update(state=SnapshotState.DELETED, deleted_at=START)
    Snapshot.objects.filter(pk=points[2].pk).update(state=SnapshotState.DELETED, deleted_at=START)
    html = operator.get(_url("restore-versions", subclient, "?path=/srv/data/docs/plan.txt")).content.decode()
    assert "No point holds this version any more" in html
    assert "no point left" in operator.get(reverse("restore-search") + "?q=plan").content.decode()


@pytest.mark.parametrize("query", ["", "?path=/", "?path=/srv/data/never", "?path=zz"])
def test_a_path_that_never_was_says_so(
    operator: Client, subclient: Subclient, points: list[Snapshot], query: str
) -> None:
    page = operator.get(_url("restore-versions", subclient, query))
    assert page.status_code == 404
    assert "knows no version of this path" in page.content.decode()


def test_versions_come_in_pages(
    operator: Client, subclient: Subclient, points: list[Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.views.versions.PAGE", 1)
    first = operator.get(_url("restore-versions", subclient, "?path=/srv/data/docs/plan.txt"))
    assert [row.size for row in first.context["rows"]] == [7]
    second = operator.get(_url("restore-versions", subclient, first.context["next_url"]))
    assert [row.size for row in second.context["rows"]] == [5]
    assert second.context["next_url"] == ""


def test_versions_cost_the_same_however_many_there_are(
    operator: Client, subclient: Subclient, points: list[Snapshot], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(9):
        operator.get(_url("restore-versions", subclient, "?path=/srv/data/docs/plan.txt"))


def test_two_points_differ_by_what_was_added_changed_and_deleted(
    operator: Client, subclient: Subclient, points: list[Snapshot]
) -> None:
    page = operator.get(_url("restore-diff", subclient, f"?from={points[0].pk}&to={points[2].pk}"))
    rows = [(row.folder, row.name, row.change, row.before_size, row.after_size) for row in page.context["rows"]]
    assert rows == [
        ("/srv/data", "caf\\xe9 & <b>.txt", "deleted", 1, None),
        ("/srv/data", "new.bin", "added", None, 2**20),
        ("/srv/data/docs", "draft.txt", "deleted", 2, None),
        ("/srv/data/docs", "plan.txt", "changed", 5, 7),
    ]
    totals = {card.change: (card.total.files, card.total.bytes_before, card.total.bytes_after) for card in _cards(page)}
    assert totals == {"added": (1, 0, 2**20), "changed": (1, 5, 7), "deleted": (2, 3, 0)}
    browsable = {row.name: row.point for row in page.context["rows"]}
    assert (browsable["draft.txt"], browsable["new.bin"]) == (points[0].pk, points[2].pk)


def test_points_may_be_compared_in_any_order_and_below_a_folder(
    operator: Client, subclient: Subclient, points: list[Snapshot]
) -> None:
    swapped = f"?path=/srv/data/docs&from={points[2].pk}&to={points[0].pk}"
    page = operator.get(_url("restore-diff", subclient, swapped))
    assert [(row.name, row.change) for row in page.context["rows"]] == [("draft.txt", "added"), ("plan.txt", "changed")]
    only = operator.get(_url("restore-diff", subclient, swapped + "&change=added"))
    assert [row.name for row in only.context["rows"]] == ["draft.txt"]


def test_without_a_choice_the_newest_point_is_compared_with_the_one_before(
    operator: Client, subclient: Subclient, points: list[Snapshot]
) -> None:
    page = operator.get(_url("restore-diff", subclient))
    assert (page.context["first"], page.context["last"]) == (points[1], points[2])
    earlier = operator.get(_url("restore-diff", subclient, f"?to={points[1].pk}"))
    assert (earlier.context["first"], earlier.context["last"]) == (points[0], points[1])


def test_nothing_to_compare_is_said(operator: Client, subclient: Subclient) -> None:
    assert "No catalogued point yet" in operator.get(_url("restore-diff", subclient)).content.decode()
    point = make_snapshot(subclient, taken_at=START, catalog_state=CatalogState.DONE)
    assert "There is one point" in operator.get(_url("restore-diff", subclient)).content.decode()
    same = operator.get(_url("restore-diff", subclient, f"?from={point.pk}&to={point.pk}"))
    assert "Nothing differs" in same.content.decode()


@pytest.mark.parametrize("query", ["?from=999999", "?to=x", "?from=99999999999999999999"])
def test_a_point_of_another_subclient_is_not_there(
    operator: Client, subclient: Subclient, points: list[Snapshot], query: str
) -> None:
    assert operator.get(_url("restore-diff", subclient, query)).status_code == 404


def test_a_long_difference_comes_in_pages(
    operator: Client, subclient: Subclient, points: list[Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.views.diff.PAGE", 3)
    asked = f"?from={points[0].pk}&to={points[2].pk}"
    first = operator.get(_url("restore-diff", subclient, asked))
    assert len(first.context["rows"]) == 3
    second = operator.get(_url("restore-diff", subclient, first.context["next_url"]))
    assert [row.name for row in second.context["rows"]] == ["plan.txt"]


def test_a_difference_costs_the_same_however_long_it_is(
    operator: Client, subclient: Subclient, points: list[Snapshot], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(7):
        operator.get(_url("restore-diff", subclient, f"?from={points[0].pk}&to={points[2].pk}"))


@pytest.mark.parametrize("name", ["restore-versions", "restore-diff"])
def test_what_is_outside_of_a_scope_is_not_there(subclient: Subclient, points: list[Snapshot], name: str) -> None:
    user = make_user(Role.OPERATOR)
    UserScope.objects.create(user=user)
    client = Client()
    client.force_login(user)
    assert client.get(_url(name, subclient)).status_code == 404
    page = client.get(reverse("restore-search") + "?q=plan&which=all")
    assert page.context["rows"] == []
    assert subclient.name not in re.sub(r"<title>.*?</title>", "", page.content.decode()).replace(subclient.path, "")


@pytest.mark.parametrize("name", ["restore-versions", "restore-diff", "restore-search"])
def test_file_names_need_an_operator(subclient: Subclient, name: str) -> None:
    client = Client()
    client.force_login(make_user(Role.VIEWER))
    args = () if name == "restore-search" else (subclient.file_server.name, subclient.name)
    assert client.get(reverse(name, args=args)).status_code == 403
    assert "restore/search" not in client.get(reverse("restore")).content.decode()


def test_a_folder_leads_to_a_search_and_to_a_comparison(
    operator: Client, subclient: Subclient, points: list[Snapshot]
) -> None:
    html = operator.get(reverse("browse", args=(points[1].pk,)) + "?path=/srv/data/docs").content.decode()
    search = f"{reverse('restore-search')}?subclient={subclient.pk}"
    assert f'href="{search}"' in html
    assert f'<option value="{subclient.pk}" selected' in operator.get(search).content.decode()
    compare = _url("restore-diff", subclient, f"?path=/srv/data/docs&to={points[1].pk}")
    assert compare.replace("&", "&amp;") in html
    assert operator.get(compare).context["first"] == points[0]


def test_the_search_box_stands_on_the_restore_page(operator: Client, points: list[Snapshot]) -> None:
    html = operator.get(reverse("restore")).content.decode()
    assert 'action="/restore/search/"' in html
    assert "data-shortcut-search" in html


@pytest.mark.parametrize(
    ("name", "text", "pieces"),
    [
        ("Report.txt", "report", [("Report", True), (".txt", False)]),
        ("a.b.log", "*.log", [("a.b", False), (".log", True)]),
        ("aXb", "a?b", [("a", True), ("X", False), ("b", True)]),
        ("plain", "/srv/plain", [("plain", False)]),
    ],
)
def test_what_was_asked_for_is_marked(name: str, text: str, pieces: list[tuple[str, bool]]) -> None:
    assert highlighted(name, Question(text=text)) == pieces


def _cards(page: Any) -> list[Card]:
    return list(page.context["cards"])
