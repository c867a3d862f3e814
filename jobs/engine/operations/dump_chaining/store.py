"""The database of one merge: a file without a name on the node, a bounded piece of it in memory."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from ...errors import NoSpace

_SETTINGS = """\
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -65536;
PRAGMA temp_store = FILE;
"""


def open_store(tables: str) -> sqlite3.Connection:
    """Empty, with these tables. It lies where SQLite puts temporary files (SQLITE_TMPDIR, TMPDIR, /var/tmp)."""
    store = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    store.executescript(_SETTINGS)
    store.execute("BEGIN")
    for table in filter(None, map(str.strip, tables.split(";"))):
        store.execute(table)
    return store


@contextlib.contextmanager
def with_room() -> Iterator[None]:
    """What the disk refuses, in words."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
            raise
        raise NoSpace(
            "There is no room on the access node to put the file lists of the dumps over each other.",
            hint="Free space in its folder for temporary files, or let TMPDIR of its service name another one.",
        ) from error
