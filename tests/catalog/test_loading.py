"""What is written into the catalog is what the snapshots hold: in any order, whole or as changes, with totals."""

from __future__ import annotations

import pytest
from django.db import IntegrityError
from hypothesis import given
from hypothesis import strategies as st

from jobs.catalog.loading import forget_moment, forget_subclient, load
from jobs.engine.operations.catalog import Found, Gone
from jobs.models import CatalogFolder, CatalogVersion
from policies.models import Subclient
from tests.catalog.histories import (
    ONE_DATABASE,
    TREES,
    File,
    Tree,
    all_rows,
    changes,
    expected,
    found_at,
    listing,
    moment,
)
from tests.catalog.past import undone
from tests.factories import make_subclient

pytestmark = pytest.mark.django_db


@pytest.fixture
def subclient() -> Subclient:
    return make_subclient()


class Catalog:
    """The tables beside a naive model: which trees are there, by number of the day."""

    def __init__(self, subclient: Subclient) -> None:
        self.id = subclient.pk
        self.trees: dict[int, Tree] = {}
        forget_subclient(self.id)

    def add(self, number: int, tree: Tree, *, is_whole: bool = False) -> None:
        before = max((known for known in self.trees if known < number), default=None)
        after = min((known for known in self.trees if known > number), default=None)
        is_whole = is_whole or before is None
        told = listing(tree) if is_whole or before is None else changes(self.trees[before], tree)
        following = moment(after) if after is not None else None
        load(self.id, moment(number), told, is_whole=is_whole, following=following)
        self.trees[number] = tree

    def remove(self, number: int) -> None:
        del self.trees[number]
        after = min((known for known in self.trees if known > number), default=None)
        forget_moment(self.id, moment(number), following=moment(after) if after is not None else None)

    def check(self) -> None:
        for number, tree in self.trees.items():
            assert found_at(self.id, moment(number)) == expected(tree)

    def rebuilt(self) -> list[tuple[object, ...]]:
        """The rows of the same snapshots, written anew in their order."""
        again, self.trees = self.trees, {}
        forget_subclient(self.id)
        for number in sorted(again):
            self.add(number, again[number])
        return all_rows(self.id)


@ONE_DATABASE
@given(steps=st.lists(st.tuples(st.integers(0, 6), TREES, st.booleans()), min_size=1, max_size=8))
def test_snapshots_come_and_go_in_any_order_and_nothing_else_is_left(
    subclient: Subclient, steps: list[tuple[int, Tree, bool]]
) -> None:
    with undone():
        catalog = Catalog(subclient)
        for number, tree, is_whole in steps:
            if number in catalog.trees:
                catalog.remove(number)
            else:
                catalog.add(number, tree, is_whole=is_whole)
            catalog.check()
        rows = all_rows(subclient.pk)
        assert rows == catalog.rebuilt()


@ONE_DATABASE
@given(trees=st.lists(TREES, min_size=2, max_size=4))
def test_a_version_is_one_row_as_long_as_nothing_changes(subclient: Subclient, trees: list[Tree]) -> None:
    with undone():
        catalog = Catalog(subclient)
        for number, tree in enumerate(trees):
            catalog.add(2 * number, tree)
        before = all_rows(subclient.pk)
        catalog.add(2 * len(trees), trees[-1])
        catalog.add(2 * len(trees) + 1, trees[-1], is_whole=True)
        assert all_rows(subclient.pk) == before


def test_a_forgotten_snapshot_leaves_no_empty_folders(subclient: Subclient) -> None:
    catalog = Catalog(subclient)
    catalog.add(1, {b"a": {b"b": {b"c": File(1)}}})
    catalog.add(2, {})
    catalog.remove(1)
    assert set(CatalogFolder.objects.values_list("path", flat=True)) == {"/", "/srv", "/srv/data"}
    catalog.remove(2)
    assert not CatalogVersion.objects.exists()
    assert CatalogFolder.objects.get().path == "/"


def test_changes_cost_rows_for_what_changed_and_the_folders_above_it(subclient: Subclient) -> None:
    tree: Tree = {f"d{number}".encode(): {f"f{name}".encode(): File(1) for name in range(50)} for number in range(20)}
    catalog = Catalog(subclient)
    catalog.add(1, tree)
    changed = {**tree, b"d3": {**tree[b"d3"], b"f7": File(2)}}  # type: ignore[dict-item]
    done = load(subclient.pk, moment(2), changes(tree, changed), is_whole=False)
    assert (done.told, done.began, done.ended) == (2, 4, 4)


def test_a_path_without_its_folder_or_told_twice_is_refused(subclient: Subclient) -> None:
    lost = Found(b"/nowhere", b"a", "f", 0, 0, 0, 0, 0, "", "", b"")
    with pytest.raises(ValueError, match="without their folder"):
        load(subclient.pk, moment(1), [lost], is_whole=True)
    twice = Found(b"/", b"a", "f", 0, 0, 0, 0, 0, "", "", b"")
    with pytest.raises(IntegrityError, match="fresh_once"):
        load(subclient.pk, moment(1), [twice, twice], is_whole=True)
    assert not CatalogVersion.objects.exists()


def test_two_subclients_do_not_see_each_other(subclient: Subclient) -> None:
    other = make_subclient(name="other", file_server=subclient.file_server, policy=subclient.policy)
    load(subclient.pk, moment(1), listing({b"a": File(1)}), is_whole=True)
    load(other.pk, moment(1), listing({b"a": {}}), is_whole=True)
    load(other.pk, moment(2), [Gone(b"/srv", b"data")], is_whole=False)
    assert found_at(subclient.pk, moment(3)) == expected({b"a": File(1)})
    forget_subclient(other.pk)
    assert found_at(subclient.pk, moment(3)) == expected({b"a": File(1)})
