"""What a snapshot on an array says of itself in its comment: the job, the time, and the content paths it was taken for.

An array keeps a name, a time of its own and one short text. The text is for people first: “SnapCopy job 7” and a JSON
object behind it, as far as there is room; without it the snapshot is still found by its name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ...ids import SnapshotName, job_of_snapshot

_MARK: Final = " #"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A content path on one volume: its ``number`` in the subclient, the path, what of it is ``below`` the volume."""

    number: int
    path: str
    below: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What one volume's snapshot knows. ``total`` is the number of content paths of all volumes together."""

    taken_at_ns: int
    total: int
    parts: tuple[Part, ...]


def write_description(name: SnapshotName, told: Description, *, most_characters: int) -> str:
    """The comment; only the sentence for people where the rest finds no room."""
    sentence = f"SnapCopy job {job_of_snapshot(name)}"
    values = {
        "t": told.taken_at_ns,
        "n": told.total,
        "c": {str(part.number): [part.path, _short(part)] for part in told.parts},
    }
    full = f"{sentence}{_MARK}{json.dumps(values, separators=(',', ':'))}"
    return full if len(full) <= most_characters else sentence


def read_description(comment: str | None) -> Description | None:
    """None where there is none, or somebody changed it."""
    _, mark, text = (comment or "").partition(_MARK)
    if not mark:
        return None
    try:
        values = json.loads(text)
        parts = tuple(_part(int(number), *value) for number, value in sorted(values["c"].items(), key=_by_number))
        return Description(taken_at_ns=int(values["t"]), total=int(values["n"]), parts=parts)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def all_parts(told: Iterable[Description]) -> tuple[Part, ...]:
    """Of all volumes of one snapshot, in the order of the subclient; empty where one is missing."""
    found: Mapping[int, Part] = {part.number: part for one in told for part in one.parts}
    totals = {one.total for one in told}
    if len(totals) != 1 or set(found) != set(range(totals.pop())):
        return ()
    return tuple(found[number] for number in sorted(found))


def _short(part: Part) -> int | str:
    """How many characters of the path are below the volume, where it is not reached through a link."""
    return len(part.below) if not part.below or part.path.endswith(f"/{part.below}") else part.below


def _part(number: int, path: object, below: object) -> Part:
    if isinstance(path, str) and isinstance(below, int) and 0 <= below < len(path):
        return Part(number=number, path=path, below=path[len(path) - below :])
    if isinstance(path, str) and isinstance(below, str):
        return Part(number=number, path=path, below=below)
    raise TypeError("That is no content path.")


def _by_number(entry: tuple[str, object]) -> int:
    return int(entry[0])
