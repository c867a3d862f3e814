"""SQLite's part of :mod:`.by_nodes`.

``names``: all names that any dump of the chain told, ``folders``: which dump has the last word about a folder's names,
``inodes``: the last dump that holds an inode. So the names of now are those of the dump in ``folders``.
"""

from __future__ import annotations

from typing import Final

TABLES: Final = """\
CREATE TABLE names (
    parent INTEGER NOT NULL, dump INTEGER NOT NULL, name BLOB NOT NULL, node INTEGER NOT NULL,
    PRIMARY KEY (parent, dump, name)
) WITHOUT ROWID;
CREATE TABLE folders (node INTEGER PRIMARY KEY, dump INTEGER NOT NULL);
CREATE TABLE inodes (
    node INTEGER PRIMARY KEY, dump INTEGER NOT NULL, kind TEXT NOT NULL, mode INTEGER, uid INTEGER, gid INTEGER,
    size INTEGER, mtime INTEGER, fh_info INTEGER
);
CREATE TABLE places (id INTEGER PRIMARY KEY, node INTEGER NOT NULL UNIQUE, path BLOB NOT NULL);
CREATE TABLE picked (
    dump INTEGER, parent INTEGER, name BLOB, path BLOB, kind TEXT, node INTEGER, fh_info INTEGER, size INTEGER
)
"""

ADD_NAME: Final = "INSERT OR REPLACE INTO names (parent, dump, name, node) VALUES (?, ?, ?, ?)"
ADD_FOLDER: Final = "INSERT OR REPLACE INTO folders (node, dump) VALUES (?, ?)"
ADD_INODE: Final = "INSERT OR REPLACE INTO inodes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"

NO_FOLDERS_ANY_MORE: Final = """\
DELETE FROM folders WHERE dump < :dump AND EXISTS (
    SELECT 1 FROM inodes WHERE inodes.node = folders.node AND inodes.dump = :dump AND inodes.kind <> 'd'
)"""

UNCONTAINED: Final = """\
SELECT node FROM folders WHERE dump = :dump
EXCEPT SELECT node FROM names WHERE dump = :dump
LIMIT 2"""

ROOT: Final = "SELECT mode, uid, gid, size, mtime FROM inodes WHERE node = ? AND kind = 'd'"

_NAMES_OF_NOW: Final = """\
places p CROSS JOIN folders f ON f.node = p.node CROSS JOIN names n ON n.parent = f.node AND n.dump = f.dump"""

_NEXT: Final = f"""\
FROM {_NAMES_OF_NOW} CROSS JOIN folders below ON below.node = n.node
WHERE p.id > :after AND p.id <= :to"""

NEXT_PLACES: Final = f"INSERT INTO places (node, path) SELECT n.node, CAST(p.path || '/' || n.name AS BLOB) {_NEXT}"

MET_TWICE: Final = f"""\
WITH next AS (SELECT n.node, CAST(p.path || '/' || n.name AS BLOB) AS path {_NEXT})
SELECT path FROM next WHERE EXISTS (SELECT 1 FROM places q WHERE q.node = next.node AND q.path <> next.path)
UNION ALL SELECT max(path) FROM next GROUP BY node HAVING count(*) > 1
LIMIT 1"""

ORPHANS: Final = """\
SELECT count(*) FROM folders WHERE dump = :dump AND NOT EXISTS (SELECT 1 FROM places WHERE places.node = folders.node)
"""

_KIND: Final = "CASE WHEN g.node IS NULL THEN i.kind ELSE 'd' END"
_HOLDERS: Final = """\
LEFT JOIN folders g ON g.node = n.node
LEFT JOIN inodes i ON i.node = n.node AND (g.node IS NULL OR i.kind = 'd')"""

ENTRIES: Final = f"""\
SELECT p.path, n.name, {_KIND}, i.mode, i.uid, i.gid, i.size, i.mtime
FROM {_NAMES_OF_NOW} {_HOLDERS}
ORDER BY p.id"""

CHILD: Final = """\
SELECT n.node FROM folders f JOIN names n ON n.parent = f.node AND n.dump = f.dump
WHERE f.node = :parent AND n.name = :name"""

INDEX_NAMES: Final = "CREATE INDEX IF NOT EXISTS names_by_node ON names (node, dump)"

_PICK: Final = f"""\
INSERT INTO picked
SELECT coalesce(g.dump, i.dump), n.parent, n.name, CAST(%s || '/' || n.name AS BLOB), {_KIND}, n.node,
    CASE WHEN g.node IS NULL OR i.dump = g.dump THEN i.fh_info END, CASE WHEN g.node IS NULL THEN i.size END
FROM """

PICK_ONE: Final = f"{_PICK % ':folder'} folders f CROSS JOIN names n ON n.parent = f.node AND n.dump = f.dump\
 {_HOLDERS} WHERE f.node = :parent AND n.name = :name"

PICK_ROOT: Final = """\
INSERT INTO picked
SELECT f.dump, 0, x'', x'', 'd', f.node, i.fh_info, NULL
FROM folders f LEFT JOIN inodes i ON i.node = f.node AND i.kind = 'd' AND i.dump = f.dump WHERE f.node = :node"""

PICK_BELOW: Final = f"{_PICK % 'p.path'} {_NAMES_OF_NOW} {_HOLDERS}\
 WHERE p.path = :folder OR (p.path >= :after AND p.path < :before)"

PICKED: Final = """\
SELECT p.dump, p.parent, p.name, p.path, p.kind, p.node, p.fh_info, p.size, n.node IS NOT NULL
FROM picked p LEFT JOIN names n ON n.parent = p.parent AND n.dump = p.dump AND n.name = p.name AND n.node = p.node
ORDER BY p.dump, p.fh_info, p.path"""

NAME_IN_DUMP: Final = """\
SELECT parent, name FROM names WHERE node = :node AND dump <= :dump
ORDER BY dump DESC, parent = :parent AND name = :name DESC, parent, name LIMIT 1"""
