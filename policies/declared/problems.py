"""What is wrong with a file: where, what, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """``line`` counts from 1; 0 = of no line. ``path`` is like ``policies[gold].copies[backup].retention``."""

    line: int
    path: str
    sentence: str
    remedy: str = ""

    def __str__(self) -> str:
        where = ", ".join(part for part in (f"line {self.line}" if self.line else "", self.path) if part)
        return f"{where}: {self.sentence} {self.remedy}".strip() if where else f"{self.sentence} {self.remedy}".strip()


class DeclaredRefused(Exception):
    """The file cannot be used; nothing was changed."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)
