"""RULES S4: from what a snapshot is catalogued: the cheapest that has all of it. Pure.

What was dumped has a list of files beside its image, and that alone tells what is in it. Else a backup copy's trees
know what changed without a look at the source; a snapshot is compared with the last catalogued one where the storage
can tell what changed; what is left is a full scan.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CatalogSource(StrEnum):
    TREES = "trees"
    DUMPS = "dumps"
    SNAPSHOT = "snapshot"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogFacts:
    """What is there. The *base* is the catalogued snapshot before this one.

    ``has_complete_copy``, ``has_partial_copy``: a backup copy of the snapshot is on media; ``base_is_beside``: one of
    the base is in the same repository. ``has_snapshot``, ``base_has_snapshot``: they are on the storage. ``can_diff``:
    the storage tells what changed between two. ``same_content``: both have the same content paths.
    ``media_only``: the storage is not to be asked. ``is_dumped``: its storage is read as the stream of a dump only.
    """

    has_base: bool
    has_complete_copy: bool
    has_partial_copy: bool = False
    base_is_beside: bool = False
    has_snapshot: bool = False
    base_has_snapshot: bool = False
    can_diff: bool = False
    same_content: bool = True
    media_only: bool = False
    is_dumped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogChoice:
    """``is_whole``: everything is listed; else what changed since the base. ``reason`` is a sentence."""

    source: CatalogSource
    is_whole: bool
    reason: str


def choose_catalog_source(facts: CatalogFacts) -> CatalogChoice:
    """Trees before the storage when they tell the difference; a partial copy only where nothing has all of it."""
    if facts.is_dumped:
        return _dumped(facts)
    asks_storage = facts.has_snapshot and not facts.media_only
    if facts.has_complete_copy and facts.has_base and facts.base_is_beside:
        return CatalogChoice(
            source=CatalogSource.TREES,
            is_whole=False,
            reason="The trees of its backup copy were compared with those of the catalogued one before.",
        )
    if asks_storage and facts.has_base and facts.base_has_snapshot and facts.can_diff and facts.same_content:
        return CatalogChoice(
            source=CatalogSource.SNAPSHOT,
            is_whole=False,
            reason="The storage told what changed since the last catalogued snapshot.",
        )
    if facts.has_complete_copy:
        return CatalogChoice(
            source=CatalogSource.TREES, is_whole=True, reason=f"All trees of its backup copy were read{_why(facts)}."
        )
    if asks_storage:
        return CatalogChoice(
            source=CatalogSource.SNAPSHOT, is_whole=True, reason=f"All of the snapshot was listed{_why(facts)}."
        )
    if facts.has_partial_copy:
        beside = facts.has_base and facts.base_is_beside
        return CatalogChoice(
            source=CatalogSource.TREES,
            is_whole=not beside,
            reason="Only a partial backup copy is left: what it could not read is missing here, too.",
        )
    return CatalogChoice(
        source=CatalogSource.NOTHING,
        is_whole=True,
        reason="Neither the snapshot nor a backup copy of it is there any more.",
    )


def _dumped(facts: CatalogFacts) -> CatalogChoice:
    if facts.has_complete_copy or facts.has_partial_copy:
        reason = "The lists of files beside its dump and those it was built on were put over each other."
        return CatalogChoice(source=CatalogSource.DUMPS, is_whole=True, reason=reason)
    return CatalogChoice(
        source=CatalogSource.NOTHING,
        is_whole=True,
        reason="The file server tells which files there are only while it is copied, and no backup copy is on media.",
    )


def _why(facts: CatalogFacts) -> str:
    if not facts.has_base:
        return ": it is the first that is catalogued"
    if facts.has_snapshot and not facts.base_has_snapshot:
        return ": the last catalogued snapshot is gone"
    if facts.has_snapshot and not facts.can_diff:
        return ": this storage cannot tell what changed"
    if not facts.same_content:
        return ": the content paths changed"
    return ": no copy of the last catalogued one is beside it"
