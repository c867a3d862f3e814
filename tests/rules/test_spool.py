"""RULES P: the table of spool copies, what stays after a copy, what goes, and what holds it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rules.spool import AfterCopy, Catalog, SpoolItem, after_copy, spool_holds, spool_removals

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
INITIATORS = ("schedule", "person", "script", "inline")


def item(number: int, **values: Any) -> SpoolItem:
    given: dict[str, Any] = {
        "taken_at": START + number * DAY,
        "rule": AfterCopy.KEEP_NEWEST,
        "is_copied_everywhere": True,
        "catalog_done": True,
    } | values
    return SpoolItem(id=number, **given)


def removed(*items: SpoolItem) -> list[int]:
    return [removal.id for removal in spool_removals(snapshots=items)]


@pytest.mark.parametrize("catalog", Catalog)
@pytest.mark.parametrize("initiator", INITIATORS)
@pytest.mark.parametrize("keeps_base", [True, False])
def test_p_without_spool_the_retention_decides(catalog: Catalog, initiator: str, keeps_base: bool) -> None:
    decided = after_copy(is_spool=False, keeps_base=keeps_base, catalog=catalog, initiator=initiator)
    assert decided is AfterCopy.RETENTION


@pytest.mark.parametrize("catalog", Catalog)
@pytest.mark.parametrize("initiator", INITIATORS)
def test_p1_most_engines_delete_after_a_successful_copy(catalog: Catalog, initiator: str) -> None:
    decided = after_copy(is_spool=True, keeps_base=False, catalog=catalog, initiator=initiator)
    assert decided is AfterCopy.DELETE


@pytest.mark.parametrize(
    ("catalog", "initiator", "expected"),
    [
        (Catalog.INLINE, "schedule", AfterCopy.KEEP_NEWEST),
        (Catalog.DEFERRED, "schedule", AfterCopy.KEEP_NEWEST),
        (Catalog.INLINE, "person", AfterCopy.DELETE),
        (Catalog.INLINE, "script", AfterCopy.DELETE),
        (Catalog.DEFERRED, "person", AfterCopy.DELETE),
        (Catalog.DEFERRED, "script", AfterCopy.DELETE),
        (Catalog.SKIP, "schedule", AfterCopy.DELETE),
        (Catalog.SKIP, "person", AfterCopy.DELETE),
        (Catalog.SKIP, "script", AfterCopy.DELETE),
    ],
)
def test_p2_p3_p6_engines_that_keep_a_base(catalog: Catalog, initiator: str, expected: AfterCopy) -> None:
    assert after_copy(is_spool=True, keeps_base=True, catalog=catalog, initiator=initiator) is expected


def test_p5_exactly_the_newest_copied_is_kept_and_the_older_base_goes_when_the_next_copy_succeeds() -> None:
    waiting = item(3, is_copied_everywhere=False)
    assert removed(item(1), waiting) == []
    assert removed(item(1), item(2), waiting) == [1]
    assert [held.id for held in spool_holds(snapshots=[waiting, item(2), item(1)])] == [2, 3]
    assert removed(item(1), item(2), item(3)) == [1, 2]


def test_p3_a_true_spool_keeps_none_not_even_the_base_before_it() -> None:
    by_hand = item(2, rule=AfterCopy.DELETE, is_base_of_next=True)
    assert removed(by_hand, item(1)) == [1, 2]


def test_p_snapshots_under_retention_are_left_to_it() -> None:
    assert removed(item(1, rule=AfterCopy.RETENTION), item(2, rule=AfterCopy.RETENTION)) == []


@pytest.mark.parametrize("rule", [AfterCopy.DELETE, AfterCopy.KEEP_NEWEST])
@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"is_copied_everywhere": False}, "not copied"),
        ({"catalog_done": False}, "catalog"),
        ({"is_needed": True}, "needs it"),
        ({"is_mounted": True}, "mounted"),
        ({"is_pinned": True}, "pinned"),
    ],
)
def test_p7_what_holds_a_snapshot_is_said(rule: AfterCopy, values: dict[str, bool], word: str) -> None:
    held, newer = item(1, rule=rule, **values), item(2, rule=rule)
    assert 1 not in removed(held, newer)
    reasons = {kept.id: kept.reason for kept in spool_holds(snapshots=[held, newer])}
    assert word in reasons[1]


def test_p5_a_base_that_the_next_copy_compares_with_stays_though_a_newer_one_is_copied() -> None:
    assert removed(item(1, is_base_of_next=True), item(2)) == []


def test_removals_say_why() -> None:
    reasons = [removal.reason for removal in spool_removals(snapshots=[item(1), item(2, rule=AfterCopy.DELETE)])]
    assert reasons == ["Spool copy: a newer snapshot is copied.", "Spool copy: it is copied."]


FLAGS = st.booleans()
ITEMS = st.lists(
    st.builds(
        SpoolItem,
        id=st.integers(1, 10_000),
        taken_at=st.integers(0, 50).map(lambda day: START + day * DAY),
        rule=st.sampled_from(AfterCopy),
        is_copied_everywhere=FLAGS,
        catalog_done=FLAGS,
        is_needed=FLAGS,
        is_mounted=FLAGS,
        is_pinned=FLAGS,
        is_base_of_next=FLAGS,
    ),
    unique_by=lambda each: each.id,
    max_size=12,
)


@given(ITEMS)
def test_p7_nothing_uncopied_uncatalogued_or_used_ever_goes(items: list[SpoolItem]) -> None:
    by_id = {each.id: each for each in items}
    gone = removed(*items)
    for each in (by_id[number] for number in gone):
        assert each.is_copied_everywhere
        assert each.catalog_done
        assert not any((each.is_needed, each.is_mounted, each.is_pinned))
        assert each.rule is not AfterCopy.RETENTION
    kept = [held.id for held in spool_holds(snapshots=items)]
    assert sorted(gone + kept) == sorted(by_id)


@given(ITEMS)
def test_p5_what_is_left_is_stable_and_at_most_one_free_base(items: list[SpoolItem]) -> None:
    gone = set(removed(*items))
    left = [each for each in items if each.id not in gone]
    free = [
        each
        for each in left
        if each.rule is AfterCopy.KEEP_NEWEST
        and each.is_copied_everywhere
        and each.catalog_done
        and not (each.is_needed or each.is_mounted or each.is_pinned or each.is_base_of_next)
    ]
    assert len(free) <= 1
    assert removed(*left) == []
