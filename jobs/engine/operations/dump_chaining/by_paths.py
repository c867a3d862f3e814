"""Lists of whole paths put over each other: the newest word about each path counts.

Such a list names what is in its dump and nothing else, so a deletion never shows. Paths are kept with NUL for the
slash: then a folder stands right before all that is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from ...errors import HistoryUnusable, NotInCopy
from ...ndmp.history_tree import DEEPEST
from .store import open_store
from .values import Batches, Held, Lost, Wanted, impossible, raw, shown, signed, unsigned

_TABLES: Final = """\
CREATE TABLE entries (
    path BLOB PRIMARY KEY, dump INTEGER NOT NULL, node INTEGER, kind TEXT NOT NULL, mode INTEGER, uid INTEGER,
    gid INTEGER, size INTEGER, mtime INTEGER, fh_info INTEGER
) WITHOUT ROWID;
CREATE TABLE picked (
    dump INTEGER, path BLOB, kind TEXT, node INTEGER, fh_info INTEGER, size INTEGER
)
"""
_NOBODY: Final = -1


class _Row(NamedTuple):
    """``dump`` _NOBODY = a folder that no list names, though something is in it."""

    path: bytes
    dump: int
    node: int | None
    kind: str
    mode: int | None
    uid: int | None
    gid: int | None
    size: int | None
    mtime: int | None
    fh_info: int | None


class ByPaths:
    """A :class:`~.values.Merging`."""

    def __init__(self, beat: Callable[[], None]) -> None:
        self._store = open_store(_TABLES)
        self._beat = beat

    def close(self) -> None:
        self._store.close()

    def add(self, dump: int, root: int | None, batches: Batches) -> None:
        for batch in batches:
            self._beat()
            rows = [_entry(dump, *record[1:]) for record in batch if record[0] == "f"]
            self._store.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def root(self) -> Held:
        row = self._store.execute("SELECT * FROM entries WHERE path = x'' AND kind = 'd'").fetchone()
        return _held(_Row(*row)) if row is not None else Held(b"", b"", "d")

    def entries(self, lost: Lost) -> Iterator[Held]:
        for row in self._rows(b""):
            if row.path:
                yield _held(row)

    def wanted(self, paths: list[bytes], lost: Lost) -> Iterator[Wanted]:
        self._store.execute("DELETE FROM picked")
        for path in paths:
            if not self.holds(path):
                raise NotInCopy(f"{shown(path)} was not there at this time.", hint="Browse the point to find the path.")
            found = (
                (row.dump, row.path, row.kind, row.node, row.fh_info, row.size)
                for row in self._rows(path.replace(b"/", b"\0"))
                if row.dump != _NOBODY
            )
            self._store.executemany("INSERT INTO picked VALUES (?, ?, ?, ?, ?, ?)", found)
        for dump, key, kind, node, fh_info, size in self._store.execute(
            "SELECT * FROM picked ORDER BY dump, fh_info, path"
        ):
            path = key.replace(b"\0", b"/")
            yield Wanted(dump, path, path, kind, unsigned(node), unsigned(fh_info), (size or 0) if kind != "d" else 0)

    def holds(self, path: bytes) -> bool:
        return not path or next(self._rows(path.replace(b"/", b"\0")), None) is not None

    def _rows(self, key: bytes) -> Iterator[_Row]:
        """What is at a path and below, each folder before what is in it, also folders that no list names.

        ``above`` are the folders on the way to where the walk is, each with the newest dump of which nothing below
        counts: what is older than a file in its place is no more.
        """
        above = self._files_on_the_way(key)
        rows = self._selected(key)
        row, number = next(rows, None), 0
        while row is not None:
            following, number = next(rows, None), number + 1
            if number % 1_000 == 0:
                self._beat()
            while above and not row.path.startswith(above[-1][0]):
                above.pop()
            if not any(row.dump <= since for _, since in above):
                yield from _unnamed_folders(row.path, key, above)
                below = row.path and row.path + b"\0"
                if row.kind == "d":
                    above.append((below, _NOBODY))
                elif following is not None and following.path.startswith(below):
                    above.append((below, row.dump))
                yield _folder(row.path) if row.kind != "d" and self._is_newer_below(row, following) else row
            row = following

    def _selected(self, key: bytes) -> Iterator[_Row]:
        if not key:
            return map(_Row._make, self._store.execute("SELECT * FROM entries ORDER BY path"))
        span = (key, key + b"\1")
        return map(
            _Row._make, self._store.execute("SELECT * FROM entries WHERE path >= ? AND path < ? ORDER BY path", span)
        )

    def _files_on_the_way(self, key: bytes) -> list[tuple[bytes, int]]:
        found = []
        for at in _cuts(key):
            row = self._store.execute("SELECT dump FROM entries WHERE path = ? AND kind <> 'd'", (key[:at],)).fetchone()
            if row is not None:
                found.append((key[: at + 1], int(row[0])))
        return found

    def _is_newer_below(self, row: _Row, following: _Row | None) -> bool:
        """Whether a file became a folder since."""
        if following is None or not following.path.startswith(row.path + b"\0"):
            return False
        span = (row.path + b"\0", row.path + b"\1", row.dump)
        found = self._store.execute("SELECT 1 FROM entries WHERE path > ? AND path < ? AND dump > ? LIMIT 1", span)
        return found.fetchone() is not None


def _entry(dump: int, path: str, node: int | None, kind: str, *known: int | None) -> tuple[object, ...]:
    key, (*plain, fh_info) = _key(path), known
    return (
        key,
        dump,
        None if node is None else signed(node),
        kind if key else "d",
        *plain,
        None if fh_info is None else signed(fh_info),
    )


def _key(text: str) -> bytes:
    """``./a//b/`` is a, NUL, b; a path may not lead out of the content path."""
    path = raw(text)
    parts = [part for part in path.split(b"/") if part not in {b"", b"."}]
    if b".." in parts or b"\0" in path:
        raise impossible(path)
    if len(parts) > DEEPEST:
        raise HistoryUnusable(f"The file list of the dump has more than {DEEPEST:,} folders inside each other.")
    return b"\0".join(parts)


def _cuts(key: bytes) -> Iterator[int]:
    """Where the names of a path end, but for the last one."""
    at = key.find(b"\0")
    while at >= 0:
        yield at
        at = key.find(b"\0", at + 1)


def _unnamed_folders(path: bytes, start: bytes, above: list[tuple[bytes, int]]) -> Iterator[_Row]:
    known = {prefix for prefix, _ in above}
    for at in _cuts(path):
        if at >= len(start) and path[: at + 1] not in known:
            above.append((path[: at + 1], _NOBODY))
            yield _folder(path[:at])


def _folder(path: bytes) -> _Row:
    return _Row(path, _NOBODY, None, "d", None, None, None, None, None, None)


def _held(row: _Row) -> Held:
    folder, _, name = row.path.replace(b"\0", b"/").rpartition(b"/")
    return Held(folder and b"/" + folder, name, row.kind, row.mode, row.uid, row.gid, row.size, row.mtime)
