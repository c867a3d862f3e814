"""What is wrong with a file: where, what, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policies.declared.difference import Change


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


class DeletionsUnconfirmed(Exception):
    """The file would delete snapshots or backup copies, and nobody confirmed it; nothing was changed (RULES R9)."""

    def __init__(self, changes: Sequence[Change]) -> None:
        """``changes``: those that have deletions."""
        self.changes = tuple(changes)
        self.count = sum(len(change.deletions) for change in changes)
        what = "1 snapshot or backup copy" if self.count == 1 else f"{self.count} snapshots and backup copies"
        super().__init__(f"The next aging would delete {what} because of this file.")
