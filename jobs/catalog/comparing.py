"""What differs between two moments of a subclient: added, changed, deleted, with bytes (RULES V3).

The work follows what began or ended in between, not what there is. A folder is listed when it came or went; what
changed inside of it is listed by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self

from django.db import connection

from jobs.catalog import compare_statements as sql
from jobs.catalog.names import to_bytes, to_text

PAGE: Final = 200


class Change(StrEnum):
    """From the first moment to the second."""

    ADDED = "added"
    CHANGED = "changed"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Key:
    """The place of a path in the list: by folder, then name."""

    folder: str
    name: str

    def token(self) -> str:
        """For an address."""
        return f"{self.folder.encode().hex()}.{self.name.encode().hex()}"

    @classmethod
    def parse(cls, token: str) -> Self | None:
        """The key of a token; None for what is none."""
        folder, _, name = token.partition(".")
        try:
            key = cls(bytes.fromhex(folder).decode(), bytes.fromhex(name).decode())
        except ValueError:
            return None
        return key if key.folder and key.name and "\0" not in key.folder + key.name else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A path at one of the two moments. ``size`` in bytes; ``mtime_ns`` is UTC."""

    kind: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One path; ``before`` is None for what was added, ``after`` for what was deleted."""

    folder: bytes
    name: bytes
    change: Change
    before: Side | None
    after: Side | None

    @property
    def path(self) -> bytes:
        return self.folder.rstrip(b"/") + b"/" + self.name

    @property
    def side(self) -> Side:
        """As it was last."""
        found = self.after or self.before
        if found is None:
            raise ValueError(f"{self.path!r} is on neither side")
        return found

    @property
    def is_folder(self) -> bool:
        return self.side.kind == "d"


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """Of one kind of change: ``files`` is everything but folders; the bytes are those of regular files."""

    files: int = 0
    folders: int = 0
    bytes_before: int = 0
    bytes_after: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The totals of everything, and a page of the list; ``after`` is the key of the next one."""

    totals: Mapping[Change, Total]
    differences: tuple[Difference, ...]
    after: Key | None


def compare(
    subclient_id: int,
    from_at: datetime,
    to_at: datetime,
    *,
    below: bytes = b"/",
    change: Change | None = None,
    after: Key | None = None,
    limit: int = PAGE,
) -> Comparison:
    """From ``from_at`` to ``to_at``, whichever is earlier; ``below`` a folder; the list of one ``change`` or of all.

    A moment is as the newest catalogued snapshot of it or before it says; before the first there was nothing.
    """
    given: dict[str, Any] = {
        "subclient": subclient_id,
        "early": min(from_at, to_at),
        "late": max(from_at, to_at),
        "below": to_text(below),
        "limit": limit,
    }
    shape = {"is_back": from_at > to_at, "below": below != b"/"}
    if after is not None:
        given |= {"key_folder": after.folder, "key_name": after.name}
    if change is not None:
        given["change"] = change.value
    with connection.cursor() as cursor:
        cursor.execute(sql.totals(**shape), given)
        totals = _totals(cursor.fetchall())
        cursor.execute(sql.page(**shape, has_key=after is not None, has_change=change is not None), given)
        rows = cursor.fetchall()
    return Comparison(
        totals=totals,
        differences=tuple(_difference(row) for row in rows[:limit]),
        after=Key(rows[limit - 1][0], rows[limit - 1][1]) if len(rows) > limit else None,
    )


def _totals(rows: list[tuple[str, bool, int, int, int]]) -> dict[Change, Total]:
    found = dict.fromkeys(Change, Total())
    for name, is_folder, count, before, after in rows:
        known = found[Change(name)]
        found[Change(name)] = Total(
            files=known.files + (0 if is_folder else count),
            folders=known.folders + (count if is_folder else 0),
            bytes_before=known.bytes_before + before,
            bytes_after=known.bytes_after + after,
        )
    return found


def _difference(row: tuple[Any, ...]) -> Difference:
    folder, name, change, before_kind, before_size, before_mtime, after_kind, after_size, after_mtime = row
    return Difference(
        folder=to_bytes(folder),
        name=to_bytes(name),
        change=Change(change),
        before=Side(kind=before_kind, size=before_size, mtime_ns=before_mtime) if before_kind else None,
        after=Side(kind=after_kind, size=after_size, mtime_ns=after_mtime) if after_kind else None,
    )
