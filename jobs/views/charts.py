"""Charts as numbers for server-rendered SVG: coordinates only; the markup is in templates, the colours in CSS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """``points`` for a polyline, ``area`` for the polygon below it, in the chart's own units."""

    points: str
    area: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparkline:
    """One or two lines on a common scale; ``top`` is the value at the upper edge."""

    width: int
    height: int
    top: float
    first: Line
    second: Line


def sparkline(
    first: Sequence[Point], second: Sequence[Point], *, width: int = 600, height: int = 96
) -> Sparkline | None:
    """Lines from (x, value) points with a common zero-based scale; None with fewer than two points.

    The upper 18 units stay free for the label of the scale.
    """
    if len(first) < 2:
        return None
    top = max((value for _, value in (*first, *second)), default=0.0)
    if top <= 0:
        return None
    left, right = first[0][0], first[-1][0]
    span = right - left or 1.0

    def line(points: Sequence[Point]) -> Line:
        placed = [
            (round((x - left) / span * width, 1), round(height - 2 - value / top * (height - 20), 1))
            for x, value in points
        ]
        if not placed:
            return Line(points="", area="")
        text = " ".join(f"{x},{y}" for x, y in placed)
        return Line(points=text, area=f"{placed[0][0]},{height} {text} {placed[-1][0]},{height}")

    return Sparkline(width=width, height=height, top=top, first=line(first), second=line(second))
