"""The SQL of comparing; see :mod:`jobs.catalog.comparing`. Only what began or ended in between is read.

``%(early)s`` and ``%(late)s`` are the moments in the order of time, ``%(below)s`` the folder that is looked into.
"""

from __future__ import annotations

from typing import Final

_SIDE: Final = "id, folder_id, name, kind, size, mtime_ns, mode, owner_id, link_target"
_EARLY: Final = f"""
    SELECT {_SIDE} FROM jobs_catalogversion
    WHERE subclient_id = %(subclient)s AND until_at > %(early)s AND until_at <= %(late)s AND first_at <= %(early)s"""
_LATE: Final = f"""
    SELECT {_SIDE} FROM jobs_catalogversion
    WHERE subclient_id = %(subclient)s AND first_at > %(early)s AND first_at <= %(late)s
      AND (until_at IS NULL OR until_at > %(late)s)"""
_EQUAL: Final = " AND ".join(
    f"before.{name} IS NOT DISTINCT FROM after.{name}"
    for name in ("kind", "size", "mtime_ns", "mode", "owner_id", "link_target")
)
_CHANGE: Final = "CASE WHEN before.id IS NULL THEN 'added' WHEN after.id IS NULL THEN 'deleted' ELSE 'changed' END"
_BELOW: Final = "AND (folder.path = %(below)s OR starts_with(folder.path, %(below)s || '/'))"


def totals(*, is_back: bool, below: bool) -> str:
    """By change and whether it is a folder: how many, bytes of files before and after."""
    return f"""
{_pairs(is_back=is_back, below=below)}
SELECT change, coalesce(after_kind, before_kind) = 'd', count(*),
       coalesce(sum(before_size) FILTER (WHERE before_kind = 'f'), 0)::bigint,
       coalesce(sum(after_size) FILTER (WHERE after_kind = 'f'), 0)::bigint
FROM pair
GROUP BY 1, 2"""


def page(*, is_back: bool, below: bool, has_key: bool, has_change: bool) -> str:
    """A page of what differs, by folder and name."""
    where = [
        *(["(path, name) > (%(key_folder)s, %(key_name)s)"] if has_key else []),
        *(["change = %(change)s"] if has_change else []),
    ]
    return f"""
{_pairs(is_back=is_back, below=below)}
SELECT path, name, change, before_kind, before_size, before_mtime, after_kind, after_size, after_mtime
FROM pair
WHERE {" AND ".join(where) or "true"}
ORDER BY path, name
LIMIT %(limit)s + 1"""


def _pairs(*, is_back: bool, below: bool) -> str:
    """Both sides of each path that differs. A folder differs in what lies in it, and that is listed by itself."""
    before, after = (_LATE, _EARLY) if is_back else (_EARLY, _LATE)
    return f"""
WITH pair AS (
    SELECT folder.path, coalesce(before.name, after.name) AS name, {_CHANGE} AS change,
           before.kind AS before_kind, before.size AS before_size, before.mtime_ns AS before_mtime,
           after.kind AS after_kind, after.size AS after_size, after.mtime_ns AS after_mtime
    FROM ({before}
    ) before
    FULL JOIN ({after}
    ) after USING (folder_id, name)
    JOIN jobs_catalogfolder folder ON folder.id = folder_id
    WHERE (before.kind = 'd' AND after.kind = 'd') IS NOT TRUE
      AND NOT (before.id IS NOT NULL AND after.id IS NOT NULL AND {_EQUAL}) {_BELOW if below else ""}
)"""
