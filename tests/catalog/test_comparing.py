"""Two moments differ by what a naive look at both trees says, in any order of the moments, in pages and in sum."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.catalog.comparing import Change, Comparison, Difference, Key, Total, compare
from jobs.catalog.versions import at, versions_of
from policies.models import Subclient
from tests.catalog.histories import ONE_DATABASE, ROOT, File, Tree, expected, moment
from tests.catalog.past import HISTORIES, fill, undone, versions
from tests.factories import make_subclient

pytestmark = pytest.mark.django_db
Held = Mapping[bytes, tuple[str, int, int]]


@pytest.fixture
def subclient() -> Subclient:
    return make_subclient()


def all_pages(subclient: Subclient, first: int, last: int, *, below: bytes, change: Change | None) -> Comparison:
    found: list[Difference] = []
    after = None
    while True:
        page = compare(subclient.pk, moment(first), moment(last), below=below, change=change, after=after, limit=2)
        found += page.differences
        if page.after is None:
            return Comparison(totals=page.totals, differences=tuple(found), after=None)
        after = Key.parse(page.after.token())


def held(history: Mapping[int, Tree], day: int) -> Held:
    known = [number for number in history if number <= day]
    return expected(history[max(known)]) if known else {}


def changed(before: Held, after: Held, below: bytes) -> dict[bytes, Change]:
    found = {}
    for path in before.keys() | after.keys():
        one, two = before.get(path), after.get(path)
        if not path.startswith(below.rstrip(b"/") + b"/") or one == two or (one and two and one[0] == two[0] == "d"):
            continue
        found[path] = Change.CHANGED if one and two else Change.ADDED if two else Change.DELETED
    return found


@ONE_DATABASE
@given(
    history=HISTORIES,
    days=st.tuples(st.integers(-1, 13), st.integers(-1, 13)),
    below=st.sampled_from([b"/", ROOT, ROOT + b"/log-1", ROOT + b"/Catalog.txt"]),
    only=st.none() | st.sampled_from(Change),
)
def test_two_moments_differ_by_what_their_trees_do(
    subclient: Subclient, history: dict[int, Tree], days: tuple[int, int], below: bytes, only: Change | None
) -> None:
    before, after = held(history, days[0]), held(history, days[1])
    wanted = changed(before, after, below)
    with undone():
        fill(subclient.pk, history)
        found = all_pages(subclient, *days, below=below, change=only)
    listed = [(difference.path, difference.change) for difference in found.differences]
    assert listed == [*dict(listed).items()]
    assert dict(listed) == {path: change for path, change in wanted.items() if only in (None, change)}
    for change in Change:
        paths = [path for path, its in wanted.items() if its is change]
        folders = [path for path in paths if (after.get(path) or before[path])[0] == "d"]
        assert found.totals[change] == Total(
            files=len(paths) - len(folders),
            folders=len(folders),
            bytes_before=sum(before[path][1] for path in paths if path in before and before[path][0] == "f"),
            bytes_after=sum(after[path][1] for path in paths if path in after and after[path][0] == "f"),
        )


@ONE_DATABASE
@given(history=HISTORIES, day=st.integers(-1, 13))
def test_every_version_of_a_path_is_told_newest_first(subclient: Subclient, history: dict[int, Tree], day: int) -> None:
    known = versions(history)
    with undone():
        fill(subclient.pk, history)
        for path in {version.path for version in known}:
            found = versions_of(subclient.pk, path)
            expected_rows = sorted((one for one in known if one.path == path), key=lambda one: -one.first)
            assert [(row.kind, row.size, row.first_at) for row in found] == [
                (one.kind, one.size, one.first_at) for one in expected_rows
            ]
            assert [row.first_at for row in at(found, moment(day))] == [
                one.first_at for one in expected_rows if one.overlaps(day, day)
            ]


def test_a_file_that_is_again_what_it_was_does_not_differ(subclient: Subclient) -> None:
    fill(subclient.pk, {0: {b"a": File(1)}, 1: {b"a": File(2)}, 2: {b"a": File(1)}})
    assert compare(subclient.pk, moment(0), moment(2)).differences == ()
    assert len(compare(subclient.pk, moment(0), moment(1)).differences) == 1


def test_another_subclient_does_not_differ(subclient: Subclient) -> None:
    other = make_subclient(name="other", file_server=subclient.file_server, policy=subclient.policy)
    fill(other.pk, {0: {}, 1: {b"a": File(1)}})
    assert compare(subclient.pk, moment(0), moment(1)).differences == ()
    assert not versions_of(subclient.pk, ROOT + b"/a").exists()


@pytest.mark.parametrize("token", ["", "x", ".", "2f.", "2f.00", "ff.ff"])
def test_a_key_that_is_none_is_ignored(token: str) -> None:
    assert Key.parse(token) is None
