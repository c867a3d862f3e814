"""From a readable snapshot: everything it holds, or what the file system says has changed since an older one.

Only names and metadata are read. What a walk cannot read is left out and told, as a backup copy does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...events import FileFailed
from ...plan import SourceRoot
from ...source.changed import open_comparison
from ...source.diff import ChangedDirectory, ChangedEntry, Difference, DiffUnavailable
from ...source.listing import list_entries, open_directory
from ...source.node import DIRECTORY, SOCKET, TYPE_MASK, owner_names
from ...source.status import Status, source_entries, source_status, without_false_times
from ..copy_pipeline.context import RootContext
from ..copy_pipeline.roots import resolve_roots
from .entries import Change, Found, chain_of, gone

_KINDS: Final[dict[int, str]] = {
    0o100000: "f",
    0o040000: "d",
    0o120000: "l",
    0o060000: "b",
    0o020000: "c",
    0o010000: "p",
}
_PERMISSIONS: Final = 0o7777


@dataclass(frozen=True, slots=True, kw_only=True)
class Eyes:
    """What a look at a snapshot needs: ``beat`` is called for every directory and may raise, ``failed`` is told."""

    beat: Callable[[], None]
    failed: Callable[[FileFailed], None]


def list_snapshot(roots: Sequence[SourceRoot], eyes: Eyes) -> Iterator[Found]:
    """Everything below the content paths of an opened snapshot, and the folders above them.

    Raises SourceMissing, SourceUnavailable, SnapshotMissing, InvalidOptions.
    """
    resolved = resolve_roots(roots)
    yield from chain_of([os.fsencode(root.stored_as) or b"/" for root in resolved])
    for root in resolved:
        yield from _root_itself(root)
        yield from _walk(root, "", eyes)


def snapshot_changes(roots: Sequence[SourceRoot], eyes: Eyes) -> Iterator[Change]:
    """What changed since the older snapshot that every root names as its ``previous``.

    Raises :class:`~jobs.engine.source.diff.DiffUnavailable` before anything is told: then list it whole.
    """
    resolved = resolve_roots(roots)
    with ExitStack() as stack:
        looks = []
        for root in resolved:
            comparison = open_comparison(_previous(root), Path(root.directory or "/"))
            stack.callback(comparison.close)
            looks.append(_ChangedLook(root, comparison.find(eyes.beat), eyes))
        for look in looks:
            yield from _root_itself(look.root)
            yield from look.changes()


def _previous(root: RootContext) -> Path:
    if root.previous is None:
        raise DiffUnavailable("the older snapshot cannot be read")
    return Path(root.previous)


def _root_itself(root: RootContext) -> Iterator[Found]:
    """The content path's own row; the root of everything has none."""
    folder, _, name = os.fsencode(root.stored_as).rpartition(b"/")
    if name:
        where = root.directory or "/"
        yield _found(folder or b"/", name, source_status(os.stat(where), root.origins), None)


def _walk(root: RootContext, relative: str, eyes: Eyes) -> Iterator[Found]:
    """Everything below a directory, depth first, without recursion."""
    pending = [relative]
    while pending:
        at = pending.pop()
        eyes.beat()
        try:
            fd = open_directory(root.directory + at or "/")
        except OSError as error:
            _tell(root, at, error, eyes)
            continue
        try:
            entries, _sockets = list_entries(fd)
            if root.origins is not None:
                entries, unread = source_entries(entries, root.origins)
                for name, why in unread:
                    _tell(root, f"{at}/{name}", why, eyes)
            folder = _stored(root, at)
            for name, st in entries:
                if st.st_mode & TYPE_MASK == DIRECTORY:
                    pending.append(f"{at}/{name}")
                yield _found(folder, os.fsencode(name), st, fd)
        except OSError as error:
            _tell(root, at, error, eyes)
        finally:
            os.close(fd)


class _ChangedLook:
    """One content path of which is known what changed in it. Used once."""

    def __init__(self, root: RootContext, difference: Difference, eyes: Eyes) -> None:
        self.root = root
        self._eyes = eyes
        self._pending: list[tuple[str, ChangedDirectory]] = [("", difference.root)]

    def changes(self) -> Iterator[Change]:
        while self._pending:
            at, changed = self._pending.pop()
            self._eyes.beat()
            fd = open_directory(self.root.directory + at or "/")
            try:
                yield from self._directory(at, changed, fd)
            finally:
                os.close(fd)

    def _directory(self, at: str, changed: ChangedDirectory, fd: int) -> Iterator[Change]:
        names = dict.fromkeys(changed.entries)
        if changed.is_listed:
            here = os.listdir(fd)
            before = _names_before(self.root, at)
            yield from (gone(_stored(self.root, f"{at}/{name}")) for name in before.difference(here))
            names |= dict.fromkeys(name for name in here if name not in before)
        for name in names:
            yield from self._entry(f"{at}/{name}", changed.entries.get(name), fd)

    def _entry(self, path: str, entry: ChangedEntry | None, fd: int) -> Iterator[Change]:
        root, (at, _, name) = self.root, path.rpartition("/")
        try:
            st = without_false_times(os.stat(name, dir_fd=fd, follow_symlinks=False))
        except FileNotFoundError:
            yield gone(_stored(root, path))
            return
        stays = entry is not None and entry.origin == path
        if not stays:
            yield gone(_stored(root, path))
        kind = st.st_mode & TYPE_MASK
        if kind == SOCKET:
            return
        yield _found(_stored(root, at), os.fsencode(name), source_status(st, root.origins), fd)
        if kind == DIRECTORY and not stays:
            yield from _walk(root, path, self._eyes)
        elif kind == DIRECTORY and entry is not None and entry.below is not None:
            self._pending.append((path, entry.below))


def _names_before(root: RootContext, at: str) -> set[str]:
    """The names a directory had in the older snapshot; it is where it was."""
    try:
        fd = open_directory((root.previous or "") + at or "/")
    except FileNotFoundError:
        return set()
    try:
        return set(os.listdir(fd))
    finally:
        os.close(fd)


def _found(folder: bytes, name: bytes, st: Status, directory_fd: int | None) -> Found:
    kind = _KINDS.get(st.st_mode & TYPE_MASK, "o")
    user, group = owner_names(st.st_uid, st.st_gid)
    target = os.fsencode(os.readlink(name, dir_fd=directory_fd)) if kind == "l" else b""
    size = st.st_size if kind == "f" else 0
    mode = st.st_mode & _PERMISSIONS
    return Found(folder, name, kind, size, st.st_mtime_ns, mode, st.st_uid, st.st_gid, user, group, target)


def _stored(root: RootContext, relative: str) -> bytes:
    return os.fsencode(root.stored_as + relative) or b"/"


def _tell(root: RootContext, relative: str, error: OSError, eyes: Eyes) -> None:
    eyes.failed(FileFailed(path=_stored(root, relative), error=error.strerror or str(error)))
