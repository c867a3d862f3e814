"""The media that the contract suite drives: one line per driver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jobs.engine.media.base import Media
from jobs.engine.media.registry import MEDIA
from jobs.engine.options import parse_options


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """How to open a driver over a fresh place, and where its files lie here, so that a test can damage them."""

    name: str
    values: Callable[[Path], dict[str, object]]
    file: Callable[[Path, str], Path]

    def open(self, place: Path) -> Media:
        kind = MEDIA[self.name]
        return kind.build(parse_options(kind.options, self.values(place)))


DRIVERS = (Driver(name="disk", values=lambda place: {"path": str(place)}, file=lambda place, name: place / name),)
