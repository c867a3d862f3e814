"""RULES L6: the file lists of a full dump and what was built on it, put over each other: the tree of the last one.

On disk, whatever their size: the lists of a chain may name a hundred million files. Which dumps make a chain is
:func:`jobs.rules.levels.restore_chain`, where their lists lie in a repository :mod:`.dump_chaining.stored`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Self

from ..errors import HistoryUnusable
from ..ndmp.history_file import Form, read_history
from .catalog.entries import Found, below, is_inside
from .dump_chaining.by_nodes import ByNodes
from .dump_chaining.by_paths import ByPaths
from .dump_chaining.store import with_room
from .dump_chaining.values import Held, Lost, Wanted

__all__ = ["DumpChain", "Lost", "Wanted"]

_NS: Final = 10**9


def _ignore(_path: bytes) -> None:
    pass


class DumpChain:
    """Add the lists of one content path, the full's first; then ask. Used by one thread at a time, then closed.

    ``beat`` is called now and then and may raise. Everything raises HistoryUnusable for lists that cannot be followed
    (a loop, folders that nothing leads to, too deep, lists of two forms), and NoSpace.
    """

    def __init__(self, *, beat: Callable[[], None] = lambda: None) -> None:
        self.dumps = 0
        self._beat = beat
        self._merging: ByNodes | ByPaths | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        if self._merging is not None:
            self._merging.close()

    @property
    def shows_deletions(self) -> bool:
        """False = the file server told whole paths, so that files deleted since the full are still named."""
        return self.dumps == 1 or not isinstance(self._merging, ByPaths)

    def add(self, pieces: Iterable[bytes]) -> None:
        """The list of the next dump: the bytes of its ``.history``, cut anywhere."""
        header, batches = read_history(pieces)
        first = next(batches, None)
        number, self.dumps = self.dumps, self.dumps + 1
        if first is None:  # nothing changed
            return
        kind = ByPaths if header.form is Form.PATHS else ByNodes
        if self._merging is None:
            self._merging = kind(self._beat)
        elif not isinstance(self._merging, kind):
            raise HistoryUnusable("The file server listed the files of these dumps in two different ways.")
        try:
            with with_room():
                self._merging.add(number, header.root, _all(first, batches))
        except (ValueError, TypeError, LookupError, sqlite3.DataError, sqlite3.IntegrityError) as error:
            raise HistoryUnusable("The file list of the dump holds what makes no sense.") from error

    def entries(self, content: bytes, *, lost: Lost = _ignore) -> Iterator[Found]:
        """Everything at the point: the content path itself, then what is below it, each folder before its content.

        ``content`` is the absolute path that was dumped. What the file server does not know is 0. Sockets are in no
        catalog. ``lost`` is told what is named and lies in none of the dumps, relative to ``content``.
        """
        merging, top = self._ready(), content.rstrip(b"/")
        with with_room():
            entries = merging.entries(lost)
            if top:
                folder, _, name = top.rpartition(b"/")
                yield _found(folder or b"/", merging.root()._replace(name=name))
            for held in entries:
                if held.kind != "s":
                    yield _found((top + held.folder) or b"/", held)

    def wanted(self, paths: Sequence[bytes], *, lost: Lost = _ignore) -> Iterator[Wanted]:
        """What has to be fetched from which dump for these files and folders, with all that is in them.

        ``paths`` are those at the point, relative to the content path, ``b""`` all of it; one inside another is taken
        once. Ordered by dump, the full first, then by ``fh_info``. Raises NotInCopy for a path that was not there.
        """
        merging = self._ready()
        with with_room():
            yield from merging.wanted(_outermost(paths), lost)

    def holds(self, path: bytes) -> bool:
        """Whether a path, relative to the content path, was there at the point."""
        return self._ready().holds(_normal(path))

    def _ready(self) -> ByNodes | ByPaths:
        if self._merging is None:
            raise HistoryUnusable("The file list of the dump is empty.")
        return self._merging


def _all(first: list[list[object]], batches: Iterator[list[list[object]]]) -> Iterator[list[list[object]]]:
    yield first
    yield from batches


def _normal(path: bytes) -> bytes:
    return b"/".join(part for part in path.split(b"/") if part)


def _outermost(paths: Sequence[bytes]) -> list[bytes]:
    """Those that lie in no other, normalised, sorted."""
    kept: list[bytes] = []
    for path in sorted({below(b"/", _normal(path)) for path in paths}, key=lambda path: path.split(b"/")):
        if not kept or not is_inside(path, kept[-1]):
            kept.append(path)
    return [path[1:] for path in kept]


def _found(folder: bytes, held: Held) -> Found:
    _, name, kind, mode, uid, gid, size, mtime = held
    size_bytes = (size or 0) if kind == "f" else 0
    return Found(folder, name, kind, size_bytes, (mtime or 0) * _NS, mode or 0, uid or 0, gid or 0, "", "", b"")
