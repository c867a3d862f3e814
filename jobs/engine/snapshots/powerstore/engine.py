"""Snapshots on Dell PowerStore: the array takes them, and this node reads them where its file systems are mounted.

The array is asked through Dell's own client, in a process of its own (:mod:`.client`). Everything about a
snapshot stands on the array: its name, and a description with the time and the content paths.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

from ...clock import Clock, SystemClock
from ...errors import EngineError, SnapshotMissing, SourceUnavailable, StorageBusy
from ...events import Control
from ...ids import SnapshotName, owned_snapshot_name
from ...media.base import TestReport
from ..arrays.description import Description
from ..arrays.reading import held as held_open
from ..base import Capability, Reverted, RevertPlan, SnapshotRef, SnapshotRoot
from ..content import checked_content, refuse_missing, require_directory
from ..reverting import look_in_place, make_missing, require_nobody_writes, require_parents, revert_in_place
from .client import PowerStoreClient
from .options import PowerStoreOptions
from .places import SNAPSHOTS, by_file_system, place_content
from .reading import Reader
from .shelf import Held, Nas, Shelf, names_of
from .test import run_test


class PowerStoreEngine:
    """See :class:`~jobs.engine.snapshots.base.SnapshotEngine` and :class:`~jobs.engine.snapshots.base.Reverter`."""

    name: ClassVar[str] = "powerstore"
    label: ClassVar[str] = "Dell PowerStore"
    summary: ClassVar[str] = (
        "Snapshots of the file systems of a NAS server, taken by the array: instant and of one moment. This node reads "
        "them by NFS. Needs Dell’s Python client on the access nodes."
    )
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.INSTANT,
            Capability.ATOMIC,
            Capability.READ_ONLY,
            Capability.REVERT,
            Capability.KEEPS_BASE_SNAPSHOT,
        }
    )

    most_snapshots: ClassVar[int] = 256
    """Of one file system (RULES R8): Dell PowerStore support matrix, file snapshots per file system."""

    def __init__(self, options: PowerStoreOptions, install: str, clock: Clock | None = None) -> None:
        self.options = options
        self.install = install
        self._clock = clock or SystemClock()
        self.client = PowerStoreClient(options.settings())
        self.shelf = Shelf(
            self.client, nas_server=options.nas_server, mount=options.mount, install=install, engine=self.name
        )
        self._reader = Reader(self.client, options.mount, self._clock)

    def validate_content(self, content: Sequence[str]) -> None:
        """Asks the node, not the array."""
        paths = checked_content(content)
        refuse_missing(paths)
        by_file_system(place_content(self.options.mount, paths))

    def create(self, name: SnapshotName, content: Sequence[str], control: Control) -> SnapshotRef:
        owned_snapshot_name(name, self.install)
        paths = checked_content(content)
        for path in paths:
            require_directory(path)
        groups = by_file_system(place_content(self.options.mount, paths))
        names: Sequence[str] = [self.shelf.physical(name, place) for place in range(len(groups))]
        control.check()
        nas = self.shelf.look()
        systems = [nas.file_system(one) for one in groups]
        if self.shelf.held(nas, names):
            raise StorageBusy(f"There is already a snapshot “{name}”.", hint="Resubmit the job; it takes a new name.")
        taken_at_ns = self._clock.now_ns()
        asked: dict[str, Description] = {
            physical: Description(taken_at_ns=taken_at_ns, total=len(paths), parts=groups[system.name])
            for system, physical in zip(systems, names, strict=True)
        }
        try:
            for system, physical in zip(systems, names, strict=True):
                control.check()
                said = self.shelf.describe(name, asked[physical])
                self.client.snap(system, physical, said, self.options.reading.access)
            held = self.shelf.held(nas, names)
            if len(held) != len(names):
                raise SourceUnavailable(f"{self.client} does not list the snapshot “{name}” that it just took.")
        except BaseException:
            self._take_back(nas, names)
            raise
        return self.shelf.ref(name, held, asked)

    @contextlib.contextmanager
    def open(self, ref: SnapshotRef) -> Iterator[tuple[SnapshotRoot, ...]]:
        owned_snapshot_name(ref.name, self.install)
        held = self.shelf.of(self.shelf.look(), ref)
        with self._reader.visible(held):
            tops = {one.taken.name: self._reader.top(one) for one in held}
            roots = tuple(
                SnapshotRoot(
                    content_path=path,
                    directory=tops[ref.handle.get(f"snapshot.{number}", ref.name)]
                    / ref.handle.get(f"below.{number}", ""),
                )
                for number, path in enumerate(ref.content)
            )
            with held_open(roots, tops.values(), ref.name) as opened:
                yield opened

    def exists(self, ref: SnapshotRef) -> bool:
        owned_snapshot_name(ref.name, self.install)
        try:
            return bool(self.shelf.of(self.shelf.look(), ref))
        except SnapshotMissing:
            return False

    def list(self) -> Sequence[SnapshotRef]:
        return self.shelf.refs(self.shelf.look())

    def delete(self, ref: SnapshotRef) -> None:
        owned_snapshot_name(ref.name, self.install)
        held = self.shelf.held(self.shelf.look(), [owned_snapshot_name(one, self.install) for one in names_of(ref)])
        self._reader.refuse_while_read(held, ref.name)
        for one in held:
            self._reader.remove_exports(one)
            self.client.delete(one.taken)

    def plan_revert(self, ref: SnapshotRef, control: Control, *, seconds: float) -> RevertPlan:
        """See :class:`~jobs.engine.snapshots.base.Reverter`. Dell tells of no snapshot that a restore would cost."""
        why_not = self._why_not_whole(ref)
        with self.open(ref) as roots:
            plan = look_in_place(roots, control, self._clock, seconds=seconds, keep=self._left_alone(ref))
        if why_not:
            return replace(plan, warnings=(f"Files are reverted one by one: {why_not}.", *plan.warnings))
        warning = (
            "The array puts the whole file system back at one moment, for all who use it. What they write meanwhile is "
            "lost, so stop them first: this node sees only what is open on itself."
        )
        return replace(plan, is_exchanged=True, warnings=(warning, *plan.warnings))

    def revert(self, ref: SnapshotRef, control: Control) -> Reverted:
        """See :class:`~jobs.engine.snapshots.base.Reverter`. By the array where that touches nothing else."""
        if not self._why_not_whole(ref):
            return self._restore(ref, control)
        with self.open(ref) as roots:
            make_missing(ref.content)
            return revert_in_place(roots, control, keep=self._left_alone(ref))

    def was_exchanged_since(self, ref: SnapshotRef) -> bool | None:
        """The array does not say."""
        return None

    def test(self) -> TestReport:
        return run_test(self)

    def _restore(self, ref: SnapshotRef, control: Control) -> Reverted:
        """What the array has lost with it is found by looking, and not by trusting that it is nothing."""
        nas = self.shelf.look()
        held = self.shelf.of(nas, ref)
        before = [one.name for one in self.shelf.refs(nas)]
        for one in held:
            control.check()
            self.client.restore(one.taken)
        after = {one.name for one in self.shelf.refs(nas)}
        return Reverted(is_exchanged=True, lost=tuple(name for name in before if name not in after))

    def _why_not_whole(self, ref: SnapshotRef) -> str:
        """What keeps the array from restoring it, as a part of a sentence; empty = it can.

        Raises what keeps it from being reverted at all.
        """
        owned_snapshot_name(ref.name, self.install)
        require_parents(ref.content)
        require_nobody_writes(ref.content)
        placed = place_content(self.options.mount, ref.content)
        part = next((one for one in placed if one.part.below), None)
        return f"the content is only a part of the file system “{part.file_system}”" if part else ""

    def _left_alone(self, ref: SnapshotRef) -> frozenset[tuple[int, int]]:
        """The snapshots themselves, where they are shown in the live data."""
        found = set()
        for path in ref.content:
            with contextlib.suppress(OSError):
                status = os.stat(os.path.join(path, SNAPSHOTS))
                found.add((status.st_dev, status.st_ino))
        return frozenset(found)

    def _take_back(self, nas: Nas, names: Sequence[str]) -> None:
        """All or nothing: also what was taken although the answer was lost."""
        held: list[Held] = []
        with contextlib.suppress(EngineError):
            held = self.shelf.held(nas, names)
        for one in held:
            with contextlib.suppress(EngineError):
                self.client.delete(one.taken)
