"""Search by name over everything that a user may see (RULES V3), in bounded work however many names match.

What is found is paths, each with its newest version that meets every condition. A part of a name is looked up by its
trigrams. A name that is common costs no more than one that is rare: no more than :data:`LOOKED_AT` names are looked
at, and no more than :data:`MOST` paths found, sorted and paged; :class:`Found` says when that was not all.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Self

from django.db import OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper

from jobs.catalog import search_statements as sql
from jobs.catalog.names import to_bytes
from policies.models import Subclient
from policies.selectors.visible import Person, sees_everything, visible_subclients

PAGE: Final = 50
MOST: Final = 1_000
"""Paths that one search finds; a person reads no more, but gives a longer part."""
LOOKED_AT: Final = 16_000
"""Names that match which are asked for size, times and kind; well below a tenth of a second."""
WINDOW: Final = 20_000
"""Versions that are read at random first: a name so common that they suffice is not looked up."""
LONGEST: Final = 4_096
_TIMEOUT_MS: Final = 5_000
_PIECES: Final = 3
_PLAIN_WORD: Final = re.compile(r"[0-9A-Za-z]{3,}")
"""What every PostgreSQL takes for letters and digits."""
_WORD: Final = re.compile(r"[^\W_]+")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

TOO_SHORT: Final = (
    "Type at least three letters or digits in a row: a shorter part is in too many names. "
    "An exact name or a whole path may be shorter."
)


class CannotSearch(Exception):
    """A question that is not answered; the text is the sentence for people."""


class Which(StrEnum):
    """Paths as they are in the newest catalogued snapshot; also former versions and what is gone; only what is gone."""

    EXISTING = "existing"
    ALL = "all"
    DELETED = "deleted"


class Kinds(StrEnum):
    """What a path may be."""

    ANY = ""
    FILE = "f"
    FOLDER = "d"
    SYMLINK = "l"
    OTHER = "o"


_KINDS: Final = {
    Kinds.FILE: ["f"],
    Kinds.FOLDER: ["d"],
    Kinds.SYMLINK: ["l"],
    Kinds.OTHER: ["b", "c", "p", "o"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is looked for. Text is as :mod:`jobs.catalog.names` writes it; None = whatever it is.

    ``text``: a part of a name, whatever the case; with ``*`` and ``?`` a pattern for the whole name; with ``/`` at its
    beginning a whole path. ``is_exact``: the whole name, to the letter. Sizes in bytes, both ends included.
    ``existed_from`` and ``existed_until``: there at some time between both; equal ones are a moment. With them, paths
    that are gone by now are found as well, unless ``which`` says otherwise.
    """

    text: str
    is_exact: bool = False
    file_server: str | None = None
    subclient_id: int | None = None
    kinds: Kinds = Kinds.ANY
    smallest: int | None = None
    largest: int | None = None
    modified_from: datetime | None = None
    modified_until: datetime | None = None
    existed_from: datetime | None = None
    existed_until: datetime | None = None
    which: Which = Which.EXISTING

    @property
    def is_path(self) -> bool:
        return self.text.startswith("/")

    @property
    def has_time(self) -> bool:
        return self.existed_from is not None or self.existed_until is not None


@dataclass(frozen=True, slots=True)
class Key:
    """The place of a result in the order of results."""

    name: str
    folder: str
    id: int

    def token(self) -> str:
        """For an address."""
        return base64.urlsafe_b64encode(json.dumps([self.name, self.folder, self.id]).encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, token: str) -> Self | None:
        """The key of a token; None for what is none."""
        try:
            match json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))):
                case [str(name), str(folder), int(number)] if "\0" not in name + folder and 0 <= number < 2**63:
                    (name + folder).encode()
                    return cls(name, folder, number)
                case _:
                    return None
        except (ValueError, binascii.Error, RecursionError):
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A path and its newest version that was asked for.

    ``size`` in bytes and ``files`` are of all below for a folder; ``mtime_ns`` UTC. The version is in each catalogued
    snapshot from ``first_at`` until before ``until_at``, None = it is in the newest. ``versions``: how many the path
    has; ``exists``: the newest catalogued snapshot has some version of it.
    """

    id: int
    subclient: Subclient
    folder: bytes
    name: bytes
    kind: str
    size: int
    files: int
    mtime_ns: int
    first_at: datetime
    until_at: datetime | None
    versions: int
    exists: bool

    @property
    def path(self) -> bytes:
        return self.folder.rstrip(b"/") + b"/" + self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A page of results by name and path. ``total`` counts those of all pages; unless ``is_all``, there are more.

    ``is_all_looked_at``: no name that matches was left out for there being too many.
    """

    results: tuple[Result, ...]
    after: Key | None
    total: int
    is_all: bool
    is_all_looked_at: bool


NOTHING: Final = Found(results=(), after=None, total=0, is_all=True, is_all_looked_at=True)


def search(user: Person | None, question: Question, *, after: Key | None = None, limit: int = PAGE) -> Found:
    """The page behind ``after`` of what the user may see; None = a command, which sees all. Raises CannotSearch."""
    check(question)
    scope = _scope(user, question)
    if scope == []:
        return NOTHING
    given = {**_given(question), "subclients": scope, "looked": LOOKED_AT, "most": MOST, "window": WINDOW}
    try:
        with _bounded() as cursor:
            ids = _candidates(cursor, question, scope, given)
            shown = [number for number in ids if number is not None][:MOST]
            rows = _page(cursor, shown, after, limit)
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") != "57014":
            raise
        raise CannotSearch("The search took too long. Give a longer part of the name, or a subclient.") from error
    return Found(
        results=_results(rows[:limit]),
        after=Key(rows[limit - 1][3], rows[limit - 1][2], rows[limit - 1][0]) if len(rows) > limit else None,
        total=len(shown),
        is_all=len(ids) == len(shown),
        is_all_looked_at=None not in ids,
    )


def check(question: Question) -> None:
    """Raises CannotSearch with what to do when the question cannot be answered quickly, or by nothing."""
    text = question.text
    if not text:
        raise CannotSearch("Type a name, a part of one, or a whole path.")
    if len(text) > LONGEST:
        raise CannotSearch(f"No path is longer than {LONGEST} characters.")
    if question.is_path:
        return
    if "/" in text:
        raise CannotSearch("No name holds a “/”. A whole path begins with one; otherwise give a part of the name.")
    if not question.is_exact and not _has_trigram(text):
        raise CannotSearch(TOO_SHORT)


def pattern_of(text: str) -> str:
    """For LIKE: ``text`` anywhere, or over the whole name where it has wildcards."""
    text = text.replace("\0", "")
    for special in ("\\", "%", "_"):
        text = text.replace(special, f"\\{special}")
    if "*" not in text and "?" not in text:
        return f"%{text}%"
    return re.sub(r"\*+", "%", text).replace("?", "_")


def pieces_of(text: str, *, is_exact: bool) -> list[str]:
    """Three letters or digits each, of which the rarest is likely among them: all that the index is asked for.

    A search for two words at eleven million rows takes 10 ms with these, 80 ms with every trigram of the text.
    """
    parts = [text] if is_exact else re.split(r"[*?]", text)
    words = [word for part in parts for word in _PLAIN_WORD.findall(part)]
    words.sort(key=lambda word: (not any(letter.isdigit() for letter in word), -len(word)))
    found = [piece for word in words for piece in (word[-3:], word[:3])]
    return list(dict.fromkeys(found))[:_PIECES]


def _has_trigram(text: str) -> bool:
    """Whether the trigram index can narrow: words get two blanks in front and one behind where they surely end."""
    has_wildcards = "*" in text or "?" in text
    parts = re.split(r"[*?]", text)
    for number, part in enumerate(parts):
        begins = has_wildcards and number == 0
        ends = has_wildcards and number == len(parts) - 1
        for word in _WORD.finditer(part):
            is_begin, is_end = begins or word.start() > 0, ends or word.end() < len(part)
            length = len(word[0])
            if length + 2 * is_begin + is_end >= 3 and (length > 1 or (is_begin and is_end)):
                return True
    return False


def _scope(user: Person | None, question: Question) -> list[int] | None:
    """The subclients to look into, None = all there are."""
    if question.file_server is None and question.subclient_id is None and (user is None or sees_everything(user)):
        return None
    found = Subclient.objects.all() if user is None else visible_subclients(user)
    if question.file_server is not None:
        found = found.filter(file_server__name=question.file_server)
    if question.subclient_id is not None:
        found = found.filter(pk=question.subclient_id)
    return list(found.order_by("pk").values_list("pk", flat=True))


def _given(question: Question) -> dict[str, Any]:
    """The parameters that the question sets."""
    first, last = question.existed_from, question.existed_until
    given: dict[str, Any] = {
        "kinds": _KINDS.get(question.kinds),
        "smallest": question.smallest,
        "largest": question.largest,
        "modified_from": _nanoseconds(question.modified_from),
        "modified_until": _nanoseconds(question.modified_until),
        "existed_from": first or datetime.min.replace(tzinfo=UTC),
        "existed_until": last or datetime.max.replace(tzinfo=UTC),
    }
    if question.is_path:
        path = "/" + "/".join(part for part in question.text.replace("\0", "").split("/") if part)
        folder, _, name = path.rpartition("/")
        given |= {"folder": folder or "/", "pattern": name}
    elif question.is_exact:
        given["pattern"] = question.text.replace("\0", "")
    else:
        given["pattern"] = pattern_of(question.text)
    return given


def _candidates(
    cursor: CursorWrapper, question: Question, scope: list[int] | None, given: dict[str, Any]
) -> list[int | None]:
    """The versions to show, one more than are shown if there are more; None last: not every name was looked at."""
    size = None if scope is None else len(scope)
    conditions = _conditions(question, given)
    if question.is_path:
        return _ids(cursor, sql.narrowed(sql.by_path(scope=size), conditions), given)
    if not question.is_exact:
        name = sql.name_is_wanted("version", is_exact=False)
        window = {**given, "looked": WINDOW}
        found = _ids(cursor, sql.narrowed(sql.at_hand(scope=size), [name, *conditions]), window)
        if len(found) > MOST:
            return found
    pieces = pieces_of(question.text, is_exact=question.is_exact)
    asked = given | {f"piece_{number}": f"%{piece}%" for number, piece in enumerate(pieces)}
    source = sql.by_index(scope=size, is_exact=question.is_exact, pieces=len(pieces))
    return _ids(cursor, sql.narrowed(source, conditions), asked)


def _conditions(question: Question, given: dict[str, Any]) -> list[str]:
    asked = {
        name: given[name] is not None for name in ("kinds", "smallest", "largest", "modified_from", "modified_until")
    }
    found = sql.conditions("version", existed=question.has_time, **asked)
    if question.which is Which.EXISTING and not question.has_time:
        return [sql.EXISTS_NOW, *found]
    later = sql.conditions("later", existed=question.has_time, **asked)
    if question.which is Which.DELETED:
        found.append(sql.IS_DELETED if later else sql.HAS_ENDED)
    return [*found, sql.is_newest(later)]


def _ids(cursor: CursorWrapper, statement: str, given: dict[str, Any]) -> list[int | None]:
    cursor.execute(statement, given)
    return [number for (number,) in cursor.fetchall()]


def _page(cursor: CursorWrapper, ids: Sequence[int], after: Key | None, limit: int) -> list[tuple[Any, ...]]:
    """One more than the page holds."""
    if not ids:
        return []
    given: dict[str, Any] = {"ids": list(ids), "limit": limit}
    if after is not None:
        given |= {"key_name": after.name, "key_path": after.folder, "key_id": after.id}
    cursor.execute(sql.page(has_key=after is not None), given)
    return list(cursor.fetchall())


def _results(rows: Sequence[tuple[Any, ...]]) -> tuple[Result, ...]:
    subclients = Subclient.objects.select_related("file_server").in_bulk({row[1] for row in rows})
    return tuple(_result(row, subclients[row[1]]) for row in rows if row[1] in subclients)


def _result(row: tuple[Any, ...], subclient: Subclient) -> Result:
    number, _, folder, name, kind, size, files, mtime_ns, first_at, until_at, versions, exists = row
    return Result(
        id=number,
        subclient=subclient,
        folder=to_bytes(folder),
        name=to_bytes(name),
        kind=kind,
        size=size,
        files=files,
        mtime_ns=mtime_ns,
        first_at=first_at,
        until_at=until_at,
        versions=versions,
        exists=exists,
    )


def _nanoseconds(moment: datetime | None) -> int | None:
    """Since the epoch, to the microsecond."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000 if moment is not None else None


@contextmanager
def _bounded() -> Iterator[CursorWrapper]:
    """A cursor whose statements use indexes, one process and a few seconds at most; nothing of it stays behind."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql.SETTINGS)
        before = cursor.fetchone()
        cursor.execute(sql.SET, ("off", "0", "off", str(_TIMEOUT_MS)))
        yield cursor
        cursor.execute(sql.SET, before)
