"""The SQL of searching; see :mod:`jobs.catalog.searching`. Every step is bounded, whatever the name that is asked for.

``%(subclients)s`` are those that may be looked into, where the scope is not everything.
"""

from __future__ import annotations

from typing import Final

MOST_SEPARATE: Final = 256
"""Up to so many subclients each is looked up in the index by itself; of more, the rows are asked."""

_COLUMNS: Final = ("id", "folder_id", "name", "kind", "size", "mtime_ns", "first_at", "until_at")
_VERSION: Final = ", ".join(f"version.{name}" for name in _COLUMNS)
_IN_SCOPE: Final = "version.subclient_id = ANY(%(subclients)s)"
_LIKE: Final = "upper({row}.name) LIKE upper(%(pattern)s)"
_EXACT: Final = "upper({row}.name) = upper(%(pattern)s) AND {row}.name = %(pattern)s"

SETTINGS: Final = (
    "SELECT current_setting('enable_seqscan'), current_setting('max_parallel_workers_per_gather'), "
    "current_setting('jit'), current_setting('statement_timeout')"
)
"""What :data:`SET` changes, as it was."""
SET: Final = (
    "SELECT set_config('enable_seqscan', %s, true), set_config('max_parallel_workers_per_gather', %s, true), "
    "set_config('jit', %s, true), set_config('statement_timeout', %s, true)"
)


def name_is_wanted(row: str, *, is_exact: bool) -> str:
    """The condition on a name."""
    return (_EXACT if is_exact else _LIKE).format(row=row)


def by_index(*, scope: int | None, is_exact: bool, pieces: int) -> str:
    """Versions by their name; ``scope`` is the number of subclients, None = everything.

    In a subquery for each, the planner takes both columns of the index, however common the name is elsewhere. Of the
    name, the index is asked for ``pieces`` of it only, if there are any: every trigram more costs a look per match.
    """
    name = _by_pieces(pieces, is_exact=is_exact) if pieces else name_is_wanted("version", is_exact=is_exact)
    if scope is None or scope > MOST_SEPARATE:
        within = "" if scope is None else f" AND {_IN_SCOPE}"
        return f"SELECT {_VERSION} FROM jobs_catalogversion version WHERE {name}{within} LIMIT %(looked)s + 1"
    return f"""
SELECT version.*
FROM unnest(%(subclients)s::bigint[]) scope(id)
CROSS JOIN LATERAL (
    SELECT {_VERSION} FROM jobs_catalogversion version
    WHERE version.subclient_id = scope.id AND {name}
    LIMIT %(looked)s + 1
) version
LIMIT %(looked)s + 1"""


def _by_pieces(pieces: int, *, is_exact: bool) -> str:
    """The whole condition is put so that no index answers it."""
    asked = [f"upper(version.name) LIKE upper(%(piece_{number})s)" for number in range(pieces)]
    whole = "version.name = %(pattern)s" if is_exact else "upper(version.name) || '' LIKE upper(%(pattern)s)"
    return " AND ".join([*asked, whole])


def at_hand(*, scope: int | None) -> str:
    """A few thousand versions without asking for a name: the newest, or those in some folders of the scope."""
    if scope is None:
        return f"SELECT {_VERSION} FROM jobs_catalogversion version ORDER BY version.id DESC LIMIT %(window)s"
    return f"""
SELECT version.*
FROM unnest(%(subclients)s::bigint[]) scope(id)
CROSS JOIN LATERAL (
    SELECT folder.id FROM jobs_catalogfolder folder WHERE folder.subclient_id = scope.id LIMIT %(window)s / 10
) folder
CROSS JOIN LATERAL (
    SELECT {_VERSION} FROM jobs_catalogversion version WHERE version.folder_id = folder.id LIMIT %(window)s / 5
) version
LIMIT %(window)s"""


def by_path(*, scope: int | None) -> str:
    """Versions of ``%(pattern)s`` in the folder ``%(folder)s``."""
    within = "" if scope is None else f" AND {_IN_SCOPE}"
    return f"""
SELECT {_VERSION}
FROM jobs_catalogfolder folder
JOIN jobs_catalogversion version ON version.folder_id = folder.id AND version.name = %(pattern)s
WHERE folder.path = %(folder)s{within}
LIMIT %(looked)s + 1"""


def narrowed(source: str, conditions: list[str]) -> str:
    """The numbers of what meets the conditions; a last one of NULL: there was more in the source than is looked at."""
    return f"""
SELECT CASE WHEN version.number <= %(looked)s THEN version.id END
FROM (SELECT source.*, row_number() OVER () AS number FROM ({source}) source) version
WHERE version.number > %(looked)s OR ({" AND ".join(conditions) or "true"})
LIMIT %(most)s + 1"""


def page(*, has_key: bool) -> str:
    """A page of the versions ``%(ids)s``, by name and path; with how many versions the path has."""
    beyond = (
        "AND (upper(version.name), folder.path, version.id) > (upper(%(key_name)s), %(key_path)s, %(key_id)s)"
        if has_key
        else ""
    )
    return f"""
SELECT version.id, version.subclient_id, folder.path, version.name, version.kind, version.size, version.files,
       version.mtime_ns, version.first_at, version.until_at,
       (SELECT count(*) FROM jobs_catalogversion other
        WHERE other.folder_id = version.folder_id AND other.name = version.name),
       EXISTS (SELECT FROM jobs_catalogversion other
               WHERE other.folder_id = version.folder_id AND other.name = version.name AND other.until_at IS NULL)
FROM jobs_catalogversion version
JOIN jobs_catalogfolder folder ON folder.id = version.folder_id
WHERE version.id = ANY(%(ids)s) {beyond}
ORDER BY upper(version.name), folder.path, version.id
LIMIT %(limit)s + 1"""


def conditions(
    row: str, *, kinds: bool, smallest: bool, largest: bool, modified_from: bool, modified_until: bool, existed: bool
) -> list[str]:
    """What is asked of a version besides its name."""
    asked = {
        f"{row}.kind = ANY(%(kinds)s)": kinds,
        f"{row}.size >= %(smallest)s": smallest,
        f"{row}.size <= %(largest)s": largest,
        f"{row}.mtime_ns >= %(modified_from)s": modified_from,
        f"{row}.mtime_ns <= %(modified_until)s": modified_until,
        f"{row}.first_at <= %(existed_until)s": existed,
        f"({row}.until_at IS NULL OR {row}.until_at > %(existed_from)s)": existed,
    }
    return [condition for condition, is_asked in asked.items() if is_asked]


def is_newest(of_later: list[str]) -> str:
    """No later version of the same path meets the same conditions."""
    more = "".join(f" AND {condition}" for condition in of_later)
    return f"""NOT EXISTS (
    SELECT FROM jobs_catalogversion later
    WHERE later.folder_id = version.folder_id AND later.name = version.name
      AND later.first_at > version.first_at{more})"""


EXISTS_NOW: Final = "version.until_at IS NULL"
HAS_ENDED: Final = "version.until_at IS NOT NULL"
"""Of the last version of a path: the path is deleted."""
IS_DELETED: Final = f"""{HAS_ENDED} AND NOT EXISTS (
    SELECT FROM jobs_catalogversion present
    WHERE present.folder_id = version.folder_id AND present.name = version.name AND present.until_at IS NULL)"""
"""The first half follows from the second, and spares it for every version that is there."""
