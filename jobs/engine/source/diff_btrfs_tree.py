"""Reading a btrfs subvolume's own tree: items by key and by generation (``BTRFS_IOC_TREE_SEARCH_V2``), for root only.

The kernel walks only the parts of the tree that were written at or after a generation. Byte layouts are those of
linux/btrfs_tree.h, little-endian; keys are ordered by (object, type, offset).
"""

from __future__ import annotations

import fcntl
import struct
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from ..snapshots.btrfs.ioctl import SUBVOLUME_ROOT_INODE

_SEARCH_V2: Final = 0xC0709411
_KEY: Final = struct.Struct("<7Q4I4Q")
_HEADER: Final = struct.Struct("<QQQII")
_INODE: Final = struct.Struct("<QQQQQIIIIQQQ32xqIqIqI")
_NUMBER: Final = struct.Struct("<Q")
_ARGUMENTS_BYTES: Final = 112
_COUNT_PLACE: Final = 64
_ALL: Final = 0xFFFFFFFF
_MAXIMUM: Final = (1 << 64) - 1
_LARGEST_ITEM: Final = (64 << 10) + 64
"""An item and its header: no node of a tree is larger than 64 KiB."""
_SMALL_BYTES: Final = _LARGEST_ITEM + (8 << 10)
_LARGE_BYTES: Final = 1 << 20
_REF: Final = struct.Struct("<QH")
_EXTENDED_REF: Final = struct.Struct("<QQH")
_DIRECTORY_ITEM: Final = struct.Struct("<QBQQHHB")


class ItemType(IntEnum):
    """The second part of a key."""

    INODE = 1
    INODE_REF = 12
    INODE_EXTREF = 13
    DIRECTORY_INDEX = 96
    EXTENT_DATA = 108
    ROOT = 132


_TRANSID_PLACE: Final = {int(ItemType.INODE): 8, int(ItemType.DIRECTORY_INDEX): 17}
"""Where an item keeps the generation of its last change."""


class Item(NamedTuple):
    """One item; ``data`` is valid until the next batch is read."""

    inode: int
    type: int
    offset: int
    data: memoryview


class InodeItem(NamedTuple):
    """What the file system keeps of a file. ``generation`` is that of its making, ``transid`` of its last change."""

    generation: int
    transid: int
    size: int
    links: int
    mode: int
    stable: tuple[object, ...]
    """All that a change of the file changes: everything but the access time and ``transid``."""
    changed_at: tuple[int, int]
    """ctime: seconds, nanoseconds."""


class DirectoryItem(NamedTuple):
    """A name in a directory. ``transid`` is the generation in which the name was made."""

    target: int
    is_subvolume: bool
    transid: int
    name: bytes


Key = tuple[int, int, int]
"""(object, type, offset); the object is the inode."""

_LAST_KEY: Final[Key] = (_MAXIMUM, 255, _MAXIMUM)


def search(fd: int, *, first: Key, last: Key, generation: int = 0, buffer_bytes: int = _SMALL_BYTES) -> Iterator[Item]:
    """Items of the open subvolume with keys from ``first`` to ``last``, where its tree is of ``generation`` or later.

    Older items in the same leaves come, too. Raises OSError (EPERM for an ordinary user).
    """
    buffer = bytearray(_ARGUMENTS_BYTES + buffer_bytes)
    view = memoryview(buffer)
    at = first
    while at <= last and (count := _fetch(fd, buffer, at, last, generation)):
        place = _ARGUMENTS_BYTES
        for _ in range(count):
            _transid, inode, offset, kind, length = _HEADER.unpack_from(buffer, place)
            place += _HEADER.size
            yield Item(inode, kind, offset, view[place : place + length])
            place += length
        if len(buffer) - place > _LARGEST_ITEM:
            return
        at = _next_key(inode, kind, offset)


def _fetch(fd: int, buffer: bytearray, first: Key, last: Key, generation: int) -> int:
    """Ask for as many items as the buffer holds; how many there are. Raises OSError."""
    inode, kind, offset = first
    _KEY.pack_into(
        buffer, 0, 0, inode, last[0], offset, last[2], generation, _MAXIMUM, kind, last[1], _ALL, 0, 0, 0, 0, 0
    )
    _NUMBER.pack_into(buffer, _KEY.size, len(buffer) - _ARGUMENTS_BYTES)
    fcntl.ioctl(fd, _SEARCH_V2, buffer, True)
    (count,) = struct.unpack_from("<I", buffer, _COUNT_PLACE)
    return int(count)


def _next_key(inode: int, kind: int, offset: int) -> Key:
    if offset < _MAXIMUM:
        return inode, kind, offset + 1
    if kind < 255:
        return inode, kind + 1, 0
    return inode + 1, 0, 0


def extent_items(fd: int, inode: int) -> Iterator[Item]:
    """Where a file's data lie, by position in the file (the items' ``offset``). Raises OSError."""
    first, last = (inode, ItemType.EXTENT_DATA, 0), (inode, ItemType.EXTENT_DATA, _MAXIMUM)
    yield from search(fd, first=first, last=last, buffer_bytes=_LARGE_BYTES)


def changed_since(fd: int, generation: int, beat: Callable[[], None]) -> Iterator[Item]:
    """INODE and DIRECTORY_INDEX items that are newer than ``generation``, of all files. Raises OSError.

    ``beat`` is called for every MiB of the tree.
    """
    buffer = bytearray(_ARGUMENTS_BYTES + _LARGE_BYTES)
    view = memoryview(buffer)
    at = (SUBVOLUME_ROOT_INODE, 0, 0)
    header, transid_at = _HEADER.unpack_from, _NUMBER.unpack_from
    while count := _fetch(fd, buffer, at, _LAST_KEY, generation + 1):
        beat()
        place = _ARGUMENTS_BYTES
        for _ in range(count):
            _transid, inode, offset, kind, length = header(buffer, place)
            place += _HEADER.size
            transid = _TRANSID_PLACE.get(kind)
            if transid is not None and transid_at(buffer, place + transid)[0] > generation:
                yield Item(inode, kind, offset, view[place : place + length])
            place += length
        if len(buffer) - place > _LARGEST_ITEM:
            return
        at = _next_key(inode, kind, offset)


def parse_inode(data: memoryview) -> InodeItem:
    """``struct btrfs_inode_item``."""
    (
        generation,
        transid,
        size,
        nbytes,
        _group,
        links,
        uid,
        gid,
        mode,
        rdev,
        flags,
        sequence,
        _atime,
        _atime_ns,
        ctime,
        ctime_ns,
        mtime,
        mtime_ns,
    ) = _INODE.unpack_from(data)
    stable = (generation, size, nbytes, links, uid, gid, mode, rdev, flags, sequence, ctime, ctime_ns, mtime, mtime_ns)
    return InodeItem(generation, transid, size, links, mode, stable, (ctime, ctime_ns))


def find_inode(fd: int, inode: int) -> InodeItem | None:
    """One file's own item; None if there is no such file. Raises OSError."""
    for item in search(fd, first=(inode, ItemType.INODE, 0), last=(inode, ItemType.INODE, _MAXIMUM)):
        return parse_inode(item.data)
    return None


def find_names(fd: int, inode: int) -> list[tuple[int, bytes]]:
    """(directory, name) of every link of a file. Raises OSError."""
    found: list[tuple[int, bytes]] = []
    for item in search(fd, first=(inode, ItemType.INODE_REF, 0), last=(inode, ItemType.INODE_EXTREF, _MAXIMUM)):
        found += parse_names(item)
    return found


def parse_names(item: Item) -> list[tuple[int, bytes]]:
    """(directory, name) of every link in one INODE_REF or INODE_EXTREF item."""
    found: list[tuple[int, bytes]] = []
    data, place = item.data, 0
    while place < len(data):
        if item.type == ItemType.INODE_REF:
            _index, length = _REF.unpack_from(data, place)
            directory, place = item.offset, place + _REF.size
        else:
            directory, _index, length = _EXTENDED_REF.unpack_from(data, place)
            place += _EXTENDED_REF.size
        found.append((directory, bytes(data[place : place + length])))
        place += length
    return found


def parse_directory_item(data: memoryview) -> DirectoryItem:
    """``struct btrfs_dir_item`` of a DIRECTORY_INDEX item, which holds exactly one."""
    target, kind, _offset, transid, _data_length, name_length, _type = _DIRECTORY_ITEM.unpack_from(data)
    start = _DIRECTORY_ITEM.size
    return DirectoryItem(target, kind == ItemType.ROOT, transid, bytes(data[start : start + name_length]))
