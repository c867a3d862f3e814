"""Snapshots on ZFS: read-only, instant, all datasets of one moment; held, so that nobody else destroys them.

A snapshot is ``dataset@name``; what describes it are properties of its own (:mod:`.shelf`), where it is read is told
in :mod:`.reading`. What changed between two is found by a walk: ``zfs diff`` is not used, see the docs page.
"""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Final

from ...clock import Clock, SystemClock
from ...errors import EngineError, EngineUnsupported, InvalidOptions, SnapshotMissing, SourceMissing, StorageBusy
from ...events import Control, FreeRun
from ...ids import SnapshotName
from ...media.base import TestReport
from ..base import Capability, Replicated, Reverted, RevertPlan, SnapshotEngine, SnapshotRef, SnapshotRoot
from ..channel import Channel
from ..content import checked_content, is_inside, refuse_missing
from ..probe import Probe, run_steps
from ..reverting import look_in_place, make_missing, require_nobody_writes, require_parents, revert_in_place
from .command import Zfs, checked_dataset
from .reading import ReadingRoom
from .revert import Rollback
from .shelf import ENGINE, Shelf, description, new_ref
from .transfer import receive, send, take_over
from .volume import (
    Part,
    common_dataset,
    datasets_of,
    left_out,
    mount_point,
    parts_of,
    parts_of_ref,
    require_mounted,
    whole_name,
)

_FREE_RUN: Final = FreeRun()


_Revertible = tuple[tuple[Part, ...], list[tuple[str, str]]]
"""The parts of a snapshot, and (dataset, name) of what is newer there."""


def _default_area() -> Path:
    """Gone after a restart for root, as is what it is for; of the account for anybody else."""
    if os.geteuid() == 0:
        return Path("/run/snapcopy/zfs")
    return Path(pwd.getpwuid(os.geteuid()).pw_dir) / ".local/share/snapcopy/zfs"


@dataclass(frozen=True, slots=True, kw_only=True)
class ZfsOptions:
    """The dataset, where clones are mounted while they are read, and how long one command may take."""

    dataset: str = field(
        metadata={
            "label": "Dataset",
            "help": "The ZFS dataset that holds the content paths, as “zfs list” names it, like tank/data. Content may "
            "also lie in datasets below it: all are snapped at one moment.",
        }
    )
    area: Path = field(
        default_factory=_default_area,
        metadata={
            "label": "Working directory",
            "help": "Directory on the access node where a snapshot is mounted while it is read, if the dataset does "
            "not show it in “.zfs/snapshot” itself. Nothing stays in it. Not inside the dataset.",
        },
    )
    timeout_seconds: int = field(
        default=120,
        metadata={
            "label": "Time limit",
            "help": "Seconds that one zfs command may take; sending a snapshot has no limit.",
            "minimum": 1,
            "maximum": 86_400,
        },
    )

    def __post_init__(self) -> None:
        checked_dataset(self.dataset)


class ZfsEngine:
    """See :class:`~jobs.engine.snapshots.base.SnapshotEngine`."""

    name: ClassVar[str] = ENGINE
    label: ClassVar[str] = "ZFS"
    summary: ClassVar[str] = (
        "Read-only snapshots of a ZFS dataset and those below it. Instant and of one moment; copies look at every file "
        "for what changed. A revert of a whole dataset deletes newer snapshots. Needs the zfs command, and root."
    )
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.INSTANT,
            Capability.ATOMIC,
            Capability.REPLICATE,
            Capability.STREAM,
            Capability.SENDS_DIFFERENCE,
            Capability.REVERT,
            Capability.REVERT_DELETES_NEWER,
        }
    )
    """Not READ_ONLY, though its snapshots are: a link to a clone would lead nowhere when the clone has gone."""

    def __init__(self, options: ZfsOptions, install: str, clock: Clock | None = None) -> None:
        self.dataset = options.dataset
        self.install = install
        self._clock = clock or SystemClock()
        self._zfs = Zfs(options.timeout_seconds, self._clock)
        self._room = ReadingRoom(options.area, install, self._zfs, self._clock)
        self._shelf = Shelf(self.dataset, install, self._zfs, self._room)
        self._rollback = Rollback(self._shelf, self._zfs)

    def validate_content(self, content: Sequence[str]) -> None:
        paths = checked_content(content)
        refuse_missing(paths)
        self._fit(paths)

    def create(self, name: SnapshotName, content: Sequence[str], control: Control) -> SnapshotRef:
        self._shelf.owned(name)
        parts = self._fit(checked_content(content))
        self._room.sweep(self.dataset, control)
        if any(found == name for _dataset, found in self._shelf.whole_names(control)):
            raise StorageBusy(f"There is already a snapshot “{name}”.", hint="Resubmit the job; it takes a new name.")
        ref = new_ref(name, parts, taken_at_ns=self._clock.now_ns(), warnings=list(left_out(parts)))
        datasets = datasets_of(parts)
        top = common_dataset(datasets)
        try:
            self._zfs.snapshot(whole_name(top, name), description(ref), control, is_recursive=len(datasets) > 1)
            self._shelf.hold(datasets, name, control)
        except BaseException:
            with contextlib.suppress(EngineError):
                self._shelf.remove(name, _FREE_RUN)
            raise
        return ref

    @contextlib.contextmanager
    def open(self, ref: SnapshotRef) -> Iterator[tuple[SnapshotRoot, ...]]:
        self._shelf.owned(ref.name)
        parts = parts_of_ref(ref, self.dataset)
        with contextlib.ExitStack() as stack:
            tops = {
                dataset: stack.enter_context(self._room.reading(dataset, ref.name, _FREE_RUN))
                for dataset in datasets_of(parts)
            }
            roots = tuple(
                SnapshotRoot(content_path=part.content, directory=tops[part.dataset] / part.inside) for part in parts
            )
            for root in roots:
                if not root.directory.is_dir():
                    raise SnapshotMissing(f"Snapshot “{ref.name}” does not hold “{root.content_path}”.")
            yield roots

    def exists(self, ref: SnapshotRef) -> bool:
        return self._shelf.find(self._shelf.owned(ref.name), _FREE_RUN) is not None

    def list(self) -> Sequence[SnapshotRef]:
        return self._shelf.refs(_FREE_RUN)

    def delete(self, ref: SnapshotRef) -> None:
        self._shelf.remove(self._shelf.owned(ref.name), _FREE_RUN)

    def plan_revert(self, ref: SnapshotRef, control: Control, *, seconds: float) -> RevertPlan:
        """See :class:`~jobs.engine.snapshots.base.Reverter`. Rolled back where it can be, which costs newer ones."""
        parts, newer = self._revertible(ref, control)
        with self.open(ref) as roots:
            why_not = self._rollback.why_not(parts, newer, roots, control)
            plan = look_in_place(roots, control, self._clock, seconds=seconds, keep=())
        if not why_not:
            return replace(plan, is_exchanged=True, lost=self._rollback.lost(newer))
        return replace(plan, warnings=(f"Files are reverted one by one: {why_not}.", *plan.warnings))

    def revert(self, ref: SnapshotRef, control: Control) -> Reverted:
        """See :class:`~jobs.engine.snapshots.base.Reverter`."""
        parts, newer = self._revertible(ref, control)
        with self.open(ref) as roots:
            if self._rollback.why_not(parts, newer, roots, control):
                make_missing(ref.content)
                self._fit(ref.content)
                return revert_in_place(roots, control, keep=())
        return Reverted(is_exchanged=True, lost=self._rollback.run(parts, ref.name, newer, control))

    def was_exchanged_since(self, ref: SnapshotRef) -> bool | None:
        """A dataset that was rolled back does not say so."""
        return None

    def _revertible(self, ref: SnapshotRef, control: Control) -> _Revertible:
        """Where its content was, and what is newer there. Raises what keeps it from being reverted at all."""
        self._shelf.require(self._shelf.owned(ref.name), control)
        require_parents(ref.content)
        self._fit([path for path in ref.content if os.path.lexists(path)])
        require_nobody_writes(ref.content)
        parts = parts_of_ref(ref, self.dataset)
        return parts, self._rollback.newer(parts, ref.name, control)

    def replicate(
        self, ref: SnapshotRef, source: SnapshotEngine, base: SnapshotRef | None, control: Control
    ) -> Replicated:
        """See :class:`~jobs.engine.snapshots.base.Replicator`. Both pools must be imported on this node."""
        if not isinstance(source, ZfsEngine):
            raise EngineUnsupported(f"Snapshots of the engine “{source.label}” cannot be sent to a ZFS.")
        return take_over(self._shelf, source.shelf, ref, base, control)

    def send(self, ref: SnapshotRef, base: SnapshotRef | None, channel: Channel, control: Control) -> Replicated:
        """See :class:`~jobs.engine.snapshots.base.Streamer`."""
        return send(self._shelf, ref, base, channel, control)

    def receive(self, channel: Channel, control: Control) -> Replicated:
        """See :class:`~jobs.engine.snapshots.base.Streamer`."""
        return receive(self._shelf, channel, control)

    @property
    def shelf(self) -> Shelf:
        """Its snapshots, for another ZFS that takes one over."""
        return self._shelf

    def test(self) -> TestReport:
        with contextlib.ExitStack() as stack:
            probes: list[Probe] = []

            def look() -> str:
                if not self._zfs.exists(self.dataset, _FREE_RUN):
                    raise SourceMissing(
                        f"There is no dataset “{self.dataset}”.", hint="“zfs list” shows those of the imported pools."
                    )
                return f"“{self.dataset}” is mounted at “{require_mounted(self.dataset)}”"

            def reach() -> str:
                self._require_area()
                self._room.sweep(self.dataset, _FREE_RUN)
                return f"what is read without “.zfs” is mounted below “{self._room.path}”"

            def probe() -> Probe:
                if not probes:
                    probes.append(Probe(self, self.install, Path(require_mounted(self.dataset))))
                    stack.callback(probes[0].clean_up)
                return probes[0]

            def take() -> str:
                content = (require_mounted(self.dataset),)
                return probe().take(lambda name: self.create(name, content, _FREE_RUN))

            return run_steps(
                [
                    ("storage", look),
                    ("area", reach),
                    ("write", lambda: probe().write()),
                    ("snapshot", take),
                    ("open", lambda: probe().read()),
                    ("list", lambda: probe().find()),
                    ("delete", lambda: probe().delete()),
                ],
                self._room.path,
            )

    def _fit(self, content: Sequence[str]) -> tuple[Part, ...]:
        checked_dataset(self.dataset)
        self._require_area()
        for path in content:
            if is_inside(os.path.realpath(path), os.path.realpath(self._room.path)):
                raise InvalidOptions(f"“{path}” is inside the directory for clones.", field="content_paths")
        return parts_of(content, self.dataset, self.install)

    def _require_area(self) -> None:
        """Raises InvalidOptions (``area``) for one whose clones would be mounted inside the live data."""
        point = mount_point(self.dataset)
        if point is not None and is_inside(os.path.realpath(self._room.path), point):
            raise InvalidOptions(
                f"“{self._room.path}” is inside the dataset “{self.dataset}”.",
                field="area",
                hint="Leave it as it was proposed, or name a directory on another file system.",
            )
