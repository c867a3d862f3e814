"""Storage, media and clocks of the simulated year: in memory, failing when the plan says so, without waiting.

Only the outermost seams are replaced: the moment, the queue's bell, the snapshot engine, the medium's driver, and the
three operations on a repository. All rows are written by the product's own services and runners.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import pytest

from jobs import queues
from jobs.catalog.loading import Loaded
from jobs.engine import errors
from jobs.engine.events import Control, Counters
from jobs.engine.ids import BlobId, FileId, SnapshotName
from jobs.engine.media.base import Media, Usage
from jobs.engine.media.registry import MEDIA, MediaKind
from jobs.engine.media.wrapping import Wrapper
from jobs.engine.operations import backup_copy, forget, prune
from jobs.engine.plan import CopyPlan, CopyResult
from jobs.engine.repository.snapshot_file import SnapshotFile
from jobs.engine.snapshots.base import Capability, SnapshotRef, SnapshotRoot
from jobs.engine.snapshots.registry import ENGINES, EngineKind
from jobs.models import Job
from jobs.runner import cataloguing
from jobs.runner import prune as prune_runner

from .plan import Year

CAPABILITIES = {
    "plain": frozenset[Capability](),
    "diff": frozenset({Capability.DIFF}),
    "base": frozenset({Capability.DIFF, Capability.KEEPS_BASE_SNAPSHOT}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NoOptions:
    """Nothing to choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShelfOptions:
    shelf: str = field(metadata={"label": "Shelf", "help": "Which one."})


@dataclass(slots=True, kw_only=True)
class Machines:
    """The world outside: what lies on the storage and on media now, and what time it is."""

    year: Year
    now: datetime
    storage: dict[str, SnapshotRef] = field(default_factory=dict)
    shelves: dict[str, dict[str, SnapshotFile]] = field(default_factory=dict)
    copies: int = 0

    def clock(self) -> datetime:
        return self.now

    def fails(self, kind: str, path: str) -> bool:
        return self.year.fails(kind, path, self.now)


class MemoryEngine:
    """A snapshot engine whose storage is a dictionary."""

    name: ClassVar[str]
    machines: ClassVar[Machines]
    capabilities: ClassVar[frozenset[Capability]]
    label: ClassVar[str] = "Memory"
    summary: ClassVar[str] = "For tests."

    def __init__(self, _options: NoOptions, _install: str) -> None:
        return

    def validate_content(self, content: Sequence[str]) -> None:
        return

    def create(self, name: SnapshotName, content: Sequence[str], control: Control) -> SnapshotRef:
        machines = self.machines
        if machines.fails("snapshot-busy", content[0]):
            raise errors.StorageBusy("The storage is busy.")
        if machines.fails("snapshot-broken", content[0]):
            raise errors.NoSpace("The storage is full.")
        taken_at_ns = int(machines.now.timestamp()) * 10**9
        ref = SnapshotRef(name=name, engine=self.name, taken_at_ns=taken_at_ns, content=tuple(content))
        machines.storage[name] = ref
        return ref

    @contextmanager
    def open(self, ref: SnapshotRef) -> Iterator[tuple[SnapshotRoot, ...]]:
        if self.machines.fails("source-offline", ref.content[0]):
            raise errors.SourceUnavailable("The volume is offline.")
        if ref.name not in self.machines.storage:
            raise errors.SnapshotMissing("It is gone.")
        yield tuple(SnapshotRoot(content_path=path, directory=Path(path)) for path in ref.content)

    def exists(self, ref: SnapshotRef) -> bool:
        return ref.name in self.machines.storage

    def list(self) -> Sequence[SnapshotRef]:
        return list(self.machines.storage.values())

    def delete(self, ref: SnapshotRef) -> None:
        if self.machines.fails("delete-busy", ref.content[0]):
            raise errors.StorageBusy("The storage is busy.")
        self.machines.storage.pop(ref.name, None)


class Shelf:
    """A medium whose repository is the snapshot files in it, by id."""

    def __init__(self, files: dict[str, SnapshotFile]) -> None:
        self.files = files

    def exists(self, name: str) -> bool:
        return name.rpartition("/")[2] in self.files

    def usage(self) -> Usage:
        return Usage(total_bytes=None, free_bytes=None)

    def close(self) -> None:
        return


def install(machines: Machines, patch: pytest.MonkeyPatch) -> None:
    """Put the machines where the product looks for its own, until the test is over."""
    patch.setattr("django.utils.timezone.now", machines.clock)
    patch.setitem(Job._meta.get_field("created_at").__dict__, "_get_default", machines.clock)
    patch.setattr(queues, "enqueue", lambda _job_id: True)
    for kind, capabilities in CAPABILITIES.items():
        engine = type(
            f"{kind.title()}Engine",
            (MemoryEngine,),
            {"name": kind, "capabilities": capabilities, "machines": machines},
        )
        made = EngineKind(
            name=kind, label=kind, summary="For tests.", capabilities=capabilities, options=NoOptions, build=engine
        )
        patch.setitem(ENGINES, kind, made)
    shelf = MediaKind(
        name="shelf",
        label="Shelf",
        summary="For tests.",
        options=ShelfOptions,
        build=lambda options: Shelf(machines.shelves.setdefault(options.shelf, {})),  # type: ignore[arg-type, return-value]
    )
    patch.setitem(MEDIA, "shelf", shelf)
    patch.setattr(backup_copy, "run", lambda *given: _copy(machines, *given))
    patch.setattr(forget, "run", lambda plan, shelf, *_rest: _forget(plan, shelf))
    patch.setattr(prune, "run", lambda *_given: NOTHING_PRUNED)
    patch.setattr(prune_runner, "Repository", _Repository)
    patch.setattr(prune_runner, "list_snapshot_files", lambda driver: list(_shelf_of(driver).files.values()))
    _install_catalog(patch)


def _install_catalog(patch: pytest.MonkeyPatch) -> None:
    """Nothing is in these snapshots, so nothing is written into the catalog; its states are the product's."""
    patch.setattr(cataloguing, "Repository", _Repository)
    patch.setattr(cataloguing, "load_index", lambda *_given, **_more: None)
    patch.setattr(cataloguing, "read_snapshot_file", lambda driver, file_id: _shelf_of(driver).files[file_id])
    for name in ("list_trees", "tree_changes", "list_snapshot", "snapshot_changes"):
        patch.setattr(cataloguing, name, lambda *_given: iter(()))
    patch.setattr(cataloguing, "load", lambda *_given, **_more: Loaded(told=0, began=0, ended=0))


NOTHING_PRUNED = prune.PruneResult(
    packs_before=0,
    packs_removed=0,
    packs_repacked=0,
    unreferenced_removed=0,
    bytes_before=0,
    freed_bytes=0,
    unused_bytes_left=0,
)


def _shelf_of(driver: Media) -> Shelf:
    """Without what a job wraps around a medium."""
    found: object = driver
    while isinstance(found, Wrapper):
        found = found.inner
    assert isinstance(found, Shelf)
    return found


def _copy(machines: Machines, plan: CopyPlan, driver: Media, *_rest: object) -> CopyResult:
    shelf = _shelf_of(driver)
    path = plan.roots[0].stored_as.decode()
    if machines.fails("copy-busy", path):
        raise errors.MediaUnavailable("The medium does not answer.")
    if machines.fails("copy-broken", path):
        raise errors.NoSpace("The medium is full.")
    machines.copies += 1
    file_id = FileId(f"{machines.copies:064x}")
    shelf.files[file_id] = SnapshotFile(
        id=file_id,
        time_ns=plan.taken_at_ns,
        tree=BlobId(bytes(32)),
        paths=tuple(root.stored_as for root in plan.roots),
        hostname=plan.hostname,
        tags=plan.tags,
        program_version="snapcopy",
    )
    files = 0 if machines.fails("source-empty", path) else 100
    exceptions = 3 if machines.fails("copy-partial", path) else 0
    counters = Counters(files_done=files, bytes_done=files * 1000, bytes_stored=10, exceptions=exceptions)
    return CopyResult(snapshot_file_id=file_id, tree_id="f" * 64, counters=counters, parent_used=plan.parent)


def _forget(plan: forget.ForgetPlan, driver: Media) -> None:
    shelf = _shelf_of(driver)
    for file_id in plan.ids:
        del shelf.files[file_id]


class _Repository:
    """A repository is its medium here."""

    @staticmethod
    def open(shelf: Shelf, *_given: object, **_more: object) -> Shelf:
        return shelf
