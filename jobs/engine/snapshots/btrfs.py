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

from ..clock import Clock, SystemClock
from ..errors import (
    EngineError,
    EngineUnsupported,
    InvalidOptions,
    SnapshotMissing,
    SnapshotNotOurs,
    StorageBusy,
)
from ..events import Control, FreeRun
from ..ids import SnapshotName
from ..media.base import TestReport
from .area import DEFAULT_FOLDER, SnapshotArea, read_manifest, require_unread, write_manifest
from .base import Capability, Replicated, Reverted, RevertPlan, SnapshotEngine, SnapshotRef, SnapshotRoot
from .btrfs_ioctl import is_subvolume_root
from .btrfs_progs import BtrfsProgs
from .btrfs_replica import Reception, is_received_from, look_at, require_received, sync_directory
from .btrfs_revert import Exchange
from .btrfs_stream import send_and_receive
from .btrfs_volume import Volume
from .content import checked_content, is_inside, refuse_missing
from .probe import Probe, run_steps
from .reverting import look_in_place, make_missing, require_nobody_writes, require_parents, revert_in_place

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
            Capability.REVERT,
        }
    )

    def __init__(self, options: BtrfsOptions, install: str, clock: Clock | None = None) -> None:
        self.volume = options.volume
        self.area = SnapshotArea(options.area or options.volume / DEFAULT_FOLDER, install)
        self._clock = clock or SystemClock()
        self._progs = BtrfsProgs(options.timeout_seconds, self._clock)
        self._reception = Reception(self.area, self._remove)
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
        self._sweep()
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
            with self.area.errors("write to the snapshot area"):
                write_manifest(ref, self._manifest(name))
        except BaseException:
            with contextlib.suppress(EngineError):
                self._remove(name)
            raise
        return ref

    @contextlib.contextmanager
    def open(self, ref: SnapshotRef) -> Iterator[tuple[SnapshotRoot, ...]]:
        self.area.owned(ref.name)
        self._exchange.settle()
        if self._reception.is_open(ref.name):
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
        return self._has(ref.name)

    def list(self) -> Sequence[SnapshotRef]:
        self._exchange.settle()
        return [self._read_ref(name) for name in self.area.names() if self._has(name)]

    def delete(self, ref: SnapshotRef) -> None:
        self.area.owned(ref.name)
        self._exchange.settle()
        self._remove(ref.name)

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
        volume = Volume.look(self.volume)
        volume.require_rights()
        self._prepare_area(volume, control)
        if os.path.realpath(self.area.path) == os.path.realpath(source.area.path):
            raise InvalidOptions("A snapshot cannot be sent to the area it lies in.", field="area")
        self._reception.sweep()
        self._sweep()
        with contextlib.ExitStack() as stack:
            directory = stack.enter_context(source.area.held(ref.name))
            sent = look_at(directory)
            if self._has(ref.name):
                require_received(look_at(self.area.directory(ref.name)), sent, ref.name)
                return Replicated(ref=self._read_ref(ref.name), sent_bytes=0)
            base = base if base is not None and self._is_base(base, source) else None
            before = str(stack.enter_context(source.area.held(base.name))) if base is not None else None
            with self._reception.receiving(ref.name):
                count = send_and_receive(str(directory), str(self.area.path), base=before, control=control)
                target = self.area.directory(ref.name)
                with self.area.errors("write to the snapshot area"):
                    sync_directory(target)
                require_received(look_at(target), sent, ref.name)
                copied = replace(ref, handle=ref.handle | {"path": str(target)}, exclusive_bytes=None, unread=())
                with self.area.errors("write to the snapshot area"):
                    write_manifest(copied, self._manifest(ref.name))
        return Replicated(ref=copied, sent_bytes=count, base=base.name if base is not None else None)

    def _is_base(self, base: SnapshotRef, source: BtrfsEngine) -> bool:
        """Whether both still hold it, and ours was received from theirs."""
        try:
            sent = look_at(source.area.directory(base.name))
            return self._has(base.name) and is_received_from(look_at(self.area.directory(base.name)), sent)
        except SnapshotMissing:
            return False

    def _has(self, name: str) -> bool:
        return _is_snapshot(self.area.directory(name)) and not self._reception.is_open(name)

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

    def _remove(self, name: str) -> None:
        directory = self.area.directory(name)
        if os.path.lexists(directory):
            if not _is_snapshot(directory):
                raise SnapshotNotOurs(f"“{directory}” is not a btrfs snapshot, so it is left alone.")
            with self.area.errors("open a snapshot in"):
                lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                require_unread(lock, name)
                self._progs.delete(str(directory), _FREE_RUN)
            finally:
                os.close(lock)
        with self.area.errors("remove a snapshot from"), contextlib.suppress(FileNotFoundError):
            os.unlink(self._manifest(name))

    def _read_ref(self, name: SnapshotName) -> SnapshotRef:
        """A snapshot whose job was killed before it was described is told as one of the whole volume."""
        try:
            return read_manifest(self._manifest(name), name)
        except SnapshotMissing:
            directory = self.area.directory(name)
            return SnapshotRef(
                name=name,
                engine=self.name,
                taken_at_ns=os.stat(directory).st_ctime_ns,
                content=(str(self.volume),),
                handle={"path": str(directory)},
                warnings=("The job that took this snapshot ended before it could describe it.",),
            )

    def _sweep(self) -> None:
        """Descriptions whose snapshot was deleted outside."""
        with self.area.errors("tidy"):
            for entry in os.listdir(self.area.path):
                name = entry.removesuffix(_MANIFEST)
                with contextlib.suppress(SnapshotNotOurs, FileNotFoundError):
                    if name != entry and not os.path.lexists(self.area.directory(name)):
                        os.unlink(self._manifest(name))

    def _manifest(self, name: str) -> Path:
        return self.area.path / f"{self.area.owned(name)}{_MANIFEST}"


def _is_snapshot(directory: Path) -> bool:
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return is_subvolume_root(fd)
    finally:
        os.close(fd)
