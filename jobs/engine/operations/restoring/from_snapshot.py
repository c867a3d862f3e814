"""Restoring from an opened snapshot: directories and files as they are on the storage, the primary's or a replica's.

Entries become the same nodes as those of a backup copy of this snapshot: owners and rights of a copied snapshot come
from its table of origins, sockets are left out, and the access time is the time of change. Nothing is followed through
a link. No digest proves a file here, so lengths are compared, and what was written is read back.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from ...errors import NotInCopy, SourceUnavailable
from ...ids import BlobId
from ...plan import SourceRoot
from ...repository.tree import Node, NodeKind
from ...source.listing import list_entries, open_file
from ...source.node import NODE_TYPES, TYPE_MASK
from ...source.status import Status, source_entries, source_status
from ..copy_pipeline.context import RootContext
from ..copy_pipeline.roots import resolve_roots
from .directories import Directories
from .fetching import PackPlace, Want
from .items import FileJob, FolderItem, Parts, SegmentItem
from .selection import display, split_path
from .source import Listing, Unread, UnreadError

Target = TypeVar("Target")

PIECE_BYTES: Final = 4 << 20
"""Files are read in pieces of this size. The “id” of a piece is its length: nothing else is known before it is read."""
_ID_BYTES: Final = 32
_SUBTREE: Final = BlobId(bytes(_ID_BYTES))
_NOWHERE: Final[PackPlace] = (-1, 0, 0, 0)
_AWAY: Final = frozenset({errno.ESTALE, errno.ENXIO, errno.ENODEV, errno.ENOTCONN, errno.ESHUTDOWN, errno.EHOSTDOWN})
"""What a whole file system says that is gone."""


class OpenedSnapshot:
    """The roots of a snapshot that its driver holds open. Works after ``fork``; for one thread of each process.

    Closed before its driver closes the snapshot: what is open in a mounted clone keeps it from being unmounted.
    """

    must_be_read_back = True

    def __init__(self, roots: Sequence[SourceRoot]) -> None:
        """Raises SourceMissing, SourceUnavailable, SnapshotMissing, InvalidOptions."""
        self._roots = resolve_roots(roots)
        self._above = _levels_above(self._roots)
        self._pid = os.getpid()
        self._directories: dict[int, Directories] = {}

    def close(self) -> None:
        """What this process opened."""
        if self._pid == os.getpid():
            while self._directories:
                self._directories.popitem()[1].close()

    def check(self, path: bytes) -> None:
        """Raises NotInCopy if a stored path is not in the snapshot."""
        parts = split_path(path)
        stored = b"".join(b"/" + part for part in parts)
        if stored in self._above:
            return
        try:
            root, below = self._place(stored)
            if below:
                os.stat(below[-1], dir_fd=self._open(root).fd(below[:-1]), follow_symlinks=False)
        except OSError as error:
            raise NotInCopy(
                f"“{display(parts)}” is not in this snapshot.",
                hint="Browse the snapshot to find the path, or choose another one.",
            ) from error

    def check_directory(self, path: bytes) -> None:
        """Raises NotInCopy if a stored path is no directory of the snapshot."""
        self.check(path)
        parts = split_path(path)
        stored = b"".join(b"/" + part for part in parts)
        if stored not in self._above:
            try:
                self._fd(stored)
            except OSError as error:
                raise NotInCopy(f"“{display(parts)}” is not a directory in this snapshot.") from error

    def listing(self, item: FolderItem) -> Listing:
        return self.listing_of(item.path)

    def listing_of(self, path: bytes) -> Listing:
        """A directory by its stored path, empty = the one above all. Raises as :meth:`listing`."""
        level = self._above.get(path)
        try:
            if level is not None:
                return Listing([self._node_above(path, name, level[name]) for name in sorted(level)])
            root, fd = self._fd(path)
            return _listed(fd, root)
        except OSError as error:
            raise UnreadError(self.unread(error)) from error

    def tree_places(self, nodes: Sequence[Node]) -> list[PackPlace]:
        return [_NOWHERE] * len(nodes)

    def contents(self, on_read: Callable[[int], None]) -> SnapshotContents:
        return SnapshotContents(self, on_read)

    def missing(self, node: Node) -> str:
        return ""

    def open(self, path: bytes) -> int:
        """A descriptor of a regular file by its stored path. Raises OSError."""
        folder, _, name = path.rpartition(b"/")
        _root, fd = self._fd(folder)
        return open_file(os.fsdecode(name), fd)

    def unread(self, error: OSError) -> Unread:
        """What one entry's failure means. Raises SourceUnavailable if all of the snapshot is gone."""
        is_away = error.errno in _AWAY or not all(os.path.isdir(root.directory or "/") for root in self._roots)
        if is_away:
            raise SourceUnavailable(
                f"The snapshot cannot be read any more: {os.strerror(error.errno or 0)}.",
                hint="Check the storage and that nobody deleted the snapshot, then resume the job.",
            ) from error
        code = "file-vanished" if error.errno == errno.ENOENT else "file-unreadable"
        return Unread(f"it cannot be read in the snapshot ({os.strerror(error.errno or 0)})", code)

    def _place(self, stored: bytes) -> tuple[int, Parts]:
        """(number of the root that holds a path, names below it). Raises OSError if none does."""
        for number, root in enumerate(self._roots):
            outer = os.fsencode(root.stored_as)
            if stored == outer or stored.startswith(outer + b"/"):
                return number, split_path(stored[len(outer) :])
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    def _fd(self, stored: bytes) -> tuple[RootContext, int]:
        number, below = self._place(stored)
        return self._roots[number], self._open(number).fd(below)

    def _open(self, number: int) -> Directories:
        """One root's directories, opened by this process."""
        if self._pid != os.getpid():
            self._pid, self._directories = os.getpid(), {}
        found = self._directories.get(number)
        if found is None:
            found = self._directories[number] = Directories(os.fsencode(self._roots[number].directory) or b"/")
        return found

    def _node_above(self, folder: bytes, name: bytes, number: int) -> Node:
        """A root, or a directory on the way to one: with the metadata of the live one, or those of the first root."""
        root = self._roots[number]
        stored = folder + b"/" + name
        if stored != os.fsencode(root.stored_as):
            try:
                live = os.stat(stored)
                if stat.S_ISDIR(live.st_mode):
                    return _node(name, live, live, stored)
            except OSError:
                pass
        where = os.fsencode(root.directory) or b"/"
        st = os.stat(where)
        return _node(name, st, source_status(st, root.origins), where)


class SnapshotContents:
    """Reads files of the snapshot for one worker. ``pack`` of a place is the number of the file."""

    batches = 1

    def __init__(self, snapshot: OpenedSnapshot, on_read: Callable[[int], None]) -> None:
        self._snapshot = snapshot
        self._on_read = on_read
        self._files: list[tuple[bytes, int]] = []

    def locate(self, jobs: Sequence[FileJob]) -> list[list[PackPlace]]:
        self._files = [(job.path, job.node.size) for job in jobs]
        return [_places(number, job.node.content, 0) for number, job in enumerate(jobs)]

    def locate_segment(self, item: SegmentItem) -> list[Want[None]]:
        self._files = [(item.path, -1)]
        wants: list[Want[None]] = []
        for at, ids in item.ranges():
            wants += [(*place, blob, None, place[1]) for place, blob in zip(_places(0, ids, at), ids, strict=True)]
        return wants

    def read(self, wants: list[Want[Target]]) -> Iterator[tuple[Want[Target], bytes | Unread]]:
        """File by file, each from its beginning to its end."""
        wants.sort(key=_by_place)
        start = 0
        while start < len(wants):
            end = start + 1
            while end < len(wants) and wants[end][0] == wants[start][0]:
                end += 1
            yield from self._read_file(wants[start:end], *self._files[wants[start][0]])
            start = end

    def _read_file(
        self, wants: list[Want[Target]], path: bytes, size: int
    ) -> Iterator[tuple[Want[Target], bytes | Unread]]:
        """``size`` below 0: only a part is read."""
        try:
            fd = self._snapshot.open(path)
        except OSError as error:
            unread = self._snapshot.unread(error)
            yield from ((want, unread) for want in wants)
            return
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_size != (size if size >= 0 else status.st_size):
                yield from ((want, _CHANGED) for want in wants)
                return
            for want in wants:
                yield want, self._read_piece(fd, want[1], want[2])
        finally:
            os.close(fd)

    def _read_piece(self, fd: int, offset: int, length: int) -> bytes | Unread:
        try:
            if _is_hole(fd, offset, length):
                return bytes(length)
            self._on_read(length)
            data = _read_at(fd, offset, length)
        except OSError as error:
            return self._snapshot.unread(error)
        return data if len(data) == length else _CHANGED

    def holds(self, job: FileJob, number: int, at: int, data: bytes) -> bool:
        self._on_read(len(data))
        fd = self._snapshot.open(job.path)
        try:
            return _read_at(fd, at, len(data)) == data
        finally:
            os.close(fd)


_CHANGED: Final = Unread("it is not as long in the snapshot as it was when it was found", "file-changed")


def _by_place(want: Want[Target]) -> tuple[int, int]:
    return want[:2]


def _places(number: int, ids: Sequence[BlobId], offset: int) -> list[PackPlace]:
    places: list[PackPlace] = []
    for piece in ids:
        length = int.from_bytes(piece, "big")
        places.append((number, offset, length, length))
        offset += length
    return places


def _pieces(size: int) -> tuple[BlobId, ...]:
    """The content of a file of ``size`` bytes, as pieces yet to be read."""
    whole, rest = divmod(size, PIECE_BYTES)
    pieces = (BlobId(PIECE_BYTES.to_bytes(_ID_BYTES, "big")),) * whole
    return (*pieces, BlobId(rest.to_bytes(_ID_BYTES, "big"))) if rest else pieces


def _is_hole(fd: int, offset: int, length: int) -> bool:
    """Whether nothing was ever written in this part of a file; False where the file system cannot tell."""
    try:
        return os.lseek(fd, offset, os.SEEK_DATA) >= offset + length
    except OSError as error:
        return error.errno == errno.ENXIO and os.fstat(fd).st_size >= offset + length


def _read_at(fd: int, offset: int, length: int) -> bytes:
    """Up to ``length`` bytes, fewer only at the end of the file. Raises OSError."""
    data = os.pread(fd, length, offset)
    if len(data) in {0, length}:
        return data
    parts = [data]
    got = len(data)
    while got < length and (data := os.pread(fd, length - got, offset + got)):
        parts.append(data)
        got += len(data)
    return b"".join(parts)


def _levels_above(roots: Sequence[RootContext]) -> dict[bytes, dict[bytes, int]]:
    """The directories above the roots by path, each with its names and the first root below each."""
    above: dict[bytes, dict[bytes, int]] = {}
    for number, root in enumerate(roots):
        path = b""
        for part in split_path(os.fsencode(root.stored_as)):
            above.setdefault(path, {}).setdefault(part, number)
            path += b"/" + part
    return above


def _listed(fd: int, root: RootContext) -> Listing:
    entries, _sockets = list_entries(fd)
    inside = dict(entries)
    lost: list[tuple[bytes, Unread]] = []
    if root.origins is not None:
        entries, missed = source_entries(entries, root.origins)
        lost = [(os.fsencode(name), _unread_then(error)) for name, error in missed]
    nodes: list[Node] = []
    for name, status in entries:
        raw = os.fsencode(name)
        try:
            nodes.append(_node(raw, inside[name], status, b"/proc/self/fd/%d/%s" % (fd, raw)))
        except OSError as error:
            lost.append((raw, Unread(f"it cannot be read in the snapshot ({error.strerror})", "file-unreadable")))
    return Listing(nodes, tuple(lost))


def _unread_then(error: OSError) -> Unread:
    return Unread(f"it could not be read when the snapshot was taken ({error.strerror})", "file-unreadable")


def _node(name: bytes, inside: Status, status: Status, where: bytes) -> Node:
    """``inside`` is the entry's ``lstat`` in the snapshot, ``status`` what it was at the source. Raises OSError."""
    kind = NodeKind(NODE_TYPES.get(status.st_mode & TYPE_MASK, NodeKind.IRREGULAR.value))
    is_file, is_directory = kind is NodeKind.FILE, kind is NodeKind.DIRECTORY
    size = status.st_size if is_file else 0
    return Node(
        name,
        kind,
        stat.S_IMODE(status.st_mode),
        status.st_mtime_ns,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_uid,
        status.st_gid,
        "",
        "",
        inside.st_ino,
        inside.st_dev,
        size,
        1 if is_directory else inside.st_nlink,
        os.readlink(where) if kind is NodeKind.SYMLINK else b"",
        status.st_rdev if kind in {NodeKind.BLOCK_DEVICE, NodeKind.CHARACTER_DEVICE} else 0,
        _attributes(where, is_followed=is_directory),
        _pieces(size),
        _SUBTREE if is_directory else None,
    )


def _attributes(where: bytes, *, is_followed: bool) -> tuple[tuple[bytes, bytes], ...]:
    """All that can be read. ``where`` may be a link to a directory only for the root of a snapshot."""
    try:
        names = os.listxattr(where, follow_symlinks=is_followed)
    except OSError:
        return ()
    found = []
    for name in names:
        try:
            found.append((os.fsencode(name), os.getxattr(where, name, follow_symlinks=is_followed)))
        except OSError:
            continue
    return tuple(found)
