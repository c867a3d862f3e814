"""What a merged chain of file lists is made of, whichever form the lists have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from ...errors import HistoryUnusable

Batches = Iterable[list[list[Any]]]
Lost = Callable[[bytes], None]
"""Is told each path, relative to the content path, that the lists name and that lies in none of the dumps."""


class Held(NamedTuple):
    """An entry at the point. ``folder`` is ``b""`` or ``b"/a/b"``; None where the file server did not say."""

    folder: bytes
    name: bytes
    kind: str
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    mtime: int | None = None


class Wanted(NamedTuple):
    """Something to fetch from a dump of the chain, and where it belongs.

    ``dump`` counts the dumps from 0, the full. ``original`` is its path in that dump, ``path`` the one at the point:
    they differ where a folder above was renamed since. Both are relative to the content path, without a slash at either
    end; ``b""`` is the content path itself. ``kind`` is a letter as in :mod:`jobs.engine.ndmp.history_file`. A folder
    stands for itself alone: what is in it comes one by one, also from other dumps. ``size`` 0 = unknown or no file.
    """

    dump: int
    original: bytes
    path: bytes
    kind: str
    node: int | None
    fh_info: int | None
    size: int


class Merging(Protocol):
    """The lists of one form, oldest added first. Raises HistoryUnusable, NotInCopy."""

    def add(self, dump: int, root: int | None, batches: Batches) -> None: ...

    def root(self) -> Held:
        """The content path itself, nameless."""

    def entries(self, lost: Lost) -> Iterator[Held]:
        """Everything below the content path, each folder before what is in it."""

    def wanted(self, paths: list[bytes], lost: Lost) -> Iterator[Wanted]:
        """Of normalised paths, none below another; ordered by dump, then by place in its image."""

    def holds(self, path: bytes) -> bool: ...


def raw(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def signed(number: int) -> int:
    """64 bits as SQLite has them."""
    return number if number < 1 << 63 else number - (1 << 64)


def unsigned(number: int | None) -> int | None:
    return number if number is None or number >= 0 else number + (1 << 64)


def shown(path: bytes) -> str:
    return f"“{path[:200].decode('utf-8', 'backslashreplace')}”"


def impossible(name: bytes) -> HistoryUnusable:
    return HistoryUnusable(f"The file list of a dump has the impossible name {shown(name)}.")
