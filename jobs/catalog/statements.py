"""The SQL of loading, in the order it runs; see :mod:`jobs.catalog.loading`. Temporary tables live for one load.

``%(at)s`` is the moment of the snapshot that is written, ``%(next)s`` that of the catalogued one after it, or NULL.
A version *covers* a moment when it began at or before it and did not end by then.
"""

from __future__ import annotations

from typing import Final

TEMPORARY: Final = ("staged", "staged_gone", "staged_owner", "staged_folder", "fresh", "affected", "delta", "same")

MAKE_ROOT: Final = """
INSERT INTO jobs_catalogfolder (subclient_id, parent_id, name, path, depth) VALUES (%(subclient)s, NULL, '', '/', 0)
ON CONFLICT (subclient_id) WHERE parent_id IS NULL DO NOTHING"""
LOCK_ROOT: Final = """
SELECT id FROM jobs_catalogfolder WHERE subclient_id = %(subclient)s AND parent_id IS NULL FOR UPDATE"""

STAGE: Final = (
    """CREATE TEMPORARY TABLE staged (folder text, name text, kind text, size bigint, mtime_ns bigint, mode integer,
    owner integer, link_target text) ON COMMIT DROP""",
    "CREATE TEMPORARY TABLE staged_gone (folder text, name text) ON COMMIT DROP",
    """CREATE TEMPORARY TABLE staged_owner (number integer, uid bigint, gid bigint, "user" text, "group" text)
    ON COMMIT DROP""",
)
COPY_FOUND: Final = "COPY staged FROM STDIN"
COPY_GONE: Final = "COPY staged_gone FROM STDIN"
COPY_OWNERS: Final = "COPY staged_owner FROM STDIN"

OWNERS: Final = (
    """INSERT INTO jobs_catalogowner (uid, gid, "user", "group") SELECT uid, gid, "user", "group" FROM staged_owner
    ON CONFLICT DO NOTHING""",
    "ANALYZE staged",
)
STAGED_FOLDERS: Final = """
CREATE TEMPORARY TABLE staged_folder ON COMMIT DROP AS
SELECT DISTINCT folder, name, path, length(path) - length(replace(path, '/', '')) AS depth
FROM (SELECT folder, name, CASE WHEN folder = '/' THEN '/' ELSE folder || '/' END || name AS path
      FROM staged WHERE kind = 'd') folders"""
MAKE_FOLDERS: Final = """
INSERT INTO jobs_catalogfolder (subclient_id, parent_id, name, path, depth)
SELECT %(subclient)s, above.id, made.name, made.path, made.depth
FROM staged_folder made
JOIN jobs_catalogfolder above ON above.path = made.folder AND above.subclient_id = %(subclient)s
WHERE made.depth = %(depth)s
ON CONFLICT (parent_id, name) DO NOTHING"""

FRESH: Final = """
CREATE TEMPORARY TABLE fresh ON COMMIT DROP AS
SELECT folder.id AS folder_id, found.name, found.kind, found.size, 0::bigint AS files, found.mtime_ns, found.mode,
       owner.id AS owner_id, found.link_target, below.id AS below_id
FROM staged found
JOIN jobs_catalogfolder folder ON folder.path = found.folder AND folder.subclient_id = %(subclient)s
JOIN staged_owner numbered ON numbered.number = found.owner
JOIN jobs_catalogowner owner ON (owner.uid, owner.gid, owner."user", owner."group")
                              = (numbered.uid, numbered.gid, numbered."user", numbered."group")
LEFT JOIN jobs_catalogfolder below ON found.kind = 'd' AND below.parent_id = folder.id AND below.name = found.name"""
INDEX_FRESH: Final = ("CREATE UNIQUE INDEX fresh_once ON fresh (folder_id, name)", "ANALYZE fresh")

_COVERS: Final = "version.first_at <= %(at)s AND (version.until_at IS NULL OR version.until_at > %(at)s)"
AFFECTED: Final = """
CREATE TEMPORARY TABLE affected (id bigint PRIMARY KEY, folder_id bigint, name text, kind text, size bigint,
    files bigint, mtime_ns bigint, mode integer, owner_id bigint, link_target text) ON COMMIT DROP"""
INDEX_AFFECTED: Final = (
    "CREATE INDEX affected_folder ON affected (folder_id, name) WHERE kind = 'd'",
    "ANALYZE affected",
)
"""The planner takes folders that are looked up by name for so few that it would read all rows for each."""
_INTO_AFFECTED: Final = """
INSERT INTO affected
SELECT version.id, version.folder_id, version.name, version.kind, version.size, version.files, version.mtime_ns,
       version.mode, version.owner_id, version.link_target
FROM jobs_catalogversion version"""
ALL_AFFECTED: Final = f"""{_INTO_AFFECTED}
WHERE version.subclient_id = %(subclient)s AND {_COVERS}"""
FOUND_AFFECTED: Final = f"""{_INTO_AFFECTED}
JOIN fresh ON fresh.folder_id = version.folder_id AND fresh.name = version.name
WHERE {_COVERS}"""
GONE_AFFECTED: Final = f"""
WITH RECURSIVE lost AS (
    SELECT folder.id AS folder_id, gone.name
    FROM staged_gone gone
    JOIN jobs_catalogfolder folder ON folder.path = gone.folder AND folder.subclient_id = %(subclient)s
), inside AS (
    SELECT below.id FROM lost JOIN jobs_catalogfolder below
    ON below.parent_id = lost.folder_id AND below.name = lost.name
    UNION
    SELECT deeper.id FROM inside JOIN jobs_catalogfolder deeper ON deeper.parent_id = inside.id
)
{_INTO_AFFECTED}
WHERE {_COVERS} AND version.id IN (
    SELECT one.id FROM lost JOIN jobs_catalogversion one ON one.folder_id = lost.folder_id AND one.name = lost.name
    UNION ALL
    SELECT one.id FROM inside JOIN jobs_catalogversion one ON one.folder_id = inside.id
)
ON CONFLICT (id) DO NOTHING"""

DELTAS: Final = """
CREATE TEMPORARY TABLE delta ON COMMIT DROP AS
SELECT folder.id AS folder_id, folder.parent_id, folder.depth, sum(part.size)::bigint AS size,
       sum(part.files)::bigint AS files
FROM (SELECT folder_id, size, 1 AS files FROM fresh WHERE kind = 'f'
      UNION ALL
      SELECT folder_id, -size, -1 FROM affected WHERE kind = 'f') part
JOIN jobs_catalogfolder folder ON folder.id = part.folder_id
GROUP BY folder.id;
CREATE UNIQUE INDEX delta_once ON delta (folder_id)"""
PROPAGATE: Final = """
INSERT INTO delta
SELECT above.id, above.parent_id, above.depth, sum(delta.size), sum(delta.files)
FROM delta JOIN jobs_catalogfolder above ON above.id = delta.parent_id
WHERE delta.depth = %(depth)s
GROUP BY above.id
ON CONFLICT (folder_id) DO UPDATE SET size = delta.size + excluded.size, files = delta.files + excluded.files"""
RETOTALLED_FOLDERS: Final = f"""
INSERT INTO fresh
SELECT version.folder_id, version.name, version.kind, version.size, version.files, version.mtime_ns, version.mode,
       version.owner_id, version.link_target, folder.id
FROM delta
JOIN jobs_catalogfolder folder ON folder.id = delta.folder_id
JOIN jobs_catalogversion version ON version.folder_id = folder.parent_id AND version.name = folder.name
WHERE version.kind = 'd' AND {_COVERS} AND (delta.size <> 0 OR delta.files <> 0)
  AND NOT EXISTS (SELECT 1 FROM affected WHERE affected.id = version.id)
ON CONFLICT (folder_id, name) DO NOTHING"""
RETOTALLED_AFFECTED: Final = f"{FOUND_AFFECTED}\nON CONFLICT (id) DO NOTHING"
TOTALS: Final = """
UPDATE fresh
SET size = coalesce(before.size, 0) + coalesce(delta.size, 0),
    files = coalesce(before.files, 0) + coalesce(delta.files, 0)
FROM fresh this
LEFT JOIN affected before ON before.folder_id = this.folder_id AND before.name = this.name AND before.kind = 'd'
LEFT JOIN delta ON delta.folder_id = this.below_id
WHERE fresh.kind = 'd' AND this.folder_id = fresh.folder_id AND this.name = fresh.name"""

FIND_SAME: Final = """
CREATE TEMPORARY TABLE same ON COMMIT DROP AS
SELECT affected.id, fresh.folder_id, fresh.name
FROM fresh JOIN affected ON affected.folder_id = fresh.folder_id AND affected.name = fresh.name
WHERE (fresh.kind, fresh.size, fresh.files, fresh.mtime_ns, fresh.mode, fresh.owner_id, fresh.link_target)
    = (affected.kind, affected.size, affected.files, affected.mtime_ns, affected.mode, affected.owner_id,
       affected.link_target)"""
LEAVE_SAME: Final = (
    "ANALYZE same",
    "DELETE FROM affected USING same WHERE affected.id = same.id",
    "DELETE FROM fresh USING same WHERE fresh.folder_id = same.folder_id AND fresh.name = same.name",
)

_COLUMNS: Final = (
    "subclient_id, folder_id, name, kind, size, files, mtime_ns, mode, owner_id, link_target, first_at, until_at"
)
CUT: Final = f"""
INSERT INTO jobs_catalogversion ({_COLUMNS})
SELECT version.subclient_id, version.folder_id, version.name, version.kind, version.size, version.files,
       version.mtime_ns, version.mode, version.owner_id, version.link_target, %(next)s, version.until_at
FROM jobs_catalogversion version JOIN affected ON affected.id = version.id
WHERE version.until_at IS NULL OR version.until_at > %(next)s"""
END: Final = """
UPDATE jobs_catalogversion version SET until_at = %(at)s FROM affected WHERE affected.id = version.id"""
BEGIN_EARLIER: Final = """
UPDATE jobs_catalogversion version SET first_at = %(at)s FROM fresh
WHERE version.folder_id = fresh.folder_id AND version.name = fresh.name AND version.first_at = %(next)s
  AND (fresh.kind, fresh.size, fresh.files, fresh.mtime_ns, fresh.mode, fresh.owner_id, fresh.link_target)
    = (version.kind, version.size, version.files, version.mtime_ns, version.mode, version.owner_id,
       version.link_target)"""
LEAVE_EARLIER: Final = """
DELETE FROM fresh USING jobs_catalogversion version
WHERE version.folder_id = fresh.folder_id AND version.name = fresh.name AND version.first_at = %(at)s"""
BEGIN: Final = f"""
INSERT INTO jobs_catalogversion ({_COLUMNS})
SELECT %(subclient)s, folder_id, name, kind, size, files, mtime_ns, mode, owner_id, link_target, %(at)s, %(next)s
FROM fresh"""

_OF_SUBCLIENT: Final = "version.subclient_id = %(subclient)s"
FORGET_NEWEST: Final = f"""
DELETE FROM jobs_catalogversion version
WHERE {_OF_SUBCLIENT} AND version.first_at = %(at)s"""
FORGET: Final = f"{FORGET_NEWEST} AND version.until_at = %(next)s"
BEGIN_LATER: Final = f"""
UPDATE jobs_catalogversion version SET first_at = %(next)s
WHERE {_OF_SUBCLIENT} AND version.first_at = %(at)s"""
_SAME_AS_LATE: Final = " AND ".join(
    f"late.{name} = version.{name}"
    for name in ("folder_id", "name", "kind", "size", "files", "mtime_ns", "mode", "owner_id", "link_target")
)
JOIN: Final = f"""
WITH late AS (
    DELETE FROM jobs_catalogversion late USING jobs_catalogversion version
    WHERE {_OF_SUBCLIENT} AND version.until_at = %(at)s AND late.first_at = %(next)s AND {_SAME_AS_LATE}
    RETURNING version.id, late.until_at
)
UPDATE jobs_catalogversion version SET until_at = late.until_at FROM late WHERE version.id = late.id"""
END_LATER: Final = f"""
UPDATE jobs_catalogversion version SET until_at = %(next)s
WHERE {_OF_SUBCLIENT} AND version.until_at = %(at)s"""
DROP_FOLDERS: Final = """
DELETE FROM jobs_catalogfolder folder
WHERE folder.subclient_id = %(subclient)s AND folder.parent_id IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM jobs_catalogversion version
                  WHERE version.folder_id = folder.parent_id AND version.name = folder.name AND version.kind = 'd')
  AND NOT EXISTS (SELECT 1 FROM jobs_catalogversion version WHERE version.folder_id = folder.id)
  AND NOT EXISTS (SELECT 1 FROM jobs_catalogfolder below WHERE below.parent_id = folder.id)"""
EMPTY_VERSIONS: Final = f"DELETE FROM jobs_catalogversion version WHERE {_OF_SUBCLIENT}"
EMPTY_FOLDERS: Final = "DELETE FROM jobs_catalogfolder WHERE subclient_id = %(subclient)s"
SETTLE: Final = "SELECT gin_clean_pending_list('catalog_version_by_part')"
"""What was written waits in a list of up to 4 MB that every search reads once for each subclient: 2.5 ms each."""
