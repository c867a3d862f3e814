"""Lists of names and inodes put over each other: the newer wins, folder by folder and file by file.

As :func:`jobs.rules.chains.merge` does it with dictionaries. Of each folder in a dump all names of that moment are
known, so that deletions show; what was not copied again is found by its inode, wherever it is now.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, Final

from ...errors import HistoryUnusable, NotInCopy
from ...ndmp.history_tree import DEEPEST
from . import node_statements as sql
from .store import open_store
from .values import Batches, Held, Lost, Wanted, impossible, raw, shown, signed, unsigned

_DOTS: Final = frozenset({".", ".."})
_MOST_KNOWN: Final = 100_000
"""Ways to folders that are kept in memory."""


class ByNodes:
    """A :class:`~.values.Merging`."""

    def __init__(self, beat: Callable[[], None]) -> None:
        self._store = open_store(sql.TABLES)
        self._beat = beat
        self._roots: dict[int, int] = {}
        self._last = 0
        self._is_walked = False
        self._ways: dict[tuple[int, int], bytes] = {}

    def close(self) -> None:
        self._store.close()

    def add(self, dump: int, root: int | None, batches: Batches) -> None:
        for batch in batches:
            self._beat()
            names = [record for record in batch if record[0] == "d"]
            self._add_names(dump, names)
            self._add_inodes(dump, [record for record in batch if record[0] == "n"])
        self._store.execute(sql.NO_FOLDERS_ANY_MORE, {"dump": dump})
        found = signed(root) if root is not None else self._find_root(dump)
        if found is not None:
            self._roots[dump], self._last = found, dump
        self._is_walked = False

    def root(self) -> Held:
        row = self._store.execute(sql.ROOT, (self._root(),)).fetchone()
        return Held(b"", b"", "d", *(row or (None,) * 5))

    def entries(self, lost: Lost) -> Iterator[Held]:
        self._walk()
        for number, (folder, name, kind, *known) in enumerate(self._store.execute(sql.ENTRIES)):
            if number % 1_000 == 0:
                self._beat()
            if kind is None:
                lost((folder + b"/" + name)[1:])
            else:
                yield Held(folder, name, kind, *known)

    def wanted(self, paths: list[bytes], lost: Lost) -> Iterator[Wanted]:
        self._walk()
        self._store.execute(sql.INDEX_NAMES)
        self._store.execute("DELETE FROM picked")
        for path in paths:
            self._pick(path)
        rows = self._store.execute(sql.PICKED)
        for number, (dump, parent, name, path, kind, node, fh_info, size, was_so) in enumerate(rows):
            if number % 1_000 == 0:
                self._beat()
            if dump is None:
                lost(path[1:])
                continue
            original = self._way(dump, parent) + b"/" + name if was_so else self._original(dump, node, parent, name)
            yield Wanted(dump, original[1:], path[1:], kind, unsigned(node), unsigned(fh_info), size or 0)

    def holds(self, path: bytes) -> bool:
        return self._find(path) is not None

    def _add_names(self, dump: int, records: list[list[Any]]) -> None:
        if not records:
            return
        folders = {signed(record[1]) for record in records}
        self._store.executemany(sql.ADD_FOLDER, [(node, dump) for node in folders])
        rows = [
            (signed(parent), dump, raw(name), signed(node)) for _, parent, node, name in records if name not in _DOTS
        ]
        for _, _, name, _ in rows:
            if not name or b"/" in name or b"\0" in name:
                raise impossible(name)
        self._store.executemany(sql.ADD_NAME, rows)

    def _add_inodes(self, dump: int, records: list[list[Any]]) -> None:
        if not records:
            return
        rows = [
            (signed(node), dump, kind, mode, uid, gid, size, mtime, None if fh_info is None else signed(fh_info))
            for _, node, kind, mode, uid, gid, size, mtime, fh_info in records
        ]
        self._store.executemany(sql.ADD_INODE, rows)
        self._store.executemany(sql.ADD_FOLDER, [(row[0], dump) for row in rows if row[2] == "d"])

    def _find_root(self, dump: int) -> int | None:
        """The folder of this dump that no other one contains; None = it has no folders."""
        rows = self._store.execute(sql.UNCONTAINED, {"dump": dump}).fetchall()
        if len(rows) == 1:
            return int(rows[0][0])
        if not rows and self._store.execute("SELECT 1 FROM folders WHERE dump = ?", (dump,)).fetchone() is None:
            return None
        raise HistoryUnusable(f"The file list of a dump has {len(rows) or 'no'} roots instead of one.")

    def _root(self) -> int:
        if self._last not in self._roots:
            raise HistoryUnusable("The file list of the dump is empty.")
        return self._roots[self._last]

    def _walk(self) -> None:
        """A path for every folder that the root leads to. Raises HistoryUnusable for what cannot be a tree."""
        if self._is_walked:
            return
        self._store.execute("DELETE FROM places")
        self._store.execute("INSERT INTO places (id, node, path) VALUES (1, ?, x'')", (self._root(),))
        first, last = 0, 1
        for _ in range(DEEPEST + 1):
            self._beat()
            try:
                self._store.execute(sql.NEXT_PLACES, {"after": first, "to": last})
            except sqlite3.IntegrityError as error:
                raise self._loop(first, last) from error
            first, last = last, int(self._store.execute("SELECT max(id) FROM places").fetchone()[0])
            if first == last:
                break
        else:
            raise HistoryUnusable(f"The file list of the dump has more than {DEEPEST:,} folders inside each other.")
        (orphans,) = self._store.execute(sql.ORPHANS, {"dump": self._last}).fetchone()
        if orphans:
            raise HistoryUnusable(f"The file list of the dump has {orphans:,} folders that nothing leads to.")
        self._is_walked = True

    def _loop(self, first: int, last: int) -> HistoryUnusable:
        (path,) = self._store.execute(sql.MET_TWICE, {"after": first, "to": last}).fetchone()
        return HistoryUnusable(f"The file list of the dump loops: the folder {shown(path)} is met twice.")

    def _find(self, path: bytes) -> tuple[int, int, bytes] | None:
        """(node, node of its folder, name) of a path; None = it is not there."""
        node, parent, name = self._root(), 0, b""
        for name in filter(None, path.split(b"/")):
            row = self._store.execute(sql.CHILD, {"parent": node, "name": name}).fetchone()
            if row is None:
                return None
            node, parent = int(row[0]), node
        return node, parent, name

    def _pick(self, path: bytes) -> None:
        found = self._find(path)
        if found is None:
            raise NotInCopy(f"{shown(path)} was not there at this time.", hint="Browse the point to find the path.")
        node, parent, name = found
        if name:
            at = path.rpartition(b"/")[0]
            self._store.execute(sql.PICK_ONE, {"folder": b"/" + at if at else b"", "parent": parent, "name": name})
        else:
            self._store.execute(sql.PICK_ROOT, {"node": node})
        prefix = b"/" + path if path else b""
        given = {"folder": prefix, "after": prefix + b"/", "before": prefix + b"0"}
        self._store.execute(sql.PICK_BELOW, given)

    def _original(self, dump: int, node: int, parent: int, name: bytes) -> bytes:
        """The path in a dump, with a slash before it. Of names of one inode the one at the point is preferred."""
        if node == self._roots.get(dump):
            return b""
        row = self._name_in(dump, node, parent, name)
        return self._way(dump, row[0]) + b"/" + row[1]

    def _way(self, dump: int, folder: int) -> bytes:
        """The path of a folder in a dump."""
        above: list[tuple[int, bytes]] = []
        node = folder
        while (way := self._ways.get((dump, node))) is None and node != self._roots.get(dump):
            parent, name = self._name_in(dump, node, 0, b"")
            above.append((node, name))
            node = parent
            if len(above) > DEEPEST:
                raise HistoryUnusable("The file list of a dump of the chain loops.")
        way = way or b""
        if len(self._ways) > _MOST_KNOWN:
            self._ways.clear()
        for node, name in reversed(above):
            way += b"/" + name
            self._ways[dump, node] = way
        return way

    def _name_in(self, dump: int, node: int, parent: int, name: bytes) -> tuple[int, bytes]:
        given = {"node": node, "dump": dump, "parent": parent, "name": name}
        row = self._store.execute(sql.NAME_IN_DUMP, given).fetchone()
        if row is None:
            raise HistoryUnusable(f"The file list of a dump of the chain does not say where {shown(name)} lies in it.")
        return int(row[0]), bytes(row[1])
