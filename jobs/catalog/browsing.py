"""What a folder held at a moment, from the catalog alone: entries in pages, totals, what is gone (RULES V3).

Each question costs a fixed number of statements, whatever the folder holds: :func:`folder_at` at most two,
:func:`entries` at most five. Names are bytes here and text in the tables (:mod:`jobs.catalog.names`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self

from django.db import connection

from jobs.catalog import browse_statements as sql
from jobs.catalog.names import to_bytes, to_text
from jobs.models import CatalogOwner, CatalogState, Snapshot

PAGE: Final = 100
_LARGEST: Final = 2**63


class Sort(StrEnum):
    """What entries are sorted by; equals by their name, as bytes. The size of a folder is that of all below it."""

    NAME = "name"
    SIZE = "size"
    MODIFIED = "modified"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """``folders_first``: folders before everything else, in whatever direction."""

    sort: Sort = Sort.NAME
    is_descending: bool = False
    folders_first: bool = True


@dataclass(frozen=True, slots=True)
class Key:
    """The place of an entry in an order: where the next page goes on, or the one before ends."""

    is_folder: bool
    value: int
    name: str

    def token(self) -> str:
        """For an address."""
        return f"{'d' if self.is_folder else 'f'}.{self.value}.{self.name.encode().hex()}"

    @classmethod
    def parse(cls, token: str) -> Self | None:
        """The key of a token; None for what is none."""
        kind, _, rest = token.partition(".")
        value, _, digits = rest.partition(".")
        try:
            number, name = int(value), bytes.fromhex(digits).decode()
        except ValueError:
            return None
        if kind not in ("d", "f") or not -_LARGEST <= number < _LARGEST or not name or "\0" in name:
            return None
        return cls(kind == "d", number, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One path as it was. ``size`` in bytes and ``files`` are of all below for a folder; ``mtime_ns`` is UTC.

    ``gone_at``: the first snapshot that no longer held it; None = it was there at the moment that was asked for.
    """

    version_id: int
    name: bytes
    kind: str
    size: int
    files: int
    mtime_ns: int
    mode: int
    owner: CatalogOwner | None
    link_target: bytes
    first_at: datetime
    gone_at: datetime | None

    @property
    def is_folder(self) -> bool:
        return self.kind == "d"


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder with the totals of everything below it, in bytes and in files.

    ``gone_at``: it was not there any more at the moment that was asked for, since then; the totals are its last ones.
    """

    id: int
    size: int
    files: int
    gone_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """``before`` and ``after`` are the keys of the pages beside this one, None = there is none."""

    entries: tuple[Entry, ...]
    before: Key | None
    after: Key | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What of a folder is wanted. ``text``: a part of names, whatever the case; ``with_gone``: also what was there."""

    folder_id: int
    at: datetime
    order: Order = Order()
    text: str = ""
    with_gone: bool = False
    limit: int = PAGE


def catalogued_point(subclient_id: int, at: datetime) -> Snapshot | None:
    """The newest snapshot of that moment or before it which the catalog knows."""
    done = Snapshot.objects.filter(subclient=subclient_id, catalog_state=CatalogState.DONE, taken_at__lte=at)
    return done.order_by("-taken_at").first()


def folder_at(subclient_id: int, path: bytes, at: datetime) -> Folder | None:
    """The folder of an absolute path; None when there was no such folder at that moment or earlier."""
    given: dict[str, Any] = {"subclient": subclient_id, "path": to_text(path), "at": at}
    with connection.cursor() as cursor:
        cursor.execute(sql.FOLDER, given)
        row = cursor.fetchone()
        if row is None:
            return None
        folder_id, parent_id, kind, size, files, _first_at, until_at = row
        if parent_id is None:
            cursor.execute(sql.ROOT_TOTALS, {"folder": folder_id, "at": at})
            size, files = cursor.fetchone() or (0, 0)
            return Folder(id=folder_id, size=int(size), files=int(files), gone_at=None)
    if kind != "d":
        return None
    gone_at = until_at if until_at is not None and until_at <= at else None
    return Folder(id=folder_id, size=size, files=files, gone_at=gone_at)


def entries(question: Question, *, after: Key | None = None, before: Key | None = None) -> Page:
    """A page of a folder: the first, the one behind ``after``, or the one that ends before ``before``."""
    if before is not None:
        found = _rows(question, before, is_back=True)
        if len(found) > question.limit:
            shown = found[: question.limit][::-1]
            return _page(question, shown, has_before=True, has_after=True)
        after = None
    found = _rows(question, after, is_back=False)
    shown = found[: question.limit]
    return _page(question, shown, has_before=after is not None and bool(shown), has_after=len(found) > len(shown))


def _rows(question: Question, key: Key | None, *, is_back: bool) -> list[dict[str, Any]]:
    """One more than a page holds, from the key onwards in the direction of reading."""
    if not question.order.folders_first:
        return _select(question, key, is_back=is_back, of_folders=None)
    groups = [False, True] if is_back else [True, False]
    if key is not None:
        groups = groups[groups.index(key.is_folder) :]
    found: list[dict[str, Any]] = []
    for number, of_folders in enumerate(groups):
        if len(found) <= question.limit:
            found += _select(question, key if number == 0 else None, is_back=is_back, of_folders=of_folders)
    return found[: question.limit + 1]


def _select(question: Question, key: Key | None, *, is_back: bool, of_folders: bool | None) -> list[dict[str, Any]]:
    """Rows of folders, of all else, or (None) of both."""
    sort = question.order.sort.value
    shape = {
        "is_descending": question.order.is_descending is not is_back,
        "has_key": key is not None,
        "has_text": bool(question.text),
        "with_gone": question.with_gone,
    }
    statement = sql.folders(sort, **shape) if of_folders else sql.others(sort, with_folders=of_folders is None, **shape)
    given: dict[str, Any] = {"folder": question.folder_id, "at": question.at, "limit": question.limit + 1}
    if key is not None:
        given |= {"key_value": key.value, "key_name": key.name}
    if question.text:
        given["text"] = _pattern(question.text)
    with connection.cursor() as cursor:
        cursor.execute(statement, given)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _pattern(text: str) -> str:
    """``text`` anywhere, for LIKE. No name holds NUL, and PostgreSQL takes none."""
    for special in ("\\", "%", "_"):
        text = text.replace(special, f"\\{special}")
    return f"%{text.replace(chr(0), '')}%"


def _page(question: Question, rows: list[dict[str, Any]], *, has_before: bool, has_after: bool) -> Page:
    owners = CatalogOwner.objects.in_bulk({row["owner_id"] for row in rows if row["owner_id"] is not None})
    return Page(
        entries=tuple(_entry(row, owners, question.at) for row in rows),
        before=_key(rows[0], question.order) if has_before and rows else None,
        after=_key(rows[-1], question.order) if has_after and rows else None,
    )


def _entry(row: dict[str, Any], owners: dict[int, CatalogOwner], at: datetime) -> Entry:
    until_at: datetime | None = row["until_at"]
    return Entry(
        version_id=row["id"],
        name=to_bytes(row["name"]),
        kind=row["kind"],
        size=row["size"],
        files=row["files"],
        mtime_ns=row["mtime_ns"],
        mode=row["mode"],
        owner=owners.get(row["owner_id"]),
        link_target=to_bytes(row["link_target"]),
        first_at=row["first_at"],
        gone_at=until_at if until_at is not None and until_at <= at else None,
    )


def _key(row: dict[str, Any], order: Order) -> Key:
    column = sql.sort_column(order.sort.value).removeprefix("entry.")
    return Key(row["kind"] == "d", row[column] if column else 0, row["name"])
