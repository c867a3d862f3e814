"""A live directory tree made equal to a snapshot of it, in place: what differs is replaced, what is new is removed.

Mounts and nested subvolumes in the live tree are no part of a snapshot and are never touched, nor is anything that the
snapshot could not read. One thread goes through it, depth first, and opens live directories name by name from the top,
so that no link that somebody puts in the way leads out. Cut off anywhere, it is simply done again.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from typing import Final

from ..errors import SourceUnavailable
from ..events import Control
from .base import Change, SnapshotRoot
from .deep_paths import open_below, open_directory
from .entry_revert import EntryReverter, Wanted, wanted_entries
from .file_copy import SourceReadError
from .metadata import Attributes, read_attributes
from .origins import Origins
from .revert_report import RevertReport
from .storage_errors import live_error

_ENDS_IT: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENXIO, errno.ENODEV, errno.ENOTCONN}
)
"""Errors of the live side that are of the whole file system, not of one entry."""

_UNREAD: Final = "it could not be read when the snapshot was taken"
_OTHER_SYSTEM: Final = "it is another file system or subvolume"

Entries = dict[bytes, os.stat_result]


class _Folder:
    """A directory under way. ``source`` None = it came after the snapshot and goes, unless something in it stays.

    Descriptors of both sides are open (else -1) while its entries are handled.
    """

    __slots__ = (
        "attributes",
        "is_new",
        "live_fd",
        "parent",
        "parts",
        "source",
        "source_fd",
        "stays",
        "touched",
        "wanted",
    )

    def __init__(self, parts: tuple[bytes, ...], parent: _Folder | None, *, source: bytes | None) -> None:
        self.parts = parts
        self.parent = parent
        self.source = source
        self.source_fd = self.live_fd = -1
        self.wanted: Wanted | None = None
        self.attributes: Attributes = []
        self.is_new = False
        self.touched = False
        self.stays = False

    @property
    def goes(self) -> bool:
        return self.source is None

    def close(self) -> None:
        for fd in (self.source_fd, self.live_fd):
            if fd >= 0:
                os.close(fd)
        self.source_fd = self.live_fd = -1


class TreeReverter:
    """Reverts content paths of one snapshot. ``keep`` holds (device, inode) of live directories that are left alone.

    ``cross_file_systems``: the snapshot holds what was mounted below. ``is_dry``: nothing is changed, only counted.
    """

    def __init__(
        self,
        control: Control,
        report: RevertReport,
        *,
        keep: Iterable[tuple[int, int]] = (),
        cross_file_systems: bool = False,
        is_dry: bool = False,
    ) -> None:
        self._control = control
        self._report = report
        self._entries = EntryReverter(control.check, report.warn)
        self._keep = frozenset(keep)
        self._cross = cross_file_systems
        self._is_dry = is_dry
        self._root = -1
        self._device = 0
        self._live = b""
        self._origins: Origins | None = None

    def revert(self, root: SnapshotRoot, live: str) -> None:
        """Make the directory ``live`` what it is in the snapshot; one that is missing is told by a dry run only.

        Raises SnapshotMissing, SourceUnavailable, NoSpace, TargetRefused and what the control raises.
        """
        self._live = os.fsencode(os.path.realpath(live))
        self._origins = Origins(root.origins) if root.origins is not None else None
        top = _Folder((), None, source=os.fsencode(root.directory))
        status = os.stat(root.directory)
        top.wanted = wanted_entries({b"": status}, self._origins)[b""]
        if top.wanted.error:
            raise SourceUnavailable(f"“{live}” {_UNREAD.removeprefix('it ')}, so there is nothing to go back to.")
        try:
            self._root = os.open(self._live, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._device = os.fstat(self._root).st_dev
        except FileNotFoundError:
            top.is_new = True
        try:
            self._go_through(top)
        except OSError as error:
            raise live_error(error, live) from error
        finally:
            if self._root >= 0:
                os.close(self._root)
                self._root = -1

    def _go_through(self, top: _Folder) -> None:
        """Every directory before and after what is below it, without recursion: trees may be very deep."""
        stack: list[tuple[_Folder, bool]] = [(top, False)]
        while stack:
            folder, is_done = stack.pop()
            self._control.check()
            try:
                if is_done:
                    self._leave(folder)
                else:
                    stack.append((folder, True))
                    stack += [(below, False) for below in reversed(self._enter(folder))]
            except OSError as error:
                self._fail(folder, error)

    def _enter(self, folder: _Folder) -> list[_Folder]:
        """Handle what is no directory; the directories in it."""
        try:
            if not (folder.is_new and self._is_dry):
                folder.live_fd = open_below(self._root, folder.parts)
            live = _list(folder.live_fd) if folder.live_fd >= 0 else {}
            if folder.source is None:
                return self._clear(folder, live)
            snapshot = self._open_source(folder, folder.source)
            below = self._clear(folder, {name: status for name, status in live.items() if name not in snapshot})
            for name, wanted in wanted_entries(snapshot, self._origins).items():
                below += self._settle_entry(folder, name, wanted, live.get(name))
            return below
        except SourceReadError as trouble:
            folder.wanted = None
            self._report.fail(self._path(folder), OSError(trouble.number, ""))
            return []
        finally:
            folder.close()

    def _open_source(self, folder: _Folder, source: bytes) -> Entries:
        """The snapshot's side. Raises SourceReadError."""
        try:
            folder.source_fd = open_directory(source)
            found = _list(folder.source_fd)
        except OSError as error:
            raise SourceReadError(error.errno or errno.EIO) from error
        folder.attributes = read_attributes(folder.source_fd)
        return found

    def _clear(self, folder: _Folder, extra: Entries) -> list[_Folder]:
        """Remove what the snapshot has not; directories are returned, to be cleared themselves."""
        below = []
        for name, status in extra.items():
            path = self._path(folder, name)
            if not stat.S_ISDIR(status.st_mode):
                self._remove(folder, name, path)
            elif (status.st_dev, status.st_ino) in self._keep:
                folder.stays = True
            elif status.st_dev != self._device:
                folder.stays = True
                self._report.stays(path, _OTHER_SYSTEM)
            else:
                below.append(_Folder((*folder.parts, name), folder, source=None))
        return below

    def _remove(self, folder: _Folder, name: bytes, path: bytes) -> None:
        try:
            if not self._is_dry:
                os.unlink(name, dir_fd=folder.live_fd)
        except OSError as error:
            self._refuse(folder, path, error)
            return
        folder.touched = True
        self._report.count(Change.REMOVED, path)

    def _settle_entry(self, folder: _Folder, name: bytes, wanted: Wanted, live: os.stat_result | None) -> list[_Folder]:
        self._control.check()
        path = self._path(folder, name)
        if wanted.error:
            self._report.stays(path, _UNREAD)
            return []
        if live is not None and stat.S_ISDIR(live.st_mode):
            if (live.st_dev, live.st_ino) in self._keep:
                return []
            if live.st_dev != self._device and not self._cross:
                self._report.stays(path, _OTHER_SYSTEM)
                return []
        try:
            if wanted.is_directory:
                return [self._descend(folder, name, wanted, live)]
            if live is not None and stat.S_ISDIR(live.st_mode):
                return [self._put_for_directory(folder, name, wanted)]
            if live is None or not wanted.is_still(live):
                self._put(folder, name, wanted, live)
            self._entries.remember(wanted, folder.parts, name)
        except SourceReadError as trouble:
            self._report.fail(path, OSError(trouble.number, ""))
        except OSError as error:
            self._refuse(folder, path, error)
        return []

    def _descend(self, folder: _Folder, name: bytes, wanted: Wanted, live: os.stat_result | None) -> _Folder:
        below = _Folder((*folder.parts, name), folder, source=(folder.source or b"") + b"/" + name)
        below.wanted = wanted
        below.is_new = live is None or not stat.S_ISDIR(live.st_mode)
        if not below.is_new:
            return below
        if not self._is_dry:
            if live is not None:
                os.unlink(name, dir_fd=folder.live_fd)
            os.mkdir(name, 0o700, dir_fd=folder.live_fd)
        folder.touched = True
        self._report.count(Change.CREATED if live is None else Change.REPLACED, self._path(below))
        return below

    def _put_for_directory(self, folder: _Folder, name: bytes, wanted: Wanted) -> _Folder:
        """A live directory where the snapshot has a file: out of the way, and cleared once the file is there."""
        aside = name if self._is_dry else self._entries.temporary()
        if not self._is_dry:
            os.rename(name, aside, src_dir_fd=folder.live_fd, dst_dir_fd=folder.live_fd)
        try:
            self._put(folder, name, wanted, None)
        except BaseException:
            os.rename(aside, name, src_dir_fd=folder.live_fd, dst_dir_fd=folder.live_fd)
            raise
        self._entries.remember(wanted, folder.parts, name)
        return _Folder((*folder.parts, aside), folder, source=None)

    def _put(self, folder: _Folder, name: bytes, wanted: Wanted, live: os.stat_result | None) -> None:
        if not self._is_dry and not self._link_to_first(folder, name, wanted, live):
            self._entries.replace(name, wanted, source_fd=folder.source_fd, live_fd=folder.live_fd)
        folder.touched = True
        self._report.count(Change.CREATED if live is None else Change.REPLACED, self._path(folder, name))

    def _link_to_first(self, folder: _Folder, name: bytes, wanted: Wanted, live: os.stat_result | None) -> bool:
        """Whether it is another name of an inode that is in place already, and now is linked to it."""
        first = self._entries.first_name(wanted)
        if first is None:
            return False
        parts, first_name = first
        first_fd = open_below(self._root, parts)
        try:
            there = os.stat(first_name, dir_fd=first_fd, follow_symlinks=False)
            if live is None or (there.st_dev, there.st_ino) != (live.st_dev, live.st_ino):
                self._entries.link(name, first_name, first_fd=first_fd, live_fd=folder.live_fd)
        finally:
            os.close(first_fd)
        return True

    def _leave(self, folder: _Folder) -> None:
        """All below is done: the directory's own metadata, or its removal."""
        if folder.goes:
            self._remove_folder(folder)
        elif not self._is_dry and folder.wanted is not None:
            live_fd = open_below(self._root, folder.parts)
            try:
                if folder.touched or folder.is_new or not folder.wanted.is_still(os.fstat(live_fd)):
                    self._entries.settle(live_fd, folder.wanted, folder.attributes)
            finally:
                os.close(live_fd)

    def _remove_folder(self, folder: _Folder) -> None:
        parent = folder.parent
        if parent is None:
            return
        if folder.stays:
            parent.stays = True
            return
        if not self._is_dry:
            parent_fd = open_below(self._root, parent.parts)
            try:
                os.rmdir(folder.parts[-1], dir_fd=parent_fd)
            finally:
                os.close(parent_fd)
        parent.touched = True
        self._report.count(Change.REMOVED, self._path(folder))

    def _fail(self, folder: _Folder, error: OSError) -> None:
        """The directory itself cannot be opened, settled or removed: it stays as far as it is."""
        self._refuse(folder, self._path(folder), error)
        folder.wanted = None
        if folder.parent is not None and folder.goes:
            folder.parent.stays = True

    def _refuse(self, folder: _Folder, path: bytes, error: OSError) -> None:
        """One entry could not be changed; what is of the whole file system is raised."""
        if error.errno in _ENDS_IT:
            raise error
        folder.stays = True
        self._report.fail(path, error)

    def _path(self, folder: _Folder, name: bytes = b"") -> bytes:
        return b"/".join((self._live, *folder.parts, *((name,) if name else ())))


def _list(directory: int) -> Entries:
    """Entries with their status; one that vanishes meanwhile is left out. Raises OSError."""
    found: Entries = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                found[os.fsencode(entry.name)] = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
    return found
