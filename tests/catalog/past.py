"""What a history of trees says of the past, computed without the catalog: versions of paths, searches, differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from hypothesis import strategies as st

from jobs.catalog.loading import forget_subclient, load
from tests.catalog.histories import TREES, File, Tree, expected, listing, moment

_SPEAKING = {b"a": b"Catalog.txt", b"b": b"log-1", b"c\xff": b"catalogue\xff"}


def _renamed(tree: Tree) -> Tree:
    return {_SPEAKING[name]: node if isinstance(node, File) else _renamed(node) for name, node in tree.items()}


SPEAKING_TREES: st.SearchStrategy[Tree] = TREES.map(_renamed)
"""Trees with names long enough to be searched for."""
HISTORIES = st.dictionaries(st.integers(0, 6).map(lambda day: 2 * day), SPEAKING_TREES, min_size=1, max_size=4)
"""By number of the day; nothing is known of the odd days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """Days from ``first`` until before ``until``, None = it is there on the last one."""

    path: bytes
    kind: str
    size: int
    first: int
    until: int | None

    @property
    def name(self) -> bytes:
        return self.path.rpartition(b"/")[2]

    @property
    def first_at(self) -> datetime:
        return moment(self.first)

    def overlaps(self, first: int, last: int) -> bool:
        return self.first <= last and (self.until is None or self.until > first)


@contextmanager
def undone() -> Iterator[None]:
    """What an example writes is taken back, with the locks on its temporary tables: a session has few."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def fill(subclient_id: int, history: Mapping[int, Tree]) -> None:
    """Into the catalog, instead of whatever it held of this subclient."""
    forget_subclient(subclient_id)
    for day in sorted(history):
        load(subclient_id, moment(day), listing(history[day]), is_whole=True)


def versions(history: Mapping[int, Tree]) -> list[Version]:
    """Every version of every path."""
    return list(_versions({day: expected(tree) for day, tree in history.items()}))


def _versions(held: Mapping[int, Mapping[bytes, tuple[str, int, int]]]) -> Iterator[Version]:
    days = sorted(held)
    for path in {path for entries in held.values() for path in entries}:
        begun: tuple[int, tuple[str, int, int]] | None = None
        for day in days:
            now = held[day].get(path)
            if begun is not None and now != begun[1]:
                yield Version(path=path, kind=begun[1][0], size=begun[1][1], first=begun[0], until=day)
                begun = None
            if now is not None and begun is None:
                begun = (day, now)
        if begun is not None:
            yield Version(path=path, kind=begun[1][0], size=begun[1][1], first=begun[0], until=None)
