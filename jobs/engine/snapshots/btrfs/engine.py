"""Snapshots on btrfs: read-only snapshots of one subvolume, instant, of one moment, and comparable with each other.

A snapshot is the subvolume ``<area>/<name>``; ``<area>/<name>.json`` beside it describes it. What changed between two
is found by :mod:`jobs.engine.source`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Final

from ...clock import Clock, SystemClock
from ...errors import (
    EngineError,
    EngineUnsupported,
    InvalidOptions,
    SnapshotMissing,
    StorageBusy,
)
from ...events import Control, FreeRun
from ...ids import SnapshotName
from ...media.base import TestReport
from ..area import DEFAULT_FOLDER, SnapshotArea
from ..base import Capability, Replicated, Reverted, RevertPlan, SnapshotEngine, SnapshotRef, SnapshotRoot
from ..channel import Channel
from ..content import checked_content, is_inside, refuse_missing
from ..probe import Probe, run_steps
from ..reverting import look_in_place, make_missing, require_nobody_writes, require_parents, revert_in_place
from .progs import BtrfsProgs
from .replica import look_at
from .revert import Exchange
from .shelf import Shelf
from .transfer import receive, send, take_over
from .volume import Volume

_FREE_RUN: Final = FreeRun()
_MANIFEST: Final = ".json"
_RELATIVE: Final = "content."
"""Key of a content path, by its number, relative to the subvolume, in the handle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BtrfsOptions:
    """The subvolume, where its snapshots lie, and how long btrfs-progs may take."""

    volume: Path = field(
        metadata={
            "label": "Volume",
            "help": "The top of the btrfs subvolume that holds the content paths, often a mount point.",
        }
    )
    area: Path | None = field(
        default=None,
        metadata={
            "label": "Snapshot area",
            "help": "Directory for the snapshots, on the same btrfs. Empty: the subvolume “.snapcopy” at the top of "
            "the volume, which is never part of a snapshot.",
        },
    )
    timeout_seconds: int = field(
        default=120,
        metadata={
            "label": "Time limit",
            "help": "Seconds that one btrfs command may take; a volume under heavy load needs more.",
            "minimum": 1,
            "maximum": 86_400,
        },
    )


class BtrfsEngine:
    """See :class:`~jobs.engine.snapshots.base.SnapshotEngine`."""

    name: ClassVar[str] = "btrfs"
    label: ClassVar[str] = "btrfs"
    summary: ClassVar[str] = (
        "Read-only snapshots of a btrfs subvolume. Instant, of one moment, and the next copy asks the file system "
        "what changed. Needs btrfs-progs, and root for the comparison."
    )
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.INSTANT,
            Capability.ATOMIC,
            Capability.DIFF,
            Capability.READ_ONLY,
            Capability.REPLICATE,
            Capability.STREAM,
            Capability.SENDS_DIFFERENCE,
            Capability.REVERT,
        }
    )

    def __init__(self, options: BtrfsOptions, install: str, clock: Clock | None = None) -> None:
        self.volume = options.volume
        self.area = SnapshotArea(options.area or options.volume / DEFAULT_FOLDER, install)
        self._clock = clock or SystemClock()
        self._progs = BtrfsProgs(options.timeout_seconds, self._clock)
        self._shelf = Shelf(self.volume, self.area, self._progs)
        self._exchange = Exchange(self.volume, self.area.path, self._progs)

    def validate_content(self, content: Sequence[str]) -> None:
        paths = checked_content(content)
        refuse_missing(paths)
        self._fit(paths)

    def create(self, name: SnapshotName, content: Sequence[str], control: Control) -> SnapshotRef:
        paths = checked_content(content)
        directory = self.area.directory(name)
        self._exchange.settle()
        volume, relative = self._fit(paths)
        self._prepare_area(volume, control)
        self._shelf.sweep()
        if os.path.lexists(directory):
            raise StorageBusy(f"There is already a snapshot “{name}”.", hint="Resubmit the job; it takes a new name.")
        taken_at_ns = self._clock.now_ns()
        try:
            self._progs.snapshot(str(self.volume), str(directory), control)
            ref = SnapshotRef(
                name=name,
                engine=self.name,
                taken_at_ns=taken_at_ns,
                content=paths,
                handle={"path": str(directory)}
                | {f"{_RELATIVE}{number}": inside for number, inside in enumerate(relative)},
                warnings=tuple(volume.left_out(relative, self.area.path)),
            )
            self._shelf.describe(ref)
        except BaseException:
            with contextlib.suppress(EngineError):
                self._shelf.remove(name)
            raise
        return ref

    @contextlib.contextmanager
    def open(self, ref: SnapshotRef) -> Iterator[tuple[SnapshotRoot, ...]]:
        self.area.owned(ref.name)
        self._exchange.settle()
        if self._shelf.reception.is_open(ref.name):
            raise SnapshotMissing(f"Snapshot “{ref.name}” has not arrived in “{self.area.path}” yet.")
        with self.area.held(ref.name) as directory:
            roots = tuple(
                SnapshotRoot(content_path=path, directory=directory / ref.handle.get(f"{_RELATIVE}{number}", "."))
                for number, path in enumerate(ref.content)
            )
            for root in roots:
                if not root.directory.is_dir():
                    raise SnapshotMissing(f"Snapshot “{ref.name}” does not hold “{root.content_path}”.")
            yield roots

    def exists(self, ref: SnapshotRef) -> bool:
        self.area.owned(ref.name)
        self._exchange.settle()
        return self._shelf.has(ref.name)

    def list(self) -> Sequence[SnapshotRef]:
        self._exchange.settle()
        return self._shelf.refs()

    def delete(self, ref: SnapshotRef) -> None:
        self.area.owned(ref.name)
        self._exchange.settle()
        self._shelf.remove(ref.name)

    def plan_revert(self, ref: SnapshotRef, control: Control, *, seconds: float) -> RevertPlan:
        """See :class:`~jobs.engine.snapshots.base.Reverter`."""
        why_not = self._why_not_exchanged(ref)
        with self.open(ref) as roots:
            plan = look_in_place(roots, control, self._clock, seconds=seconds, keep=self._left_alone())
        if not why_not:
            return replace(plan, is_exchanged=True)
        return replace(plan, warnings=(f"Files are reverted one by one: {why_not}.", *plan.warnings))

    def revert(self, ref: SnapshotRef, control: Control) -> Reverted:
        """See :class:`~jobs.engine.snapshots.base.Reverter`. Exchanged whole where that is safe, else file by file."""
        why_not = self._why_not_exchanged(ref)
        with self.open(ref) as roots:
            if not why_not:
                warnings = self._exchange.run(self.area.directory(ref.name), control)
                return Reverted(is_exchanged=True, warnings=tuple(warnings))
            make_missing(ref.content)
            self._fit(ref.content)
            return revert_in_place(roots, control, keep=self._left_alone())

    def was_exchanged_since(self, ref: SnapshotRef) -> bool | None:
        parent = look_at(self.area.directory(ref.name)).parent
        return parent != Volume.look(self.volume).info.identity if parent is not None else None

    def _why_not_exchanged(self, ref: SnapshotRef) -> str:
        """Raises what keeps it from being reverted at all."""
        self.area.owned(ref.name)
        self._exchange.settle()
        require_parents(ref.content)
        volume, relative = self._fit([path for path in ref.content if os.path.lexists(path)])
        require_nobody_writes(ref.content)
        return self._exchange.why_not(volume, relative, self.area.directory(ref.name))

    def _left_alone(self) -> frozenset[tuple[int, int]]:
        status = os.stat(self.area.path)
        return frozenset({(status.st_dev, status.st_ino)})

    def replicate(
        self, ref: SnapshotRef, source: SnapshotEngine, base: SnapshotRef | None, control: Control
    ) -> Replicated:
        """See :class:`~jobs.engine.snapshots.base.Replicator`. Both storages must be mounted on this node."""
        if not isinstance(source, BtrfsEngine):
            raise EngineUnsupported(f"Snapshots of the engine “{source.label}” cannot be sent to a btrfs.")
        self._prepare_reception(control)
        return take_over(self._shelf, source.shelf, ref, base, control)

    def send(self, ref: SnapshotRef, base: SnapshotRef | None, channel: Channel, control: Control) -> Replicated:
        """See :class:`~jobs.engine.snapshots.base.Streamer`."""
        Volume.look(self.volume).require_rights()
        return send(self._shelf, ref, base, channel, control)

    def receive(self, channel: Channel, control: Control) -> Replicated:
        """See :class:`~jobs.engine.snapshots.base.Streamer`."""
        return receive(self._shelf, channel, control, self._prepare_reception)

    @property
    def shelf(self) -> Shelf:
        """Its snapshots, for another btrfs that takes one over."""
        return self._shelf

    def _prepare_reception(self, control: Control) -> None:
        """The area is there and fit, and nothing of killed jobs is left in it."""
        volume = Volume.look(self.volume)
        volume.require_rights()
        self._prepare_area(volume, control)
        self._shelf.reception.sweep()
        self._shelf.sweep()

    def test(self) -> TestReport:
        probe = Probe(self, self.area.install, self.volume)

        def look() -> str:
            Volume.look(self.volume).require_rights()
            return f"“{self.volume}” is a btrfs subvolume, {self._progs.version(_FREE_RUN)}"

        def reach() -> str:
            self._prepare_area(Volume.look(self.volume), _FREE_RUN)
            return f"snapshots go to “{self.area.path}”"

        try:
            return run_steps(
                [
                    ("storage", look),
                    ("area", reach),
                    ("write", probe.write),
                    ("snapshot", lambda: probe.take(lambda name: self.create(name, (str(self.volume),), _FREE_RUN))),
                    ("open", probe.read),
                    ("list", probe.find),
                    ("delete", probe.delete),
                ],
                self.area.path,
            )
        finally:
            probe.clean_up()

    def _fit(self, content: Sequence[str]) -> tuple[Volume, tuple[str, ...]]:
        """The volume, and each content path relative to it."""
        volume = Volume.look(self.volume)
        volume.require_rights()
        for path in content:
            if is_inside(os.path.realpath(path), os.path.realpath(self.area.path)):
                raise InvalidOptions(f"“{path}” is inside the snapshot area “{self.area.path}”.", field="content_paths")
        return volume, volume.relative(content)

    def _prepare_area(self, volume: Volume, control: Control) -> None:
        """A subvolume, so that no snapshot of the volume it lies in holds it; a plain directory serves too."""
        if not os.path.lexists(self.area.path):
            missing = [folder for folder in self.area.path.parents if not os.path.lexists(folder)]
            with self.area.errors("make the snapshot area"):
                os.makedirs(self.area.path.parent, 0o700, exist_ok=True)
            try:
                volume.require_area(self.area.path.parent)
            except EngineError:
                for folder in missing:
                    with contextlib.suppress(OSError):
                        os.rmdir(folder)
                raise
            self._progs.make_subvolume(str(self.area.path), control)
            with self.area.errors("protect the snapshot area"):
                os.chmod(self.area.path, 0o700)
        volume.require_area(self.area.path)
