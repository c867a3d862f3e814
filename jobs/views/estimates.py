"""Rates of a job and how long it will still take, from its samples. Pure; RULES of the job card.

The estimate is a range, from unread bytes at a smoothed rate; there is none below 5 % and it never says “0 s left”.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

Sample = Sequence[float]
"""``[seconds since the attempt began, bytes_done, bytes_read, bytes_stored]``"""

DONE, READ, STORED = 1, 2, 3

RECENT_SECONDS: Final = 12.0
SHOWN_FROM_PERCENT: Final = 5.0
_LEAST_SECONDS: Final = 3.0
"""Under this nothing is known about a rate, and nothing smaller is ever promised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remaining:
    """Seconds still to go, between the two; ``shortest`` is at least one."""

    shortest: float
    longest: float

    @property
    def is_ending(self) -> bool:
        """So close that a number would only mislead."""
        return self.longest < 10


def rate(samples: Sequence[Sample], column: int, *, seconds: float | None = RECENT_SECONDS) -> float | None:
    """Bytes per second over the last ``seconds`` (None = the whole attempt); None while it cannot be told."""
    if len(samples) < 2:
        return None
    last = samples[-1]
    first = samples[0]
    if seconds is not None:
        first = next((sample for sample in samples if sample[0] >= last[0] - seconds), first)
        if first is last or last[0] - first[0] < 1:
            first = samples[-2]
    span = last[0] - first[0]
    return max(0.0, (last[column] - first[column]) / span) if span > 0 else None


def remaining(samples: Sequence[Sample], *, done: int, total: int | None) -> Remaining | None:
    """How long the bytes not done yet will take: between the faster and the slower of recent and overall rate."""
    if not total or done >= total or 100 * done / total < SHOWN_FROM_PERCENT:
        return None
    if len(samples) < 3 or samples[-1][0] < _LEAST_SECONDS:
        return None
    rates = [found for found in (rate(samples, DONE), rate(samples, DONE, seconds=None)) if found]
    if not rates:
        return None
    left = total - done
    shortest, longest = left / max(rates), left / min(rates)
    return Remaining(shortest=max(1.0, shortest), longest=max(1.0, longest * 1.1))


def rates_over_time(samples: Sequence[Sample], column: int) -> list[tuple[float, float]]:
    """(seconds, bytes per second) between neighbouring samples, lightly smoothed, for the sparkline."""
    points: list[tuple[float, float]] = []
    smooth: float | None = None
    for before, after in pairwise(samples):
        span = after[0] - before[0]
        if span <= 0:
            continue
        speed = max(0.0, (after[column] - before[column]) / span)
        smooth = speed if smooth is None else 0.6 * smooth + 0.4 * speed
        points.append((after[0], smooth))
    return points
