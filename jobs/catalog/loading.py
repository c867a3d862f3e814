"""Writing one snapshot into the catalog: what was found goes to a staging table by COPY, then set by set into the rows.

One algorithm for all: what is told, whole or as changes, becomes the paths that are new or different at this moment
(*fresh*) and the versions that end here (*affected*); versions that turn out equal stay as they are. A snapshot may be
written in between others: a version that is cut goes on behind the cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from jobs.catalog import statements as sql
from jobs.catalog.names import to_text
from jobs.engine.operations.catalog import Change, Found, Gone

_STEP: Final = 5_000
_MANY: Final = 100_000
"""From this many new rows on, the planner's statistics are renewed at once."""
_Owner = tuple[int, int, str, str]
Given = dict[str, Any]
"""Parameters of :mod:`jobs.catalog.statements`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What one snapshot cost: paths that were told, versions that began and that ended."""

    told: int
    began: int
    ended: int


def load(
    subclient_id: int,
    at: datetime,
    changes: Iterable[Change],
    *,
    is_whole: bool,
    following: datetime | None = None,
    on_step: Callable[[int], None] | None = None,
) -> Loaded:
    """Write what the subclient's snapshot of the moment ``at`` holds, in one transaction with the caller's.

    ``is_whole``: the changes are everything there is; else they are changes since the catalogued snapshot before it.
    ``following`` is the moment of the catalogued snapshot after it, None = it is the newest. ``on_step`` is told now
    and then how many paths there were, and may raise. To be called once per moment; loads of one subclient wait for
    each other.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        _lock(cursor, subclient_id)
        for statement in sql.STAGE:
            cursor.execute(statement)
        told = _stage(cursor, changes, on_step)
        given: Given = {"subclient": subclient_id, "at": at, "next": following}
        _resolve(cursor, given)
        _find_affected(cursor, given, is_whole=is_whole)
        _total(cursor, given)
        cursor.execute(sql.FIND_SAME, given)
        for statement in sql.LEAVE_SAME:
            cursor.execute(statement)
        began, ended = _write(cursor, given)
        for name in sql.TEMPORARY:
            cursor.execute(f"DROP TABLE {name}")
        if began or ended:
            cursor.execute(sql.SETTLE)
        if began > _MANY:
            cursor.execute("ANALYZE jobs_catalogversion, jobs_catalogfolder")
    return Loaded(told=told, began=began, ended=ended)


def forget_moment(subclient_id: int, at: datetime, *, following: datetime | None) -> int:
    """Take a snapshot out of the history: versions that only it held go, and those it parted become one again.

    Returns how many only it held.

    ``following`` is the moment of the catalogued snapshot after it, None = it was the newest.
    """
    given: Given = {"subclient": subclient_id, "at": at, "next": following}
    with transaction.atomic(), connection.cursor() as cursor:
        _lock(cursor, subclient_id)
        if following is None:
            cursor.execute(sql.FORGET_NEWEST, given)
            gone: int = cursor.rowcount
        else:
            cursor.execute(sql.FORGET, given)
            gone = cursor.rowcount
            cursor.execute(sql.BEGIN_LATER, given)
            cursor.execute(sql.JOIN, given)
        cursor.execute(sql.END_LATER, given)
        if gone:
            _drop_empty_folders(cursor, given)
        cursor.execute(sql.SETTLE)
    return gone


def forget_subclient(subclient_id: int) -> None:
    """Empty the catalog of a subclient."""
    with transaction.atomic(), connection.cursor() as cursor:
        _lock(cursor, subclient_id)
        given: Given = {"subclient": subclient_id}
        cursor.execute(sql.EMPTY_VERSIONS, given)
        cursor.execute(sql.EMPTY_FOLDERS, given)


def _lock(cursor: CursorWrapper, subclient_id: int) -> None:
    """The root folder's row is the lock; it is made here."""
    given: Given = {"subclient": subclient_id}
    cursor.execute(sql.MAKE_ROOT, given)
    cursor.execute(sql.LOCK_ROOT, given)


def _stage(cursor: CursorWrapper, changes: Iterable[Change], on_step: Callable[[int], None] | None) -> int:
    """COPY what was told; one stream at a time, so that what is gone waits in memory: it is little."""
    owners: dict[_Owner, int] = {}
    gone: list[Gone] = []
    told = 0
    with _copy(cursor, sql.COPY_FOUND) as copy:
        for told, change in enumerate(changes, 1):
            if isinstance(change, Found):
                copy.write_row(_row(change, owners))
            else:
                gone.append(change)
            if on_step is not None and told % _STEP == 0:
                on_step(told)
    with _copy(cursor, sql.COPY_GONE) as copy:
        for item in gone:
            copy.write_row((to_text(item.folder), to_text(item.name)))
    with _copy(cursor, sql.COPY_OWNERS) as copy:
        for owner, number in owners.items():
            copy.write_row((number, *owner))
    if on_step is not None:
        on_step(told)
    return told


def _copy(cursor: CursorWrapper, statement: str) -> Any:
    """psycopg's COPY; Django's wrapper does not pass it on with a type."""
    return cursor.cursor.copy(statement)


def _row(found: Found, owners: dict[_Owner, int]) -> tuple[object, ...]:
    owner = (found.uid, found.gid, found.user.replace("\0", ""), found.group.replace("\0", ""))
    number = owners.setdefault(owner, len(owners))
    target = to_text(found.link_target) if found.link_target else ""
    return (
        to_text(found.folder),
        to_text(found.name),
        found.kind,
        found.size,
        found.mtime_ns,
        found.mode,
        number,
        target,
    )


def _resolve(cursor: CursorWrapper, given: Given) -> None:
    """Owners and folders get their rows, outermost first; then every path has its folder's number."""
    for statement in (*sql.OWNERS, sql.STAGED_FOLDERS):
        cursor.execute(statement)
    cursor.execute("SELECT coalesce(min(depth), 0), coalesce(max(depth), -1) FROM staged_folder")
    first, last = cursor.fetchone() or (0, -1)
    for depth in range(first, last + 1):
        cursor.execute(sql.MAKE_FOLDERS, {**given, "depth": depth})
    cursor.execute(sql.FRESH, given)
    for statement in sql.INDEX_FRESH:
        cursor.execute(statement)
    cursor.execute("SELECT (SELECT count(*) FROM staged), (SELECT count(*) FROM fresh)")
    staged, fresh = cursor.fetchone() or (0, 0)
    if staged != fresh:
        raise ValueError(f"{staged - fresh} paths were told without their folder, or twice")


def _find_affected(cursor: CursorWrapper, given: Given, *, is_whole: bool) -> None:
    cursor.execute(sql.AFFECTED)
    for statement in (sql.ALL_AFFECTED,) if is_whole else (sql.FOUND_AFFECTED, sql.GONE_AFFECTED):
        cursor.execute(statement, given)
    for statement in sql.INDEX_AFFECTED:
        cursor.execute(statement)


def _total(cursor: CursorWrapper, given: Given) -> None:
    """What each folder holds now: what it held, and the differences below it, summed from the innermost outwards."""
    cursor.execute(sql.DELTAS)
    cursor.execute("SELECT coalesce(max(depth), 0) FROM delta")
    (deepest,) = cursor.fetchone() or (0,)
    for depth in range(deepest, 0, -1):
        cursor.execute(sql.PROPAGATE, {"depth": depth})
    cursor.execute(sql.RETOTALLED_FOLDERS, given)
    cursor.execute(sql.RETOTALLED_AFFECTED, given)
    cursor.execute(sql.TOTALS)


def _write(cursor: CursorWrapper, given: Given) -> tuple[int, int]:
    if given["next"] is not None:
        cursor.execute(sql.CUT, given)
    cursor.execute(sql.END, given)
    ended = cursor.rowcount
    if given["next"] is not None:
        cursor.execute(sql.BEGIN_EARLIER, given)
        cursor.execute(sql.LEAVE_EARLIER, given)
    cursor.execute(sql.BEGIN, given)
    return cursor.rowcount, ended


def _drop_empty_folders(cursor: CursorWrapper, given: Given) -> None:
    """Innermost first: a folder that no version of its name refers to, and that holds nothing."""
    while True:
        cursor.execute(sql.DROP_FOLDERS, given)
        if not cursor.rowcount:
            return
