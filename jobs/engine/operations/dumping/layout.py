"""Where a dump lies in a repository, so that any restic fetches it, and the trees that hold it.

Of the content path ``/vol/vol1`` at level 2::

    /ndmp/vol/vol1/2.image       the stream as the file server sent it
    /ndmp/vol/vol1/2.env.json    what its recovery needs to be told
    /ndmp/vol/vol1/2.history     which files are in it; only if the file server says so
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from ...errors import InvalidOptions
from ...ids import BlobId
from ...ndmp.values import Pair
from ...plan import StoredPath
from ...repository.gojson import go_mode, go_time, name_body
from ...repository.tree import join_tree
from ...source.node import content_suffix, subtree_suffix
from .stream_store import StoredStream

TOP: Final = b"ndmp"
ENVIRONMENT_TYPE: Final = "dump"
_FILE_MODE: Final = stat.S_IFREG | 0o600
"""An image holds what only a few may read."""
_FOLDER_MODE: Final = stat.S_IFDIR | 0o700


def folder_of(file_system: str) -> StoredPath:
    """The folder of a content path's dumps. Raises InvalidOptions (``content_paths``)."""
    parts = [part for part in os.fsencode(file_system).split(b"/") if part]
    if not parts or any(part in {b".", b".."} or b"\0" in part for part in parts):
        raise InvalidOptions(f"“{file_system}” is no path of a file system.", field="content_paths")
    return StoredPath(b"/" + b"/".join((TOP, *parts)))


def image_path(file_system: str, level: int) -> StoredPath:
    """The image of a dump, see the module."""
    return StoredPath(folder_of(file_system) + f"/{level}.image".encode())


def environment_path(file_system: str, level: int) -> StoredPath:
    return StoredPath(folder_of(file_system) + f"/{level}.env.json".encode())


def history_path(file_system: str, level: int) -> StoredPath:
    return StoredPath(folder_of(file_system) + f"/{level}.history".encode())


def environment_text(*, type: str, level: int, profile: str, file_system: str, pairs: Iterable[Pair]) -> bytes:  # noqa: A002
    """The content of ``env.json``; ``type`` is that of the image (``dump``, ``tar``), ``profile`` its key."""
    value = {
        "type": type,
        "level": level,
        "profile": profile,
        "file_system": file_system,
        "environment": [[pair.name, pair.value] for pair in pairs],
    }
    return json.dumps(value).encode() + b"\n"


@dataclass(slots=True)
class _Folder:
    below: dict[bytes, _Folder] = field(default_factory=dict)
    files: dict[bytes, StoredStream] = field(default_factory=dict)


class DumpTrees:
    """The files of one copy on their way to a tree; every node has the time ``time_ns`` (ns since the epoch, UTC)."""

    def __init__(self, time_ns: int) -> None:
        self._top = _Folder()
        self._time = go_time(time_ns)
        self.files = 0
        self.folders = 0

    def add(self, path: StoredPath, content: StoredStream) -> None:
        """Raises InvalidOptions where one content path is called like a file of another."""
        *parents, name = path.split(b"/")[1:]
        folder = self._top
        for part in parents:
            if part in folder.files:
                raise _collision(path)
            folder = folder.below.setdefault(part, _Folder())
        if name in folder.below or name in folder.files:
            raise _collision(path)
        folder.files[name] = content
        self.files += 1

    def save(self, save_tree: Callable[[bytes], BlobId]) -> BlobId:
        """Store every tree, the deepest first; returns the root's."""
        return self._save(self._top, save_tree)

    def _save(self, folder: _Folder, save_tree: Callable[[bytes], BlobId]) -> BlobId:
        nodes = []
        for name in sorted([*folder.below, *folder.files]):
            content = folder.files.get(name)
            if content is None:
                self.folders += 1
                nodes.append(
                    self._prefix(name, _FOLDER_MODE) + subtree_suffix(self._save(folder.below[name], save_tree))
                )
                continue
            size = f',"size":{content.size_bytes}' if content.size_bytes else ""
            nodes.append(f'{self._prefix(name, _FILE_MODE)}{size},"links":1{content_suffix(content.hex_ids())}')
        return save_tree(join_tree(nodes))

    def _prefix(self, name: bytes, mode: int) -> str:
        kind = "dir" if stat.S_ISDIR(mode) else "file"
        return (
            f'{{"name":"{name_body(os.fsdecode(name))}","type":"{kind}","mode":{go_mode(mode)},"mtime":"{self._time}",'
            f'"atime":"{self._time}","ctime":"{self._time}","uid":0,"gid":0'
        )


def _collision(path: StoredPath) -> InvalidOptions:
    shown = path.decode("utf-8", "backslashreplace")
    return InvalidOptions(f"“{shown}” would be stored twice, as a file and as a folder.", field="content_paths")
