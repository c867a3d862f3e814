"""What a year ended with, in a form that the product and the model can both give; and where two of them differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

COPIED = frozenset({"copied", "partial", "aged"})
"""Only then it matters what a copy was compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotFact:
    level: str
    number: int | None
    by: str
    state: str
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyFact:
    """One snapshot towards one copy. ``base``: when the snapshot was taken that its copy is compared with."""

    state: str
    level: str
    number: int | None
    base: datetime | None
    failures: int
    copied_at: datetime | None
    aged_at: datetime | None
    forgotten_at: datetime | None


@dataclass(slots=True)
class Picture:
    """By subclient and moment; by subclient, copy and moment; by schedule and planned moment, and whether missed."""

    snapshots: dict[tuple[str, datetime], SnapshotFact] = field(default_factory=dict)
    copies: dict[tuple[str, str, datetime], CopyFact] = field(default_factory=dict)
    slots: set[tuple[str, datetime, bool]] = field(default_factory=set)


def differences(found: Picture, expected: Picture, *, most: int = 12) -> str:
    """The earliest ones, a line each; empty = the two are the same."""
    lines = [
        *_of(found.snapshots, expected.snapshots),
        *_of(found.copies, expected.copies),
        *((slot[1], f"{slot} is only in the product") for slot in found.slots - expected.slots),
        *((slot[1], f"{slot} is only in the model") for slot in expected.slots - found.slots),
    ]
    lines.sort(key=lambda line: line[0])
    shown = "\n".join(f"{moment:%Y-%m-%d %H:%M:%S} {text}" for moment, text in lines[:most])
    return f"{len(lines)} differences, the first:\n{shown}" if lines else ""


def _of(found: Mapping[tuple, object], expected: Mapping[tuple, object]) -> Iterator[tuple[datetime, str]]:  # type: ignore[type-arg]
    for key in found.keys() | expected.keys():
        ours, theirs = found.get(key), expected.get(key)
        if ours == theirs:
            continue
        name = " ".join(key[:-1])
        if ours is None or theirs is None:
            yield key[-1], f"{name}: product {ours}, model {theirs}"
            continue
        parts = [
            f"{part}: product {_word(getattr(ours, part))}, model {_word(getattr(theirs, part))}"
            for part in ours.__slots__  # type: ignore[attr-defined]
            if getattr(ours, part) != getattr(theirs, part)
        ]
        yield key[-1], f"{name}: {'; '.join(parts)}"


def _word(value: object) -> str:
    return f"{value:%m-%d %H:%M:%S}" if isinstance(value, datetime) else repr(value)
