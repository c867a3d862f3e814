"""The SQL of browsing; see :mod:`jobs.catalog.browsing`. Pages are found by keyset: nothing is counted off.

``%(at)s`` is the moment that is looked at. The version of a name that counts is the last that began by then; it is
there if it had not ended by then, else gone since it ended.
"""

from __future__ import annotations

from typing import Final

_NAMES: Final = (
    "id",
    "name",
    "kind",
    "size",
    "files",
    "mtime_ns",
    "mode",
    "owner_id",
    "link_target",
    "first_at",
    "until_at",
)
_COLUMNS: Final = ", ".join(f"version.{name}" for name in _NAMES)
_ENTRY: Final = ", ".join(f"entry.{name}" for name in _NAMES)
_THERE: Final = "(entry.until_at IS NULL OR entry.until_at > %(at)s)"
_LAST: Final = """(entry.until_at IS NULL OR entry.until_at > %(at)s OR NOT EXISTS (
    SELECT 1 FROM jobs_catalogversion later
    WHERE later.folder_id = %(folder)s AND later.name = entry.name AND later.first_at >= entry.until_at
      AND later.first_at <= %(at)s))"""
"""There, or gone and not come back: this way entries come in the order of an index, and a page ends the search."""

FOLDER: Final = """
SELECT folder.id, folder.parent_id, entry.kind, entry.size, entry.files, entry.first_at, entry.until_at
FROM jobs_catalogfolder folder
LEFT JOIN LATERAL (
    SELECT version.kind, version.size, version.files, version.first_at, version.until_at
    FROM jobs_catalogversion version
    WHERE version.folder_id = folder.parent_id AND version.name = folder.name AND version.first_at <= %(at)s
    ORDER BY version.first_at DESC
    LIMIT 1
) entry ON true
WHERE folder.path = %(path)s AND folder.subclient_id = %(subclient)s"""
ROOT_TOTALS: Final = f"""
SELECT coalesce(sum(entry.size), 0), coalesce(sum(CASE WHEN entry.kind = 'f' THEN 1 ELSE entry.files END), 0)
FROM jobs_catalogversion entry
WHERE entry.folder_id = %(folder)s AND entry.first_at <= %(at)s AND {_THERE} AND entry.kind IN ('f', 'd')"""

SORTED_BY: Final = {"name": "", "size": "entry.size", "modified": "entry.mtime_ns"}


def folders(sort: str, *, is_descending: bool, has_key: bool, has_text: bool, with_gone: bool) -> str:
    """The folders of a folder: one look at the versions for each, however many it has and however many files."""
    where = ["entry.kind = 'd'", *_narrowed("below.name", sort, is_descending, has_key=has_key, has_text=has_text)]
    if not with_gone:
        where.append(_THERE)
    return f"""
SELECT {_ENTRY}
FROM jobs_catalogfolder below
CROSS JOIN LATERAL (
    SELECT {_COLUMNS}
    FROM jobs_catalogversion version
    WHERE version.folder_id = %(folder)s AND version.name = below.name AND version.first_at <= %(at)s
    ORDER BY version.first_at DESC
    LIMIT 1
) entry
WHERE below.parent_id = %(folder)s AND {" AND ".join(where)}
{_ordered("below.name", sort, is_descending)}"""


def others(
    sort: str, *, is_descending: bool, has_key: bool, has_text: bool, with_gone: bool, with_folders: bool = False
) -> str:
    """What lies in a folder and is none, or with ``with_folders`` all that lies in it."""
    if has_text:
        return _named(
            sort, is_descending=is_descending, has_key=has_key, with_gone=with_gone, with_folders=with_folders
        )
    where = _narrowed("entry.name", sort, is_descending, has_key=has_key, has_text=False)
    if not with_folders:
        where.append("entry.kind <> 'd'")
    where = ["entry.folder_id = %(folder)s", "entry.first_at <= %(at)s", _LAST if with_gone else _THERE, *where]
    return f"""
SELECT {_ENTRY}
FROM jobs_catalogversion entry
WHERE {" AND ".join(where)}
{_ordered("entry.name", sort, is_descending)}"""


def _named(sort: str, *, is_descending: bool, has_key: bool, with_gone: bool, with_folders: bool) -> str:
    """The same, of names that hold the text: an index tells the names, and only for those versions are looked at."""
    by_name = not sort_column(sort)
    where = [] if by_name else _narrowed("entry.name", sort, is_descending, has_key=has_key, has_text=False)
    where += [] if with_gone else [_THERE]
    where += [] if with_folders else ["entry.kind <> 'd'"]
    names = _narrowed("version.name", "name", is_descending, has_key=has_key and by_name, has_text=True)
    return f"""
SELECT {_ENTRY}
FROM (
    SELECT DISTINCT version.name
    FROM jobs_catalogversion version
    WHERE version.folder_id = %(folder)s AND {" AND ".join(names)}
) named
CROSS JOIN LATERAL (
    SELECT {_COLUMNS}
    FROM jobs_catalogversion version
    WHERE version.folder_id = %(folder)s AND version.name = named.name AND version.first_at <= %(at)s
    ORDER BY version.first_at DESC
    LIMIT 1
) entry
WHERE {" AND ".join(where or ["true"])}
{_ordered("named.name", sort, is_descending)}"""


def sort_column(sort: str) -> str:
    """The column to sort by before the name, '' = by name alone."""
    return SORTED_BY[sort]


def _narrowed(name: str, sort: str, is_descending: bool, *, has_key: bool, has_text: bool) -> list[str]:
    # Not the expression of the trigram index: that finds the text in all folders first, which costs more than in one.
    found = [f"upper({name} || '') LIKE upper(%(text)s)"] if has_text else []
    if has_key:
        column, beyond = sort_column(sort), "<" if is_descending else ">"
        found.append(
            f"({column} {beyond}= %(key_value)s AND ({column}, {name}) {beyond} (%(key_value)s, %(key_name)s))"
            if column
            else f"{name} {beyond} %(key_name)s"
        )
    return found


def _ordered(name: str, sort: str, is_descending: bool) -> str:
    direction = " DESC" if is_descending else ""
    columns = [column for column in (sort_column(sort), name) if column]
    return f"ORDER BY {', '.join(f'{column}{direction}' for column in columns)}\nLIMIT %(limit)s"
