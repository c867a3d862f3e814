"""The dry run: what a restore would do, found by reading trees and looking at the target. Nothing is written or read
from packs of file contents; blobs are only looked up in the index."""

from __future__ import annotations

import os
import stat
from typing import Final

from ...clock import Clock
from ...errors import RepositoryDamaged
from ...events import Control, Counters, FileFailed, Progress, Sink
from ...plan import RestorePlan, RestoreResult
from ...repository.layout import BlobKind
from ...repository.reader import BlobReader
from ...repository.tree import Node, NodeKind
from .context import reason
from .decision import FORMATS, Decision, decide, replaces_non_directory
from .directories import OPEN_FLAGS, lstat
from .items import FolderItem

_PROGRESS_SECONDS: Final = 0.5
_CHECK_NODES: Final = 200
_NOWHERE: Final = (-1, 0, 0, 0)
"""Trees are looked up one by one here."""


class _Preview:
    """Walks the wanted part of the copy beside the target, counting."""

    def __init__(self, reader: BlobReader, plan: RestorePlan, sink: Sink, control: Control, clock: Clock) -> None:
        self._reader, self._plan = reader, plan
        self._sink, self._control, self._clock = sink, control, clock
        self._next_progress = clock.monotonic() + _PROGRESS_SECONDS
        self._nodes = 0
        self.figures = dict.fromkeys(
            ("files_done", "files_new", "files_changed", "files_unmodified", "directories_done", "bytes_done"), 0
        )
        self.skipped = 0
        self.exceptions = 0

    def counters(self) -> Counters:
        return Counters(exceptions=self.exceptions, **self.figures)

    def folder(self, item: FolderItem, target_fd: int | None) -> None:
        """A directory and everything below it; ``target_fd`` None where nothing is at the target yet."""
        stack: list[tuple[FolderItem, bytes | None]] = [(item, None if target_fd is None else b"")]
        while stack:
            at, relative = stack.pop()
            fd = self._open(target_fd, relative, at)
            try:
                stack += self._entries(at, fd, relative)
            except RepositoryDamaged as error:
                self._fail(at.path or b"/", error.sentence, "tree-damaged")
            finally:
                if fd is not None:
                    os.close(fd)

    def _open(self, target_fd: int | None, relative: bytes | None, item: FolderItem) -> int | None:
        if target_fd is None or relative is None:
            return None
        fd = os.open(".", OPEN_FLAGS, dir_fd=target_fd)
        for part in item.parts:
            try:
                below = os.open(part, OPEN_FLAGS, dir_fd=fd)
            except OSError:
                return None
            finally:
                os.close(fd)
            fd = below
        return fd

    def _entries(
        self, item: FolderItem, fd: int | None, relative: bytes | None
    ) -> list[tuple[FolderItem, bytes | None]]:
        below: list[tuple[FolderItem, bytes | None]] = []
        if item.parts:
            self.figures["directories_done"] += 1
        for node in self._reader.read_tree(item.tree):
            self._tick()
            inside = item.selection.below(node.name)
            if inside is None:
                continue
            path = item.path + b"/" + node.name
            if node.subtree is None:
                self._file(node, path, fd)
            elif self._may_enter(node, path, fd):
                child = FolderItem((*item.parts, node.name), path, node, node.subtree, _NOWHERE, inside, (), 0)
                below.append((child, None if fd is None else relative))
        return below

    def _may_enter(self, node: Node, path: bytes, fd: int | None) -> bool:
        existing = lstat(fd, node.name) if fd is not None else None
        if existing is None or stat.S_ISDIR(existing.st_mode):
            return True
        if replaces_non_directory(node, existing, self._plan.overwrite):
            return True
        self._fail(path, "something that is not a directory is in the way", "file-unwritable")
        return False

    def _file(self, node: Node, path: bytes, fd: int | None) -> None:
        if node.kind not in FORMATS:
            self._fail(path, "this kind of entry cannot be restored", "entry-unsupported")
            return
        try:
            existing = lstat(fd, node.name) if fd is not None else None
        except OSError as error:
            self._fail(path, reason(error), "file-unwritable")
            return
        decision = decide(node, existing, self._plan.overwrite, with_metadata=self._plan.with_metadata)
        if decision is Decision.BLOCKED:
            self._fail(path, "a directory is in its place", "file-unwritable")
            return
        if decision in {Decision.WRITE, Decision.REPLACE, Decision.VERIFY} and self._is_missing(node, path):
            return
        self._count(node, decision)

    def _is_missing(self, node: Node, path: bytes) -> bool:
        missing = self._reader.index.missing(BlobKind.DATA, node.content)
        if missing:
            self._fail(path, f"no index names a pack that holds its blob {missing[0].hex()}", "blob-missing")
        return bool(missing)

    def _count(self, node: Node, decision: Decision) -> None:
        """A file whose content a restore would have to compare first counts as one to be replaced."""
        figures = self.figures
        figures["files_done"] += 1
        figures["bytes_done"] += node.size if node.kind is NodeKind.FILE else 0
        if decision is Decision.WRITE:
            figures["files_new"] += 1
        elif decision in {Decision.REPLACE, Decision.VERIFY}:
            figures["files_changed"] += 1
        elif decision is Decision.COMPLETE:
            figures["files_unmodified"] += 1
        else:
            self.skipped += 1

    def _fail(self, path: bytes, error: str, code: str) -> None:
        self.exceptions += 1
        self._sink.emit(FileFailed(path=path, error=error, code=code))

    def _tick(self) -> None:
        self._nodes += 1
        if self._nodes % _CHECK_NODES:
            return
        self._control.check()
        now = self._clock.monotonic()
        if now >= self._next_progress:
            self._next_progress = now + _PROGRESS_SECONDS
            self._sink.emit(Progress(counters=self.counters()))


def preview(
    first: FolderItem,
    *,
    reader: BlobReader,
    target: bytes | None,
    plan: RestorePlan,
    sink: Sink,
    control: Control,
    clock: Clock,
) -> RestoreResult:
    """Count what would be restored. ``target`` None = it does not exist yet."""
    walk = _Preview(reader, plan, sink, control, clock)
    fd = os.open(target, OPEN_FLAGS & ~os.O_NOFOLLOW) if target is not None else None
    try:
        walk.folder(first, fd)
    finally:
        if fd is not None:
            os.close(fd)
    counters = walk.counters()
    sink.emit(Progress(counters=counters))
    return RestoreResult(counters=counters, files_skipped=walk.skipped)
