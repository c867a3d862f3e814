"""RULES L1, L3, L4 at a file server that counts the levels of its dumps by itself. Pure.

It builds a dump of level n on the newest dump of any lower level *that it made*, whatever became of it here. So a dump
that began and was never committed may count there: its changes are in no backup copy, and nothing may be built on it.
Which dumps began, and which of them were committed, is kept here; a token of the storage makes all of this needless.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .levels import Decision, RunLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpDate:
    """A dump that the file server was asked for. ``copy_id`` is the backup copy that it was for, None = deleted.

    Not ``is_committed``: it is running, or ended badly, and the file server may have counted it or not.
    """

    level: int
    copy_id: int | None
    is_committed: bool


def newest_below(dates: Sequence[DumpDate], level: int) -> DumpDate | None:
    """What the file server builds a dump of ``level`` on, as far as can be known. ``dates``: the order they began in.

    One that is not committed and older than one that is makes no difference, counted or not.
    """
    return next((date for date in reversed(dates) if date.level < level), None)


def sound_level(
    decision: Decision, *, dates: Mapping[str, Sequence[DumpDate]], last: int | None, full: int | None
) -> Decision:
    """The decision, or what can be made instead: a dump is built on what was committed, and on what it says.

    ``dates`` of every content path, in the order they began in; ``last`` and ``full`` are the backup copies that an
    incremental and a differential are built on (S3), None = there is none.
    """
    if decision.level is RunLevel.FULL:
        return decision
    problem = _problem(dates, decision.number, last if decision.level is RunLevel.INCREMENTAL else full)
    if not problem:
        return decision
    if decision.number > 1 and not _problem(dates, 1, full):
        return Decision(level=RunLevel.DIFFERENTIAL, number=1, reason=f"{problem} This one holds all since the full.")
    return Decision(level=RunLevel.FULL, number=0, reason=problem)


def _problem(dates: Mapping[str, Sequence[DumpDate]], level: int, base: int | None) -> str:
    """Why a dump of ``level`` would not be built on the backup copy ``base``; empty = it would."""
    for path, known in sorted(dates.items()):
        newest = newest_below(known, level)
        if newest is None:
            return f"It is not known which dumps of {path} the file server made before."
        if not newest.is_committed:
            return f"A dump of {path} of level {newest.level} was not finished, but may count at the file server."
        if base is None or newest.copy_id != base:
            return f"The file server's newest dump of {path} below level {level} is another than the last backup copy."
    return ""
