"""The table: absolute figures of ours, and everybody else's as multiples of ours, medians of paired rounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from .cases import Row
from .measuring import Figures


def render(rows: Sequence[Row], names: Sequence[str]) -> str:
    """Markdown. A ratio above 1 says that ours was quicker, took less, or stored less."""
    others = [name for name in names if name != names[0]]
    head = ["what", f"{names[0]}: wall, cpu, memory", *(f"{name}: wall, cpu, memory, stored" for name in others)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = [row.title, _absolute(row.figures.get(names[0], []))]
        cells += [_ratios(row, names[0], name) for name in others]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _absolute(figures: list[Figures]) -> str:
    if not figures:
        return "-"
    return (
        f"{median(item.wall_seconds for item in figures):.2f} s, {median(item.cpu_seconds for item in figures):.2f} s, "
        f"{max(item.peak_bytes for item in figures) / 1e6:.0f} MB"
    )


def _ratios(row: Row, ours: str, other: str) -> str:
    if ours not in row.figures or other not in row.figures:
        return "-"
    pairs = list(zip(row.figures[ours], row.figures[other], strict=True))

    def ratio(of: Callable[[Figures], float]) -> str:
        return f"{median(of(theirs) / of(mine) for mine, theirs in pairs if of(mine)):.2f}x"

    cells = [ratio(lambda item: item.wall_seconds), ratio(lambda item: item.cpu_seconds)]
    cells.append(ratio(lambda item: item.peak_bytes))
    if row.stored.get(ours) and row.stored.get(other):
        cells.append(f"{row.stored[other] / row.stored[ours]:.3f}x")
    return ", ".join(cells)
