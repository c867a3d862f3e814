"""A search finds what a naive look through the history finds, of what the user may see, in pages and within bounds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from jobs.catalog import searching
from jobs.catalog.loading import forget_moment, load
from jobs.catalog.names import to_text
from jobs.catalog.searching import CannotSearch, Key, Kinds, Question, Result, Which, search
from policies.models import Subclient, UserScope
from snapcopy_site.lib.roles import Role
from tests.catalog.histories import ONE_DATABASE, File, Tree, listing, moment
from tests.catalog.past import HISTORIES, Version, fill, undone, versions
from tests.factories import make_subclient, make_user

pytestmark = pytest.mark.django_db
TEXTS = ["log", "CATALOG", "cat*", "*LOG*", "catalog.t?t", "*.txt", "log-1", "logue\uf7ff", "/srv/data/log-1", "/srv"]


@pytest.fixture
def admin() -> User:
    return make_user(Role.ADMIN)


@pytest.fixture
def subclients() -> tuple[Subclient, Subclient]:
    one = make_subclient(name="one")
    return one, make_subclient(name="two", file_server=one.file_server, policy=one.policy)


def all_pages(user: User, question: Question, *, limit: int = 3) -> list[Result]:
    found: list[Result] = []
    after = None
    while True:
        page = search(user, question, after=after, limit=limit)
        assert len(page.results) <= limit
        found += page.results
        if page.after is None:
            assert (page.total, page.is_all, page.is_all_looked_at) == (len(found), True, True)
            return found
        after = Key.parse(page.after.token())
        assert after == page.after


def matches(text: str, version: Version, *, is_exact: bool) -> bool:
    name = to_text(version.name)
    if text.startswith("/"):
        return to_text(version.path) == text
    if is_exact:
        return name == text
    if "*" not in text and "?" not in text:
        return text.upper() in name.upper()
    pattern = "".join({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in text.upper())
    return re.fullmatch(pattern, name.upper(), re.DOTALL) is not None


def newest(found: Iterable[Version]) -> set[Version]:
    by_path: dict[bytes, Version] = {}
    for version in sorted(found, key=lambda version: version.first):
        by_path[version.path] = version
    return set(by_path.values())


@ONE_DATABASE
@given(
    histories=st.tuples(HISTORIES, HISTORIES),
    text=st.sampled_from(TEXTS),
    is_exact=st.booleans(),
    which=st.sampled_from(Which),
    days=st.none() | st.tuples(st.integers(-1, 13), st.integers(0, 6)),
    kinds=st.sampled_from([Kinds.ANY, Kinds.FILE, Kinds.FOLDER]),
    sizes=st.none() | st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_a_search_finds_each_path_once_as_it_was_last(
    *,
    admin: User,
    subclients: tuple[Subclient, Subclient],
    histories: tuple[dict[int, Tree], dict[int, Tree]],
    text: str,
    is_exact: bool,
    which: Which,
    days: tuple[int, int] | None,
    kinds: Kinds,
    sizes: tuple[int, int] | None,
) -> None:
    expected = set()
    first, last = (days[0], days[0] + days[1]) if days else (-99, 99)
    question = Question(
        text=text,
        is_exact=is_exact,
        which=which,
        kinds=kinds,
        smallest=sizes[0] if sizes else None,
        largest=sizes[1] if sizes else None,
        existed_from=moment(first) if days else None,
        existed_until=moment(last) if days else None,
    )
    with undone():
        for subclient, history in zip(subclients, histories, strict=True):
            fill(subclient.pk, history)
            known = versions(history)
            present = {version.path for version in known if version.until is None}
            wanted = [
                version
                for version in known
                if matches(text, version, is_exact=is_exact)
                and version.overlaps(first, last)
                and kinds in ("", version.kind)
                and (sizes is None or sizes[0] <= version.size <= sizes[1])
                and (which is not Which.EXISTING or days or version.until is None)
                and (which is not Which.DELETED or version.path not in present)
            ]
            expected |= {(subclient.pk, version.path, version.first_at) for version in newest(wanted)}
        found = all_pages(admin, question)
    keys = [(result.subclient.pk, result.path, result.first_at) for result in found]
    assert sorted(keys) == sorted(expected)
    names = [to_text(result.name).upper() for result in found]
    assert names == sorted(names)


def test_a_result_says_how_many_versions_there_are_and_whether_any_is_left(
    admin: User, subclients: tuple[Subclient, Subclient]
) -> None:
    fill(subclients[0].pk, {0: {b"once": File(1)}, 1: {b"once": File(2)}, 2: {}})
    (result,) = search(admin, Question(text="once", which=Which.DELETED)).results
    assert (result.versions, result.exists, result.size) == (2, False, 2)
    assert (result.first_at, result.until_at) == (moment(1), moment(2))
    assert search(admin, Question(text="once")).results == ()


def test_files_are_found_by_the_time_they_were_modified(admin: User, subclients: tuple[Subclient, Subclient]) -> None:
    fill(subclients[0].pk, {0: {b"file": File(10**12)}})
    at = (moment(0) - timedelta(days=moment(0).toordinal() - 719163)) + timedelta(microseconds=10**12)
    assert search(admin, Question(text="file", modified_from=at, modified_until=at)).total == 1
    late = at + timedelta(microseconds=1)
    assert search(admin, Question(text="file", modified_from=late)).total == 0


def test_nobody_finds_what_they_may_not_see(subclients: tuple[Subclient, Subclient]) -> None:
    one, two = subclients
    for subclient in subclients:
        fill(subclient.pk, {0: {b"secret-plan": File(1)}})
    user = make_user(Role.OPERATOR)
    UserScope.objects.create(user=user).subclients.add(one)
    user = User.objects.get(pk=user.pk)
    for text in ("secret", "/srv/data/secret-plan", "secret*"):
        assert [result.subclient for result in search(user, Question(text=text)).results] == [one]
        assert search(user, Question(text=text, subclient_id=two.pk)).results == ()
    assert search(make_user(None), Question(text="secret")).results == ()


def test_more_subclients_than_are_looked_up_one_by_one_are_searched_as_well(
    monkeypatch: pytest.MonkeyPatch, subclients: tuple[Subclient, Subclient]
) -> None:
    for subclient in subclients:
        fill(subclient.pk, {0: {b"plan": File(1)}})
    other = make_subclient(name="three", file_server=subclients[0].file_server, policy=subclients[0].policy)
    fill(other.pk, {0: {b"plan": File(1)}})
    user = make_user(Role.OPERATOR)
    UserScope.objects.create(user=user).subclients.set(subclients)
    monkeypatch.setattr("jobs.catalog.search_statements.MOST_SEPARATE", 1)
    found = search(User.objects.get(pk=user.pk), Question(text="plan"))
    assert {result.subclient for result in found.results} == set(subclients)


def test_a_server_narrows_a_search(admin: User, subclients: tuple[Subclient, Subclient]) -> None:
    for subclient in subclients:
        fill(subclient.pk, {0: {b"plan": File(1)}})
    assert search(admin, Question(text="plan", file_server="fs1")).total == 2
    assert search(admin, Question(text="plan", file_server="fs2")).total == 0
    assert search(admin, Question(text="plan", file_server="fs1", subclient_id=subclients[1].pk)).total == 1


def test_of_many_paths_the_first_are_found_and_it_is_said(
    admin: User, subclients: tuple[Subclient, Subclient], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(subclients[0].pk, {0: {f"plan{number}".encode(): File(number) for number in range(10)}})
    monkeypatch.setattr(searching, "MOST", 4)
    found = search(admin, Question(text="plan"))
    assert (found.total, len(found.results), found.is_all) == (4, 4, False)
    monkeypatch.setattr(searching, "WINDOW", 0)
    found = search(admin, Question(text="plan"))
    assert (found.total, len(found.results), found.is_all, found.is_all_looked_at) == (4, 4, False, True)


def test_names_beyond_the_bound_are_not_looked_at_and_it_is_said(
    admin: User, subclients: tuple[Subclient, Subclient], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(subclients[0].pk, {0: {f"plan{number}".encode(): File(number) for number in range(10)}})
    monkeypatch.setattr(searching, "WINDOW", 0)
    monkeypatch.setattr(searching, "LOOKED_AT", 5)
    monkeypatch.setattr(searching, "MOST", 9)
    found = search(admin, Question(text="plan", largest=100))
    assert (found.total, found.is_all, found.is_all_looked_at) == (5, False, False)


@pytest.mark.parametrize(
    ("text", "is_exact", "words"),
    [
        ("", False, "Type a name"),
        ("lo", False, "three letters"),
        ("*a*", False, "three letters"),
        ("a*", False, "three letters"),
        ("---", False, "three letters"),
        ("a/b", False, "whole path"),
        ("a/b", True, "whole path"),
        ("x" * 5000, False, "longer"),
    ],
)
def test_a_question_that_cannot_be_answered_quickly_is_refused(
    admin: User, text: str, is_exact: bool, words: str
) -> None:
    with pytest.raises(CannotSearch, match=words):
        search(admin, Question(text=text, is_exact=is_exact))


@pytest.mark.parametrize("text", ["*.c", "ab*", "a.bc", "x.py", "日本語", "a_%\\log"])
def test_what_has_a_trigram_is_answered_by_the_index(
    admin: User, subclients: tuple[Subclient, Subclient], text: str
) -> None:
    name = text.replace("*", "main" if text.startswith("*") else "x")
    fill(subclients[0].pk, {0: {name.encode(): File(1), b"other": File(1)}})
    assert [result.name for result in search(admin, Question(text=text)).results] == [name.encode()]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT id FROM jobs_catalogversion WHERE upper(name) LIKE upper(%s)", [searching.pattern_of(text)]
        )
        assert "catalog_version_by_part" in str(cursor.fetchall())
        cursor.execute(
            "EXPLAIN (ANALYZE, FORMAT TEXT) SELECT id FROM jobs_catalogversion WHERE upper(name) LIKE upper(%s)",
            [searching.pattern_of(text)],
        )
        assert "Removed by Index Recheck" not in str(cursor.fetchall()), "the whole index was read"


def test_nothing_that_was_loaded_is_left_for_searches_to_read_through(
    admin: User, subclients: tuple[Subclient, Subclient]
) -> None:
    one = subclients[0].pk
    load(one, moment(0), listing({b"plan": File(1)}), is_whole=True)
    load(one, moment(1), listing({b"plan": File(2)}), is_whole=True)
    assert _waiting_pages() == 0
    forget_moment(one, moment(0), following=moment(1))
    assert _waiting_pages() == 0


def _waiting_pages() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT gin_clean_pending_list('catalog_version_by_part')")
        (pages,) = cursor.fetchone() or (0,)
        return int(pages)


@pytest.mark.parametrize(
    ("text", "is_exact", "pieces"),
    [
        ("log", False, ["log"]),
        ("invoice", False, ["ice", "inv"]),
        ("backup-sensor-36224.html", False, ["224", "362", "kup"]),
        ("ab*report?.x", False, ["ort", "rep"]),
        ("a*b", True, []),
        ("gr\u00f6\u00dfe.c", False, []),
    ],
)
def test_the_index_is_asked_for_few_pieces_of_a_text(text: str, is_exact: bool, pieces: list[str]) -> None:
    assert searching.pieces_of(text, is_exact=is_exact) == pieces


@pytest.mark.parametrize("text", ["log-1", "cat*1?.txt", "catalog2.txt", "CATALOG"])
@pytest.mark.parametrize("is_exact", [True, False])
def test_the_index_finds_what_a_look_at_every_name_finds(
    admin: User, subclients: tuple[Subclient, Subclient], monkeypatch: pytest.MonkeyPatch, text: str, is_exact: bool
) -> None:
    names = ["log-1", "blog-10", "Catalog-12.txt", "catalog2.txt", "CATALOG", "cat1", "alog-1.cat"]
    fill(subclients[0].pk, {0: {name.encode(): File(1) for name in names}})
    wanted = [
        name
        for name in names
        if matches(
            text,
            Version(path=f"/srv/data/{name}".encode(), kind="f", size=1, first=0, until=None),
            is_exact=is_exact,
        )
    ]
    monkeypatch.setattr(searching, "WINDOW", 0)
    found = search(admin, Question(text=text, is_exact=is_exact, kinds=Kinds.FILE)).results
    assert sorted(result.name.decode() for result in found) == sorted(wanted)


def test_settings_of_the_session_are_as_before(admin: User, subclients: tuple[Subclient, Subclient]) -> None:
    search(admin, Question(text="plan"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('enable_seqscan'), current_setting('statement_timeout')")
        assert cursor.fetchone() == ("on", "0")


@pytest.mark.parametrize("token", ["", "x", "WzFd", "e30", "WyJhIiwiYiIsLTFd", "\ud800"])
def test_a_key_that_is_none_is_ignored(token: str) -> None:
    assert Key.parse(token) is None


def test_a_search_costs_the_same_whatever_it_finds(admin: User, subclients: tuple[Subclient, Subclient]) -> None:
    fill(subclients[0].pk, {0: {f"plan{number}".encode(): File(number) for number in range(30)}})
    with connection.execute_wrapper(count := _Counter()):
        search(admin, Question(text="plan"))
    assert count.queries <= 10


class _Counter:
    queries = 0

    def __call__(self, execute, sql, params, many, context):  # type: ignore[no-untyped-def]
        self.queries += 1
        return execute(sql, params, many, context)
