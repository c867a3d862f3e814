"""What is measured. A case runs all contenders side by side, round by round, and adds rows to the table."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .contenders import Contender
from .measuring import Figures, tree_bytes, wait_until_quiet
from .trees import Tree, change, make, named, warm

CHANGED_SHARE: Final = 0.001


@dataclass(slots=True, kw_only=True)
class Row:
    """One line of the table: per contender the figures of every round, and bytes stored where that is the point."""

    title: str
    figures: dict[str, list[Figures]] = field(default_factory=dict)
    stored: dict[str, int] = field(default_factory=dict)

    def add(self, contender: Contender, figures: Figures) -> None:
        self.figures.setdefault(contender.name, []).append(figures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """``work`` is scratch space of this run; ``patience_seconds`` how long a quiet moment is waited for.

    Restores are made below ``restore_to``. ``is_cold``: snapshots are looked at with nothing of them in memory.
    ``gbit``: NDMP servers are behind a network of so many Gbit/s; None = no network brings it as quickly.
    """

    work: Path
    contenders: Sequence[Contender]
    rounds: int
    scale: float
    tell: Callable[[str], None]
    restore_to: Path
    patience_seconds: float = 0.0
    is_cold: bool = False
    gbit: float | None = None

    def copy(self, contender: Contender, tree: Tree) -> Figures:
        """A copy into the contender's place, at a quiet moment, with the tree in the page cache."""
        warm(tree)
        wait_until_quiet(self.patience_seconds)
        return contender.copy(tree.path, self.work / "places" / contender.name)

    def place(self, contender: Contender) -> Path:
        """An empty directory for a contender."""
        path = self.work / "places" / contender.name
        self.clear(contender)
        path.mkdir(parents=True)
        return path

    def new_target(self) -> Path:
        """An empty directory to restore into. It stays until :meth:`clear_targets`, after the rounds of a tree: for
        minutes ext4 looks past every inode that was just deleted, and who restores next would pay for that.
        """
        self._targets.mkdir(exist_ok=True)
        return Path(tempfile.mkdtemp(dir=self._targets))

    def clear_targets(self) -> None:
        shutil.rmtree(self._targets, ignore_errors=True)

    @property
    def _targets(self) -> Path:
        return self.restore_to / "restored"

    def clear(self, contender: Contender) -> None:
        shutil.rmtree(self.work / "places" / contender.name, ignore_errors=True)


def copies(bench: Bench, tree: Tree, *, may_change: bool, only_first: bool = False) -> list[Row]:
    """A first copy, its restore, a second of the unchanged tree, a third after a small change."""
    size = f"{tree.files:,} files, {tree.logical_bytes / 1e9:.2f} GB"
    first = Row(title=f"{tree.name}, first copy ({size})")
    back = Row(title=f"{tree.name}, restore")
    second = Row(title=f"{tree.name}, nothing changed")
    third = Row(title=f"{tree.name}, {CHANGED_SHARE:.1%} changed")
    for number in range(bench.rounds):
        for contender in bench.contenders:
            place = bench.place(contender)
            contender.prepare(place)
            first.add(contender, bench.copy(contender, tree))
            first.stored[contender.name] = tree_bytes(place / "repository")
            back.add(contender, _restored(bench, contender, place))
            if not only_first:
                second.add(contender, bench.copy(contender, tree))
            bench.tell(f"{tree.name} {number + 1}/{bench.rounds} {contender.name}")
        if may_change and not only_first:
            change(tree, share=CHANGED_SHARE, seed=number)
            for contender in bench.contenders:
                third.add(contender, bench.copy(contender, tree))
        for contender in bench.contenders:
            bench.clear(contender)
    bench.clear_targets()
    return [row for row in (first, back, second, third) if row.figures]


def _restored(bench: Bench, contender: Contender, place: Path) -> Figures:
    """The repository is in the page cache for everybody."""
    warm(named("repository", place / "repository"))
    target = bench.new_target()
    wait_until_quiet(bench.patience_seconds)
    return contender.restore(place, target)


def _generated(name: str, *, only_first: bool = False) -> Callable[[Bench], list[Row]]:
    def case(bench: Bench) -> list[Row]:
        return copies(bench, make(name, bench.work, bench.scale), may_change=True, only_first=only_first)

    return case


def of_named_tree(path: Path) -> Callable[[Bench], list[Row]]:
    """The copies of a tree that is there; it is never changed."""

    def case(bench: Bench) -> list[Row]:
        return copies(bench, named(str(path), path), may_change=False)

    return case


CASES: Final[dict[str, Callable[[Bench], list[Row]]]] = {
    "small": _generated("small"),
    "mixed": _generated("mixed"),
    "large-text": _generated("large-text", only_first=True),
    "large-random": _generated("large-random", only_first=True),
}
