"""What a person has put aside for a restore: paths per point, kept in the session."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from django.contrib.sessions.backends.base import SessionBase

from .stored_paths import paths_of_form

MOST: Final = 1000
"""A basket is for choosing by hand; whole folders count as one."""

_KEY: Final = "baskets"


def contents(session: SessionBase, snapshot_id: int) -> list[bytes]:
    """The paths in the basket of one point, in the order they came."""
    return paths_of_form(session.get(_KEY, {}).get(str(snapshot_id), []))


def put(session: SessionBase, snapshot_id: int, paths: Iterable[bytes]) -> None:
    """Replace the basket; what lies below a chosen folder is dropped, for the folder brings it."""
    chosen = _without_covered(list(dict.fromkeys(paths)))[:MOST]
    baskets = dict(session.get(_KEY, {}))
    if chosen:
        baskets[str(snapshot_id)] = [path.hex() for path in chosen]
    else:
        baskets.pop(str(snapshot_id), None)
    session[_KEY] = baskets


def _without_covered(paths: list[bytes]) -> list[bytes]:
    known = set(paths)
    return [path for path in paths if not any(above in known for above in _above(path))]


def _above(path: bytes) -> Iterable[bytes]:
    while path != b"/":
        path = path.rpartition(b"/")[0] or b"/"
        yield path
