"""RULES L5: the tokens by which a filer knows what a dump is built on. Pure.

An engine with ``dump_tokens`` gives one with each dump (``DUMP_DATE``) and is told one with the next (``BASE_DATE``).
They are opaque strings that go back as they came; only whether one can be true is looked at: ``level << 32 | time``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from .levels import RunLevel

NO_BASE: Final = "0"
"""The ``BASE_DATE`` of a full: from nothing, and with a token for the next one."""

HIGHEST_LEVEL: Final = 31
"""RULES L2: of ONTAP, which has more levels than any other."""

_TIME_BITS: Final = 32
_MOST_DIGITS: Final = 12


class NotADumpDate(ValueError):
    """What a filer said cannot be the token of a dump."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpDate:
    """A token taken apart. ``time`` are the seconds since 1970 of the filer's clock, from 1 to 2^32 - 1."""

    level: int
    time: int


def encode(date: DumpDate) -> str:
    """``level << 32 | time`` in decimal. Raises NotADumpDate."""
    if not 0 <= date.level <= HIGHEST_LEVEL:
        raise NotADumpDate(f"There is no level {date.level}: levels go from 0 to {HIGHEST_LEVEL}.")
    if not 0 < date.time < 1 << _TIME_BITS:
        raise NotADumpDate(
            f"{date.time} is not a time of a dump: it has to fit in {_TIME_BITS} bits and be after 1970."
        )
    return str(date.level << _TIME_BITS | date.time)


def decode(token: str) -> DumpDate:
    """The level and time of a token. Raises NotADumpDate, also for ``0`` and ``-1``, which stand for no dump."""
    if not (token.isascii() and token.isdigit() and len(token) <= _MOST_DIGITS):
        raise NotADumpDate(f"“{token[:40]}” is not the decimal number of a dump.")
    number = int(token)
    date = DumpDate(level=number >> _TIME_BITS, time=number & ((1 << _TIME_BITS) - 1))
    if encode(date) != token:
        raise NotADumpDate(f"“{token}” is not written as the number {number} is.")
    return date


def base_dates(
    *,
    level: RunLevel,
    content: Collection[str],
    last_full: Mapping[str, str] | None,
    last_copied: Mapping[str, str] | None,
) -> dict[str, str] | None:
    """Per content path the token to build on; None = one is missing, so that it can only be a full (B8).

    A differential uses the token of the last full, an incremental that of the last *copied* job. ``last_*`` are the
    tokens kept with those, by content path; None = there is none.
    """
    if level is RunLevel.FULL:
        return dict.fromkeys(content, NO_BASE)
    kept = (last_full if level is RunLevel.DIFFERENTIAL else last_copied) or {}
    if any(path not in kept for path in content):
        return None
    return {path: kept[path] for path in content}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is worth keeping of the tokens of a dump, and sentences about those that cannot be true."""

    dates: dict[str, str]
    problems: tuple[str, ...] = ()


def accepted(told: Mapping[str, str], *, content: Collection[str], number: int) -> Told:
    """The tokens of a dump of level ``number``, as they came. A wrong one is not kept: the next dump is then a full."""
    dates, problems = {}, []
    for path in content:
        if path not in told:
            problems.append(f"No token came with the dump of {path}.")
            continue
        try:
            level = decode(told[path]).level
        except NotADumpDate as error:
            problems.append(f"The token of {path} cannot be used: {error}")
            continue
        if level == number:
            dates[path] = told[path]
        else:
            problems.append(f"The token of {path} is of level {level}, although the dump was of level {number}.")
    return Told(dates=dates, problems=tuple(problems))
