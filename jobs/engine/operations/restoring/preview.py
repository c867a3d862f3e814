"""The dry run: what a restore would do, found by listing what is restored and looking at the target.

Nothing is written and no file content is read: conflicts are told by size and time, space by size.
"""

from __future__ import annotations

import os
import stat
from typing import Final

from ...clock import Clock
from ...events import Control, Counters, FileFailed, Progress, Sink
from ...plan import Conflict, Fate, RestorePlan, RestorePreview, RestoreResult
from ...repository.tree import Node, NodeKind
from .context import reason
from .decision import FORMATS, Decision, decide, replaces_non_directory
from .directories import OPEN_FLAGS, lstat
from .items import FolderItem
from .source import Source, UnreadError
from .spaces import Spaces, nearest_directory
from .target import is_directory

CONFLICTS_LISTED: Final = 500
_PROGRESS_SECONDS: Final = 0.5
_CHECK_NODES: Final = 200
_FATES: Final = {
    Decision.REPLACE: Fate.REPLACED,
    Decision.VERIFY: Fate.COMPARED,
    Decision.KEEP: Fate.KEPT,
    Decision.BLOCKED: Fate.BLOCKED,
}


class _Preview:
    """Walks the wanted part beside the target, counting."""

    def __init__(self, source: Source, plan: RestorePlan, sink: Sink, control: Control, clock: Clock) -> None:
        self._source, self._plan = source, plan
        self._sink, self._control, self._clock = sink, control, clock
        self._next_progress = clock.monotonic() + _PROGRESS_SECONDS
        self._nodes = 0
        self._existing = self._newer = self._older = self._alike = self._conflicts_total = 0
        self._conflicts: list[Conflict] = []
        self._linked: set[tuple[int, int]] = set()
        self._target = os.fsencode(plan.target)
        self.spaces = Spaces()
        self.figures = dict.fromkeys(
            ("files_done", "files_new", "files_changed", "files_unmodified", "directories_done", "bytes_done"), 0
        )
        self.skipped = 0
        self.exceptions = 0

    def counters(self) -> Counters:
        return Counters(exceptions=self.exceptions, **self.figures)

    def found(self) -> RestorePreview:
        return RestorePreview(
            existing=self._existing,
            alike=self._alike,
            newer=self._newer,
            older=self._older,
            conflicts_total=self._conflicts_total,
            conflicts=tuple(self._conflicts),
            spaces=self.spaces.found(),
        )

    def folder(self, item: FolderItem, target_fd: int | None) -> None:
        """A directory and everything below it; ``target_fd`` None where nothing is at the target yet."""
        stack: list[tuple[FolderItem, bool]] = [(item, target_fd is not None)]
        while stack:
            at, may_exist = stack.pop()
            fd = self._open(target_fd, at) if may_exist else None
            try:
                if fd is not None:
                    at = at._replace(device=self.spaces.see(fd, b"/".join((self._target.rstrip(b"/"), *at.parts))))
                stack += self._entries(at, fd)
            except UnreadError as error:
                self._fail(at.path or b"/", *error.unread)
            finally:
                if fd is not None:
                    os.close(fd)

    def _open(self, target_fd: int | None, item: FolderItem) -> int | None:
        if target_fd is None:
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

    def _entries(self, item: FolderItem, fd: int | None) -> list[tuple[FolderItem, bool]]:
        below: list[tuple[FolderItem, bool]] = []
        if item.parts:
            self.figures["directories_done"] += 1
        nodes, unread = self._source.listing(item)
        for name, why in unread:
            if item.selection.below(name) is not None:
                self._fail(item.path + b"/" + name, *why)
        wanted = [(node, inside) for node in nodes if (inside := item.selection.below(node.name)) is not None]
        folders = [node for node, _inside in wanted if node.subtree is not None]
        places = iter(self._source.tree_places(folders) if folders else [])
        for node, inside in wanted:
            self._tick()
            path = item.path + b"/" + node.name
            if node.subtree is None:
                self._file(node, path, fd, item.device)
                continue
            place = next(places)
            if self._may_enter(node, path, fd):
                child = item.child(node, node.subtree, place, inside, (), item.device)
                below.append((child, fd is not None))
        return below

    def _may_enter(self, node: Node, path: bytes, fd: int | None) -> bool:
        existing = lstat(fd, node.name) if fd is not None else None
        if existing is None or stat.S_ISDIR(existing.st_mode):
            return True
        if replaces_non_directory(node, existing, self._plan.overwrite):
            self._conflict(node, path, existing, Fate.REPLACED)
            return True
        self._fail(path, "something that is not a directory is in the way", "file-unwritable")
        return False

    def _file(self, node: Node, path: bytes, fd: int | None, device: int) -> None:
        if node.kind not in FORMATS:
            self._fail(path, "this kind of entry cannot be restored", "entry-unsupported")
            return
        try:
            existing = lstat(fd, node.name) if fd is not None else None
        except OSError as error:
            self._fail(path, reason(error), "file-unwritable")
            return
        decision = decide(node, existing, self._plan.overwrite, with_metadata=self._plan.with_metadata)
        if existing is not None:
            self._compare(node, path, existing, decision)
        if decision is Decision.BLOCKED:
            self._fail(path, "a directory is in its place", "file-unwritable")
            return
        if decision in {Decision.WRITE, Decision.REPLACE, Decision.VERIFY}:
            if missing := self._source.missing(node):
                self._fail(path, missing, "blob-missing")
                return
            self._need(node, existing, device)
        self._count(node, decision)

    def _compare(self, node: Node, path: bytes, existing: os.stat_result, decision: Decision) -> None:
        self._existing += 1
        if existing.st_mtime_ns > node.mtime_ns:
            self._newer += 1
        elif existing.st_mtime_ns < node.mtime_ns:
            self._older += 1
        fate = _FATES.get(decision)
        if _is_alike(node, existing, decision):
            self._alike += 1
        elif fate is not None:
            self._conflict(node, path, existing, fate)

    def _conflict(self, node: Node, path: bytes, existing: os.stat_result, fate: Fate) -> None:
        self._conflicts_total += 1
        if len(self._conflicts) < CONFLICTS_LISTED:
            conflict = Conflict(
                path=path,
                fate=fate,
                size=node.size,
                mtime_ns=node.mtime_ns,
                there_size=existing.st_size,
                there_mtime_ns=existing.st_mtime_ns,
            )
            self._conflicts.append(conflict)

    def _need(self, node: Node, existing: os.stat_result | None, device: int) -> None:
        """Files are written whole before they take the place of others, so what is replaced frees nothing."""
        if existing is not None and _is_alike(node, existing, Decision.VERIFY):
            return
        if node.links > 1:
            key = (node.device_id, node.inode)
            if key in self._linked:
                return
            self._linked.add(key)
        self.spaces.add(device, node.size if node.kind is NodeKind.FILE else 0)

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
    source: Source,
    target: bytes,
    plan: RestorePlan,
    sink: Sink,
    control: Control,
    clock: Clock,
) -> RestoreResult:
    """Count what would be restored below ``target``, which need not exist. Raises TargetRefused."""
    walk = _Preview(source, plan, sink, control, clock)
    exists = is_directory(target)
    nearest = target if exists else nearest_directory(target)
    fd = os.open(nearest, OPEN_FLAGS & ~os.O_NOFOLLOW)
    try:
        first = first._replace(device=walk.spaces.see(fd, nearest))
        walk.folder(first, fd if exists else None)
    finally:
        os.close(fd)
    counters = walk.counters()
    sink.emit(Progress(counters=counters))
    return RestoreResult(counters=counters, files_skipped=walk.skipped, preview=walk.found())


def _is_alike(node: Node, existing: os.stat_result, decision: Decision) -> bool:
    """Whether a file whose content is to be compared is, by its size and time, the same already."""
    is_file = node.kind is NodeKind.FILE and stat.S_ISREG(existing.st_mode)
    is_same = existing.st_mtime_ns == node.mtime_ns and existing.st_size == node.size
    return decision is Decision.VERIFY and is_file and is_same
