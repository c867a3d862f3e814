"""Reading files from the medium with the damage named: missing, cut off, or not what their name says."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from ..errors import FileMissing
from ..ids import FileId
from ..media.base import Media
from ..media.wrapping import read_near
from .layout import FileKind, damaged, file_name, is_file_id

READINGS: Final = 3
"""So often is read what comes damaged: networks and servers damage on the way, and a medium says the same each time."""


def list_ids(media: Media, kind: FileKind) -> Iterator[tuple[FileId, int]]:
    """(id, bytes) of every file of a kind; names that are no ids are not ours and left out."""
    for name, size in media.list(kind.value):
        last = name.rpartition("/")[2]
        if is_file_id(last) and name == file_name(kind, last):
            yield FileId(last), size


def read_part(media: Media, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
    """Bytes of a file. Raises RepositoryDamaged if it is missing or cut off, MediaUnavailable for anything else."""
    try:
        return media.get(name, offset=offset, length=length)
    except FileMissing as error:
        raise damaged(name, "it is missing") from error


def read_tree_part(media: Media, name: str, *, offset: int, length: int, is_fresh: bool = False) -> bytes:
    """As :func:`read_part`, of a pack of trees: from a local cache of the medium, unless it has to be fresh."""
    try:
        return read_near(media, name, offset=offset, length=length, is_fresh=is_fresh)
    except FileMissing as error:
        raise damaged(name, "it is missing") from error


def read_stored(media: Media, kind: FileKind, file_id: FileId) -> bytes:
    """A whole file whose name is the SHA-256 of its bytes, verified; a mismatch is read again, then damage."""
    name = file_name(kind, file_id)
    for _ in range(READINGS):
        raw = read_part(media, name)
        if sha256(raw).hexdigest() == file_id:
            return raw
    raise damaged(name, "its content does not match its name")
