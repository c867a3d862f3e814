"""A btrfs subvolume whose snapshots are copied by what the file system says has changed, each judged by a full walk."""

from __future__ import annotations

import fcntl
import shutil
import struct
import subprocess
from contextlib import ExitStack
from pathlib import Path

from jobs.engine.clock import SystemClock
from jobs.engine.events import FreeRun
from jobs.engine.ids import FileId, snapshot_name
from jobs.engine.operations import backup_copy
from jobs.engine.plan import CopyResult, SourceRoot, StoredPath
from jobs.engine.snapshots.base import SnapshotRef
from jobs.engine.snapshots.btrfs.engine import BtrfsEngine, BtrfsOptions
from tests.engine.copying import Copier, Recorder
from tests.engine.repositories import PASSWORD, disk_at

INSTALL = "diffing0"
BY_DIFF = "changed paths from the file system: "
STORED = StoredPath(b"/content")


class Hasty(SystemClock):
    """Does not wait: nobody else is at these repositories."""

    def sleep(self, seconds: float) -> None:
        return


class World:
    """``copier`` holds the repository, ``content`` the live tree, ``refs`` the snapshots taken so far."""

    def __init__(self, mount: Path, base: Path, *, name: str = "volume", readers: int = 1) -> None:
        self.mount = mount
        self.readers = readers
        self.volume = mount / name
        btrfs("subvolume", "create", self.volume)
        self.content = self.volume / "content"
        self.content.mkdir()
        self.engine = BtrfsEngine(BtrfsOptions(volume=self.volume, area=mount / f"{name} area"), INSTALL)
        self.copier = Copier(base)
        self.refs: list[SnapshotRef] = []
        self.parent: FileId | None = None
        self._number = 0
        self._notices: list[str] = []

    def snap(self, engine: BtrfsEngine | None = None) -> SnapshotRef:
        self._number += 1
        name = snapshot_name(INSTALL, 1, self._number)
        self.refs.append((engine or self.engine).create(name, [str(self.content)], FreeRun()))
        return self.refs[-1]

    def copy(
        self, ref: SnapshotRef, previous: SnapshotRef | None = None, *, parent: FileId | None = None
    ) -> CopyResult:
        """One backup copy of a snapshot."""
        with ExitStack() as stack:
            root = stack.enter_context(self.engine.open(ref))[0]
            older = stack.enter_context(self.engine.open(previous))[0].directory if previous is not None else None
            source = SourceRoot(directory=root.directory, stored_as=STORED, previous=older)
            plan = self.copier.plan(
                source, parent=parent, with_state=False, taken_at_ns=ref.taken_at_ns, readers=self.readers
            )
            self.copier.sink = Recorder()
            medium = disk_at(self.copier.path)
            return backup_copy.run(plan, medium, PASSWORD, self.copier.sink, FreeRun(), Hasty())

    @property
    def notices(self) -> list[str]:
        """Codes of what the last diff copy told."""
        return self._notices

    def start(self) -> CopyResult:
        """The first snapshot and its full copy."""
        result = self.copy(self.snap())
        self.parent = result.snapshot_file_id
        return result

    def next(self) -> CopyResult:
        """Another snapshot, copied by diff on top of the last; it must be what a full walk gives."""
        result = self.copy_newest()
        require_diff(result)
        return result

    def copy_newest(self) -> CopyResult:
        """As :meth:`next`, whether by diff or not."""
        previous, current = self.refs[-1], self.snap()
        result = self.copy(current, previous, parent=self.parent)
        self._notices = self.copier.sink.notices
        walk = self.copy(current)
        assert result.tree_id == walk.tree_id, "the diff copy is not what a walk gives"
        for name in ("files_done", "bytes_done", "directories_done", "exceptions"):
            assert getattr(result.counters, name) == getattr(walk.counters, name), (name, result, walk)
        self.parent = result.snapshot_file_id
        return result

    def clean(self) -> None:
        """Give the space back."""
        for ref in self.refs:
            self.engine.delete(ref)
        shutil.rmtree(self.copier.path)


def require_diff(result: CopyResult) -> None:
    assert result.source_note.startswith(BY_DIFF), result.source_note


def btrfs(*arguments: str | Path) -> None:
    subprocess.run(["btrfs", *map(str, arguments)], check=True, capture_output=True)


def write(path: Path, data: bytes, offset: int = 0) -> None:
    """In place; the rest of the file stays."""
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def clone_range(source: Path, target: Path, *, start: int, length: int, to: int) -> None:
    """FICLONERANGE: ``target`` shows the same blocks."""
    with open(source, "rb") as there, open(target, "r+b") as here:
        fcntl.ioctl(here, 0x4020940D, struct.pack("<qQQQ", there.fileno(), start, length, to))


def punch_hole(path: Path, *, start: int, length: int) -> None:
    subprocess.run(["fallocate", "-p", "-o", str(start), "-l", str(length), str(path)], check=True)
