"""``snapshots``, ``ls`` and ``stats``: looking, without a lock."""

from __future__ import annotations

import os
import stat
from argparse import Namespace
from datetime import UTC, datetime
from typing import Final

from ..errors import NotInCopy
from ..operations.browse import Browser, Entry
from ..repository.index_load import load_index
from ..repository.layout import BlobKind, FileKind
from ..repository.snapshot_file import SnapshotFile, find_snapshot_file, list_snapshot_files
from ..repository.tree import NodeKind
from .console import size, write_json
from .session import Session

_TYPE_BITS: Final = {
    NodeKind.DIRECTORY: stat.S_IFDIR,
    NodeKind.SYMLINK: stat.S_IFLNK,
    NodeKind.FIFO: stat.S_IFIFO,
    NodeKind.FILE: stat.S_IFREG,
}


def snapshots(_arguments: Namespace, session: Session) -> int:
    for snapshot in list_snapshot_files(session.open()):
        _print_snapshot(snapshot, session)
    return 0


def _print_snapshot(snapshot: SnapshotFile, session: Session) -> None:
    paths = [path.decode("utf-8", "backslashreplace") for path in snapshot.paths]
    summary = snapshot.summary
    if session.as_json:
        write_json(
            {
                "event": "snapshot",
                "id": snapshot.id,
                "time": _at(snapshot.time_ns).isoformat(),
                "host": snapshot.hostname,
                "paths": paths,
                "tags": list(snapshot.tags),
                "parent": snapshot.parent,
                "files": summary.total_files_processed if summary else None,
                "bytes": summary.total_bytes_processed if summary else None,
            }
        )
        return
    figures = f"{summary.total_files_processed:>10,} files {size(summary.total_bytes_processed):>11}" if summary else ""
    print(
        f"{(snapshot.id or '')[:8]}  {_at(snapshot.time_ns):%Y-%m-%d %H:%M:%S}Z  {snapshot.hostname:<16} "
        f"{figures:<30} {', '.join(paths)}  {' '.join(snapshot.tags)}".rstrip()
    )


def ls(arguments: Namespace, session: Session) -> int:
    repository = session.open()
    snapshot = find_snapshot_file(repository, arguments.snapshot)
    if snapshot.id is None:
        raise NotInCopy("The snapshot file is not stored.")
    browser = Browser.open(repository, snapshot.id, cache_directory=session.cache)
    for path, entry in browser.walk(os.fsencode(arguments.path)):
        session.control.check()
        _print_entry(path, entry, session)
    return 0


def _print_entry(path: bytes, entry: Entry, session: Session) -> None:
    shown = path.decode("utf-8", "backslashreplace")
    if session.as_json:
        value = {"event": "entry", "path": shown, "type": entry.kind.value, "size": entry.size, "mode": entry.mode}
        write_json({**value, "mtime": _at(entry.mtime_ns).isoformat(), "uid": entry.uid, "gid": entry.gid})
        return
    mode = stat.filemode(_TYPE_BITS.get(entry.kind, stat.S_IFCHR) | entry.mode)
    target = f" -> {entry.link_target.decode('utf-8', 'backslashreplace')}" if entry.link_target else ""
    print(
        f"{mode} {entry.user or entry.uid:>8} {entry.group or entry.gid:>8} {entry.size:>12} "
        f"{_at(entry.mtime_ns):%Y-%m-%d %H:%M} {shown}{target}"
    )


def stats(_arguments: Namespace, session: Session) -> int:
    repository = session.open()
    index = load_index(repository, cache_directory=session.cache)
    packs = [size_bytes for _, size_bytes in repository.list_files(FileKind.PACK)]
    files = list_snapshot_files(repository)
    figures = {
        "repository": repository.id,
        "snapshot_files": len(files),
        "data_blobs": index.count(BlobKind.DATA),
        "tree_blobs": index.count(BlobKind.TREE),
        "packs": len(packs),
        "stored_bytes": sum(packs),
    }
    if session.as_json:
        write_json({"event": "result", **figures})
    else:
        for name, value in figures.items():
            print(f"{name.replace('_', ' '):<16} {size(sum(packs)) if name == 'stored_bytes' else value}")
    return 0


def _at(time_ns: int) -> datetime:
    """UTC; what a calendar cannot hold is shown as its nearest end."""
    seconds = min(max(time_ns // 1_000_000_000, -62_135_596_800), 253_402_300_799)
    return datetime.fromtimestamp(seconds, UTC)
