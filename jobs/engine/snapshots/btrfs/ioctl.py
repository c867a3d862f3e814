"""Questions to btrfs that need no privilege and no child process: what a subvolume is, and what is nested in it.

Structures and numbers are those of linux/btrfs.h. Changing anything is done by btrfs-progs, elsewhere.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

SUBVOLUME_ROOT_INODE: Final = 256
"""BTRFS_FIRST_FREE_OBJECTID: the inode of the top directory of every subvolume."""

_GET_SUBVOL_INFO: Final = 0x81F8943C
_INFO_BYTES: Final = 504
_GET_SUBVOL_ROOTREF: Final = 0xD000943D
_INO_LOOKUP_USER: Final = 0xD000943E
_FS_INFO: Final = 0x8400941F
_READ_ONLY: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SubvolumeInfo:
    """``made_in`` is the generation in which it was made, ``changed_in`` that of the last change of a file in it.

    ``parent`` and ``received`` are None where it was not made as a snapshot, or not received.
    """

    tree_id: int
    made_in: int
    changed_in: int
    made_at_ns: int
    is_read_only: bool
    identity: uuid.UUID
    parent: uuid.UUID | None
    received: uuid.UUID | None


def subvolume_info(fd: int) -> SubvolumeInfo:
    """Of the subvolume that holds the open directory. Raises OSError (ENOTTY where it is not btrfs)."""
    buffer = bytearray(_INFO_BYTES)
    fcntl.ioctl(fd, _GET_SUBVOL_INFO, buffer, True)
    (tree_id,) = struct.unpack_from("<Q", buffer, 0)
    (flags,) = struct.unpack_from("<Q", buffer, 288)
    changed_in, made_in = struct.unpack_from("<QQ", buffer, 344)
    seconds, nanoseconds = struct.unpack_from("<QI", buffer, 392)
    return SubvolumeInfo(
        tree_id=tree_id,
        made_in=made_in,
        changed_in=changed_in,
        made_at_ns=seconds * 1_000_000_000 + nanoseconds,
        is_read_only=bool(flags & _READ_ONLY),
        identity=uuid.UUID(bytes=bytes(buffer[296:312])),
        parent=_uuid(buffer[312:328]),
        received=_uuid(buffer[328:344]),
    )


def is_subvolume_root(fd: int) -> bool:
    """Whether the open directory is the top of a btrfs subvolume."""
    try:
        subvolume_info(fd)
    except OSError:
        return False
    return os.fstat(fd).st_ino == SUBVOLUME_ROOT_INODE


def file_system_id(fd: int) -> uuid.UUID:
    """The same for all subvolumes and mounts of one btrfs. Raises OSError."""
    buffer = bytearray(1024)
    fcntl.ioctl(fd, _FS_INFO, buffer, True)
    return uuid.UUID(bytes=bytes(buffer[16:32]))


def nested_subvolumes(fd: int) -> list[str]:
    """Paths, relative to the open subvolume, of subvolumes directly in it; those that may not be seen are left out.

    Raises OSError.
    """
    found = []
    for tree_id, directory in _root_references(fd):
        buffer = bytearray(4096)
        struct.pack_into("<QQ", buffer, 0, directory, tree_id)
        try:
            fcntl.ioctl(fd, _INO_LOOKUP_USER, buffer, True)
        except OSError:
            continue
        found.append(os.fsdecode(_text(buffer, 272) + _text(buffer, 16)))
    return sorted(found)


def _root_references(fd: int) -> Iterator[tuple[int, int]]:
    """(tree id, inode of the directory it is in)."""
    smallest = 0
    while True:
        buffer = bytearray(4096)
        struct.pack_into("<Q", buffer, 0, smallest)
        more = False
        try:
            fcntl.ioctl(fd, _GET_SUBVOL_ROOTREF, buffer, True)
        except OSError as error:
            if error.errno != errno.EOVERFLOW:
                raise
            more = True
        count = buffer[4088]
        for number in range(count):
            yield struct.unpack_from("<QQ", buffer, 8 + 16 * number)
        if not more or not count:
            return
        (smallest,) = struct.unpack_from("<Q", buffer, 8 + 16 * (count - 1))
        smallest += 1


def _text(buffer: bytearray, start: int) -> bytes:
    return bytes(buffer[start : buffer.index(0, start)])


def _uuid(raw: bytearray) -> uuid.UUID | None:
    return uuid.UUID(bytes=bytes(raw)) if any(raw) else None
