"""Browsing answers what a plain model of the snapshots answers: any folder, moment, order, page, and what is gone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from jobs.catalog import browse_statements
from jobs.catalog.browsing import Entry, Key, Order, Page, Question, Sort, entries, folder_at
from jobs.catalog.loading import forget_subclient, load
from policies.models import Subclient
from tests.catalog.histories import (
    ONE_DATABASE,
    ROOT,
    TREES,
    File,
    Tree,
    changes,
    expected,
    listing,
    moment,
)
from tests.catalog.past import undone
from tests.factories import make_subclient

pytestmark = pytest.mark.django_db
ORDERS = st.builds(Order, sort=st.sampled_from(Sort), is_descending=st.booleans(), folders_first=st.booleans())
Path = bytes


@pytest.fixture
def subclient() -> Subclient:
    return make_subclient()


@dataclass(frozen=True, slots=True)
class Past:
    """What the model knows of an entry: kind, bytes, files, and when it went."""

    kind: str
    size: int
    files: int
    gone_at: datetime | None


def write(subclient: Subclient, trees: list[Tree]) -> None:
    """One snapshot a day, each told as changes."""
    forget_subclient(subclient.pk)
    for number, tree in enumerate(trees):
        told = changes(trees[number - 1], tree) if number else listing(tree)
        load(subclient.pk, moment(number), told, is_whole=number == 0)


def history(trees: list[Tree], until: int) -> dict[Path, Past]:
    """Every path there was up to a day, as it was last."""
    found: dict[Path, Past] = {}
    for number, tree in enumerate(trees[: until + 1]):
        there = expected(tree)
        for path, (kind, size, files) in there.items():
            found[path] = Past(kind, size, files, None)
        for path, past in found.items():
            if path not in there and past.gone_at is None:
                found[path] = Past(past.kind, past.size, past.files, moment(number))
    return found


def wanted(found: Mapping[Path, Past], folder: Path, question: Question) -> list[tuple[bytes, Past]]:
    """The entries of a folder in order, by plain sorting."""
    rows = [(path.rpartition(b"/")[2], past) for path, past in found.items() if path.rpartition(b"/")[0] == folder]
    rows = [row for row in rows if question.with_gone or row[1].gone_at is None]
    rows = [row for row in rows if question.text.lower().encode() in row[0].lower()]
    by = question.order.sort

    def key(row: tuple[bytes, Past]) -> tuple[int, bytes]:
        name, past = row
        modified = 5 if past.kind == "d" else past.size * 1000
        return ({Sort.NAME: 0, Sort.SIZE: past.size, Sort.MODIFIED: modified}[by], name)

    rows.sort(key=key, reverse=question.order.is_descending)
    return sorted(rows, key=lambda row: row[1].kind != "d") if question.order.folders_first else rows


def seen(page: Page) -> list[tuple[bytes, Past]]:
    return [(entry.name, _past(entry)) for entry in page.entries]


def _past(entry: Entry) -> Past:
    return Past(entry.kind, entry.size, entry.files, entry.gone_at)


@ONE_DATABASE
@given(
    trees=st.lists(TREES, min_size=1, max_size=5),
    order=ORDERS,
    with_gone=st.booleans(),
    narrowed=st.tuples(st.sampled_from(["", "a", "B"]), st.integers(1, 3)),
)
def test_every_folder_at_every_moment_is_what_the_snapshots_held(
    subclient: Subclient, trees: list[Tree], order: Order, with_gone: bool, narrowed: tuple[str, int]
) -> None:
    """V3: by time."""
    text, limit = narrowed
    with undone():
        write(subclient, trees)
        for number in range(len(trees)):
            past = history(trees, number)
            for path in (path for path, kind in past.items() if kind.kind == "d"):
                folder = folder_at(subclient.pk, path, moment(number))
                assert folder is not None
                assert Past("d", folder.size, folder.files, folder.gone_at) == past[path]
                question = Question(
                    folder_id=folder.id, at=moment(number), order=order, text=text, with_gone=with_gone, limit=limit
                )
                _check_pages(question, wanted(past, path, question))


def _check_pages(question: Question, everything: list[tuple[bytes, Past]]) -> None:
    """There by ``after`` and back by ``before``: the same pages, nothing twice, nothing left out."""
    page, there = entries(question), []
    pages = [page]
    there += seen(page)
    assert page.before is None
    while page.after is not None:
        page = entries(question, after=Key.parse(page.after.token()))
        pages.append(page)
        there += seen(page)
    assert there == everything
    assert all(len(page.entries) == question.limit for page in pages[:-1])
    for earlier in reversed(pages[:-1]):
        assert page.before is not None
        page = entries(question, before=Key.parse(page.before.token()))
        assert seen(page) == seen(earlier)
    assert page.before is None or len(pages) == 1


def test_the_top_folder_has_the_totals_of_everything(subclient: Subclient) -> None:
    write(subclient, [{b"a": File(3), b"b": {b"c": File(4)}}, {b"a": File(3)}])
    for number, totals in ((0, (7, 2)), (1, (3, 1))):
        root = folder_at(subclient.pk, b"/", moment(number))
        assert root is not None
        assert (root.size, root.files) == totals


def test_what_is_no_folder_or_not_yet_there_is_not_found(subclient: Subclient) -> None:
    write(subclient, [{b"a": File(1)}, {b"a": {}}])
    assert folder_at(subclient.pk, ROOT + b"/a", moment(0)) is None
    assert folder_at(subclient.pk, ROOT + b"/a", moment(1)) is not None
    assert folder_at(subclient.pk, ROOT + b"/nowhere", moment(1)) is None
    other = make_subclient(name="other", file_server=subclient.file_server, policy=subclient.policy)
    assert folder_at(other.pk, ROOT, moment(1)) is None


def test_letters_that_mean_something_to_like_mean_themselves(subclient: Subclient) -> None:
    write(subclient, [{b"100%": File(1), b"1000": File(1), b"a_b": File(1), b"aXb": File(1), b"c\\d": File(1)}])
    folder = folder_at(subclient.pk, ROOT, moment(0))
    assert folder is not None
    for text, names in (("0%", [b"100%"]), ("A_B", [b"a_b"]), ("\\", [b"c\\d"]), ("\0", None)):
        found = [entry.name for entry in entries(Question(folder_id=folder.id, at=moment(0), text=text)).entries]
        assert names is None or found == names


@pytest.mark.parametrize("token", ["", "d", "x.1.61", "d.1.zz", "d.1.ff", "d.1.00", "d.1.", f"f.{2**63}.61", "f.x.61"])
def test_a_token_that_is_none_is_no_key(token: str) -> None:
    assert Key.parse(token) is None


def test_a_page_costs_the_same_however_much_there_is(
    subclient: Subclient, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    large: Tree = {f"{number:03}".encode(): File(1) if number % 2 else {b"x": File(2)} for number in range(100)}
    write(subclient, [large, {**large, b"001": File(9)}])
    with django_assert_num_queries(1):
        folder = folder_at(subclient.pk, ROOT, moment(1))
    assert folder is not None
    question = Question(folder_id=folder.id, at=moment(1), limit=60)
    with django_assert_num_queries(3):
        page = entries(question)
    with django_assert_num_queries(2):
        page = entries(question, after=page.after)
    with django_assert_num_queries(5):
        entries(question, before=page.before)


@pytest.mark.parametrize("sort", Sort)
@pytest.mark.parametrize("is_descending", [False, True])
@pytest.mark.parametrize("with_gone", [False, True])
def test_every_statement_goes_by_an_index(
    subclient: Subclient, sort: Sort, is_descending: bool, with_gone: bool
) -> None:
    tree: Tree = {b"%03d" % folder: {b"%02d" % number: File(number) for number in range(20)} for folder in range(150)}
    write(subclient, [tree])
    folder = folder_at(subclient.pk, ROOT + b"/007", moment(0))
    assert folder is not None
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE jobs_catalogversion, jobs_catalogfolder")
    values: dict[str, Any] = {"folder": folder.id, "at": moment(0), "limit": 11, "key_value": 5, "key_name": "05"}
    for make in (browse_statements.folders, browse_statements.others):
        statement = make(sort, is_descending=is_descending, has_key=True, has_text=False, with_gone=with_gone)
        plan = _plan(statement, values)
        assert "catalog_version_" in plan
        assert not re.search(r'"Seq Scan"[^{}]*"jobs_catalogversion"', plan)
    by_path = _plan(browse_statements.FOLDER, {"subclient": subclient.pk, "path": "/srv/data", "at": moment(0)})
    assert "catalog_version_once" in by_path


def _plan(statement: str, values: dict[str, Any]) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", values)
        (plan,) = cursor.fetchone() or ("",)
    return json.dumps(plan)
