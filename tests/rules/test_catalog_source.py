"""RULES S4: what a catalog is made from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rules.catalog_source import CatalogFacts, CatalogSource, choose_catalog_source

FACTS = st.builds(CatalogFacts, **{name: st.booleans() for name in CatalogFacts.__dataclass_fields__})


@pytest.mark.parametrize(
    ("facts", "source", "is_whole", "words"),
    [
        ({"has_base": True, "has_complete_copy": True, "base_is_beside": True}, "trees", False, "compared with"),
        (
            {"has_base": True, "has_snapshot": True, "base_has_snapshot": True, "can_diff": True},
            "snapshot",
            False,
            "since the last catalogued",
        ),
        ({"has_base": True, "has_snapshot": True, "can_diff": True}, "snapshot", True, "catalogued snapshot is gone"),
        ({"has_base": True, "has_snapshot": True, "base_has_snapshot": True}, "snapshot", True, "cannot tell"),
        (
            {
                "has_base": True,
                "has_snapshot": True,
                "base_has_snapshot": True,
                "can_diff": True,
                "same_content": False,
            },
            "snapshot",
            True,
            "content paths changed",
        ),
        ({"has_snapshot": True}, "snapshot", True, "the first that is catalogued"),
        ({"has_complete_copy": True, "has_snapshot": True}, "trees", True, "the first"),
        ({"has_base": True, "has_complete_copy": True}, "trees", True, "beside it"),
        ({"has_partial_copy": True}, "trees", True, "partial"),
        ({"has_base": True, "has_partial_copy": True, "base_is_beside": True}, "trees", False, "partial"),
        ({"has_partial_copy": True, "has_snapshot": True}, "snapshot", True, "the first"),
        ({"has_partial_copy": True, "has_snapshot": True, "media_only": True}, "trees", True, "partial"),
        ({"has_snapshot": True, "media_only": True}, "nothing", True, "Neither"),
        (
            {"is_dumped": True, "has_base": True, "has_complete_copy": True, "base_is_beside": True},
            "dumps",
            True,
            "lists",
        ),
        ({"is_dumped": True, "has_partial_copy": True}, "dumps", True, "lists of files"),
        ({"is_dumped": True, "has_snapshot": True}, "nothing", True, "only while it is copied"),
    ],
)
def test_s4_the_cheapest_that_has_all_of_it(facts: dict[str, bool], source: str, is_whole: bool, words: str) -> None:
    choice = choose_catalog_source(CatalogFacts(**{"has_base": False, "has_complete_copy": False} | facts))
    assert (choice.source, choice.is_whole) == (source, is_whole)
    assert words in choice.reason


@given(FACTS)
def test_s4_nothing_is_chosen_that_is_not_there_and_no_difference_without_a_base(facts: CatalogFacts) -> None:
    choice = choose_catalog_source(facts)
    match choice.source:
        case CatalogSource.TREES:
            assert facts.has_complete_copy or facts.has_partial_copy
            assert choice.is_whole or facts.base_is_beside
            assert not facts.is_dumped
        case CatalogSource.DUMPS:
            assert facts.is_dumped
            assert choice.is_whole
            assert facts.has_complete_copy or facts.has_partial_copy
        case CatalogSource.SNAPSHOT:
            assert facts.has_snapshot
            assert not facts.media_only
            assert not facts.is_dumped
            assert choice.is_whole or (facts.base_has_snapshot and facts.can_diff and facts.same_content)
        case CatalogSource.NOTHING:
            assert not facts.has_complete_copy
            assert not facts.has_partial_copy
    assert choice.is_whole or facts.has_base


@given(FACTS)
def test_s4_a_partial_copy_serves_only_where_nothing_has_all_of_it(facts: CatalogFacts) -> None:
    choice = choose_catalog_source(facts)
    if choice.source is CatalogSource.TREES and not facts.has_complete_copy:
        assert facts.media_only or not facts.has_snapshot
