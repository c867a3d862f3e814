"""RULES V1: which copy serves a restore, and the sentence that says why. Pure.

A copy *has the data* when it can be read now and holds every path that is asked for. A partial copy does not hold the
files it could not read. What no copy holds is no reason against one: nobody can give it back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_NAMED: Final = 2
"""So many missing paths are named in a sentence; more are counted."""


class SourceKind(StrEnum):
    """SNAPSHOT is on the primary storage, REPLICA on that of a secondary snap copy, MEDIA a backup copy."""

    SNAPSHOT = "snapshot"
    REPLICA = "replica"
    MEDIA = "media"


_KIND_WORDS: Final = {
    SourceKind.SNAPSHOT: "the snapshot on",
    SourceKind.REPLICA: "the replica on",
    SourceKind.MEDIA: "the backup copy",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One copy of the policy towards one snapshot. ``id`` is the copy's, ``name`` is for sentences.

    ``obstacle``: why it cannot be read now, as a part of a sentence (“its snapshot was deleted”); empty = it can.
    ``lacks``: stored paths it does not hold, files or whole folders; ``unnamed`` counts more that nobody can name.
    """

    id: int
    name: str
    kind: SourceKind
    precedence: int
    obstacle: str = ""
    lacks: frozenset[bytes] = frozenset()
    unnamed: int = 0

    @property
    def label(self) -> str:
        """For the middle of a sentence."""
        return f"{_KIND_WORDS[self.kind]} {self.name}"

    @property
    def order(self) -> tuple[bool, int, int]:
        """Snapshots before media, then by precedence."""
        return (self.kind is SourceKind.MEDIA, self.precedence, self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The copy that serves, and why. ``missing`` are paths below the asked ones that a copy read now does not give."""

    id: int
    reason: str
    missing: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSource:
    """No copy may serve: ``reason`` is a sentence that names what lacks it."""

    reason: str


def choose(
    candidates: Iterable[Candidate], *, paths: Collection[bytes], wanted: int | None = None
) -> Choice | NoSource:
    """Without ``wanted`` the first in order that has the data; with it that copy, which fails if it lacks them.

    ``paths`` are stored paths, with all that lies below them; empty = everything. Where no copy has all of it, the
    first that holds every path itself serves, though files below are missing; its sentence says so.
    """
    known = sorted(candidates, key=lambda one: one.order)
    readable = [one for one in known if not one.obstacle]
    if wanted is not None:
        return _chosen(wanted, known, readable, paths)
    passed_over = [f"{one.label} is passed over: {one.obstacle}" for one in known if one.obstacle]
    incomplete: list[Candidate] = []
    for one in readable:
        lacking = _lacking(one, readable, paths)
        if lacking.is_complete:
            why = _why(one, readable, incomplete)
            return Choice(id=one.id, reason=_sentence([why, *passed_over, *_gaps(incomplete, readable, paths)]))
        incomplete.append(one)
    for one in incomplete:
        lacking = _lacking(one, readable, paths)
        if not lacking.asked:
            without = _listed(lacking.below, lacking.unnamed)
            why = f"no copy has all of it; {one.label} comes first and is without {without}"
            return Choice(id=one.id, reason=_sentence([why, *passed_over]), missing=lacking.below)
    if not known:
        return NoSource(reason="Nothing holds this point any more: neither a snapshot nor a copy of it is left.")
    return NoSource(reason=_sentence([*passed_over, *_gaps(incomplete, readable, paths)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lacking:
    """``asked``: asked paths that are not there; ``below``: missing ones below asked paths that another copy has."""

    asked: frozenset[bytes]
    below: frozenset[bytes]
    unnamed: int

    @property
    def is_complete(self) -> bool:
        return not self.asked and not self.below and not self.unnamed


def _chosen(
    wanted: int, known: Sequence[Candidate], readable: Sequence[Candidate], paths: Collection[bytes]
) -> Choice | NoSource:
    one = next((one for one in known if one.id == wanted), None)
    if one is None:
        return NoSource(reason="The chosen copy holds nothing of this point.")
    if one.obstacle:
        return NoSource(reason=_sentence([f"{one.label} was chosen and cannot serve: {one.obstacle}"]))
    lacking = _lacking(one, readable, paths)
    if lacking.asked or lacking.below:
        return NoSource(
            reason=_sentence([f"{one.label} was chosen and lacks {_listed(lacking.asked | lacking.below, 0)}"])
        )
    if lacking.unnamed:
        reason = _sentence([f"{one.label} was chosen; it is without {_listed(frozenset(), lacking.unnamed)}"])
        return Choice(id=one.id, reason=reason)
    return Choice(id=one.id, reason=_sentence([f"{one.label} was chosen"]))


def _lacking(one: Candidate, readable: Sequence[Candidate], paths: Collection[bytes]) -> _Lacking:
    """A file below an asked folder counts as missing only where another copy has it."""
    asked = {path for path in paths if any(is_inside(path, gap) for gap in one.lacks)}
    inside = {gap for gap in one.lacks if not paths or any(is_inside(gap, path) for path in paths)} - asked
    others = [other for other in readable if other.id != one.id]
    below = {gap for gap in inside if any(_holds(other, gap) for other in others)}
    return _Lacking(asked=frozenset(asked), below=frozenset(below), unnamed=one.unnamed)


def _holds(other: Candidate, path: bytes) -> bool:
    return not any(is_inside(path, gap) for gap in other.lacks)


def is_inside(path: bytes, folder: bytes) -> bool:
    """Whether a stored path is ``folder`` or lies below it."""
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")


def _why(one: Candidate, readable: Sequence[Candidate], incomplete: Sequence[Candidate]) -> str:
    if len(readable) == 1:
        return f"{one.label} is the only copy that can be read"
    if len(incomplete) == len(readable) - 1:
        return f"{one.label} is the only copy that has all of it"
    snapshots = [other for other in readable if other.kind is not SourceKind.MEDIA]
    if one.kind is not SourceKind.MEDIA and len(snapshots) == 1:
        return f"{one.label} is a snapshot, and snapshots go before media"
    return f"{one.label} has the lowest precedence number ({one.precedence}) of the copies that have it"


def _gaps(incomplete: Sequence[Candidate], readable: Sequence[Candidate], paths: Collection[bytes]) -> list[str]:
    found = []
    for one in incomplete:
        lacking = _lacking(one, readable, paths)
        found.append(f"{one.label} lacks {_listed(lacking.asked | lacking.below, lacking.unnamed)}")
    return found


def _listed(paths: frozenset[bytes], unnamed: int) -> str:
    """“/a”, “/b” and 3 more files; one by one as people read them."""
    named = [f"“{path.decode('utf-8', 'backslashreplace')}”" for path in sorted(paths)[:_NAMED]]
    more = len(paths) - len(named) + unnamed
    if more:
        named.append(f"{more} {'more ' if named else ''}file{'' if more == 1 else 's'}")
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"


def _sentence(parts: Sequence[str]) -> str:
    return " ".join(f"{part[:1].upper()}{part[1:]}." for part in parts)
