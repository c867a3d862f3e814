"""Running backup copies in tests: a plan in one call, a sink that remembers, a control that stops."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from jobs.engine.clock import SystemClock
from jobs.engine.errors import EngineError, Killed
from jobs.engine.events import Event, FileFailed, FreeRun, Notice, Progress
from jobs.engine.ids import FileId
from jobs.engine.operations import backup_copy
from jobs.engine.plan import CopyPlan, CopyResult, CopySettings, SourceRoot, StoredPath, Trust
from jobs.engine.repository.index_load import load_index
from jobs.engine.repository.reader import BlobReader
from jobs.engine.repository.repository import Repository
from jobs.engine.repository.snapshot_file import read_snapshot_file
from jobs.engine.repository.tree import Node

from .repositories import PASSWORD, disk_at, new_repository

SETTLED_NS = 3_000_000_000
"""Trees of tests are younger than the clock's grain; plans say they were taken so much later."""


class Recorder:
    """A sink that remembers everything."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)

    @property
    def failed(self) -> dict[bytes, str]:
        return {event.path: event.code for event in self.events if isinstance(event, FileFailed)}

    @property
    def notices(self) -> list[str]:
        return [event.code for event in self.events if isinstance(event, Notice)]

    @property
    def progress(self) -> list[Progress]:
        return [event for event in self.events if isinstance(event, Progress)]


class StopWhen:
    """A control that raises as soon as ``condition`` holds; remembers when it did."""

    def __init__(self, condition: Callable[[], bool], error: EngineError | None = None) -> None:
        self._condition = condition
        self._error = error or Killed("Killed by a person.")
        self.stopped_at = 0.0

    def check(self) -> None:
        if self._condition():
            self.stopped_at = self.stopped_at or time.monotonic()
            raise self._error


class Copier:
    """Copies into one new repository below ``base``. ``last`` is the newest snapshot file.

    ``at_top`` stores a root as ``/name``: nothing above it, whose times change while tests run, is in the copy.
    """

    def __init__(self, base: Path, *, at_top: bool = False) -> None:
        self.at_top = at_top
        self.path = base / "repository"
        self.state = base / "state"
        self.repository: Repository = new_repository(self.path)
        self.sink = Recorder()
        self.last: FileId | None = None

    def stored(self, root: Path) -> StoredPath:
        return StoredPath(b"/" + os.fsencode(root.name) if self.at_top else os.fsencode(root))

    def plan(
        self,
        *roots: Path | SourceRoot,
        parent: FileId | None = None,
        trust: Trust = Trust.FULL,
        with_state: bool = True,
        readers: int | None = None,
        taken_at_ns: int | None = None,
        pack_bytes: int = 16 << 20,
    ) -> CopyPlan:
        return CopyPlan(
            roots=tuple(
                root if isinstance(root, SourceRoot) else SourceRoot(directory=root, stored_as=self.stored(root))
                for root in roots
            ),
            hostname="server",
            username="tester",
            taken_at_ns=time.time_ns() + SETTLED_NS if taken_at_ns is None else taken_at_ns,
            parent=parent,
            tags=("a tag",),
            settings=CopySettings(
                state_directory=self.state if with_state else None, trust=trust, readers=readers, pack_bytes=pack_bytes
            ),
        )

    def run(self, plan: CopyPlan, control: StopWhen | FreeRun | None = None) -> CopyResult:
        self.sink = Recorder()
        result = backup_copy.run(plan, disk_at(self.path), PASSWORD, self.sink, control or FreeRun(), SystemClock())
        self.last = result.snapshot_file_id
        return result

    def copy(self, *roots: Path | SourceRoot, trust: Trust = Trust.FULL, with_state: bool = True) -> CopyResult:
        """A copy on top of the last one."""
        return self.run(self.plan(*roots, parent=self.last, trust=trust, with_state=with_state))

    @property
    def locks(self) -> list[str]:
        return os.listdir(self.path / "locks") if (self.path / "locks").exists() else []

    @property
    def indexed(self) -> int:
        return len(os.listdir(self.path / "index")) if (self.path / "index").exists() else 0


def grow_tree(root: Path, *, directories: int = 60, files: int = 25, size: int = 3000) -> int:
    """Small files of random bytes in nested directories; returns their number."""
    for number in range(directories):
        directory = root / f"a{number % 7}" / f"b{number % 3}" / f"c{number}"
        directory.mkdir(parents=True)
        for name in range(files):
            (directory / f"f{name}").write_bytes(os.urandom(size))
    return directories * files


def nodes_of(copier: Copier, result: CopyResult, source: Path) -> dict[str, Node]:
    """Every node below the source by relative path."""
    reader = BlobReader(copier.repository, load_index(copier.repository))
    tree = read_snapshot_file(copier.repository, result.snapshot_file_id).tree
    (top,) = (node for node in reader.read_tree(tree) if node.name == os.fsencode(source.name))
    assert top.subtree is not None
    tree = top.subtree
    found: dict[str, Node] = {}
    pending = [("", tree)]
    while pending:
        path, at = pending.pop()
        for node in reader.read_tree(at):
            found[name := f"{path}/{os.fsdecode(node.name)}"] = node
            if node.subtree is not None:
                pending.append((name, node.subtree))
    return found
