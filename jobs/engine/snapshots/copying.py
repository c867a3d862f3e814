"""What the engines that copy files have in common: growing a snapshot in the area, opening, listing and deleting it.

A snapshot is a directory ``<area>/<name>`` with ``manifest.json``, ``origins.npy`` and one tree ``0``, ``1`` … per
content path. Which places are fit for an engine, and its options, are the drivers' own.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Final

from ..clock import Clock, SystemClock
from ..errors import InvalidOptions, SnapshotMissing, SourceUnavailable
from ..events import Control, FreeRun
from ..ids import SnapshotName
from ..media.base import TestReport
from .area import SnapshotArea
from .base import Capability, Replicated, Reverted, RevertPlan, SnapshotEngine, SnapshotRef, SnapshotRoot
from .content import checked_content, refuse_missing, require_directory
from .copy_report import CopyReport
from .file_copy import SourceReadError, supports_clone
from .origins import Origins
from .probe import Probe, run_steps
from .reverting import look_in_place, make_missing, require_nobody_writes, require_parents, revert_in_place
from .storage_errors import area_error, source_error
from .tree_copy import TreeCopier
from .tree_remove import remove_tree
from .work_queue import WorkQueue

ORIGINS: Final = "origins.npy"


class CopyingEngine(ABC):
    """A :class:`~jobs.engine.snapshots.base.SnapshotEngine` without the word of a driver on what is fit.

    Holds nothing open between calls. A driver says what is fit in ``require_fit`` and ``describe_place``.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    summary: ClassVar[str]
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.REPLICATE, Capability.REVERT})

    cross_file_systems = False
    copied_warning = ""
    """Says that data was copied that should have been cloned; empty where copying is nothing special."""

    def __init__(self, area: Path, install: str, clock: Clock | None = None) -> None:
        self.area = SnapshotArea(area, install)
        self._clock = clock or SystemClock()

    @abstractmethod
    def require_fit(self, content: Sequence[str]) -> None:
        """Raise InvalidOptions (``content_paths`` or another option) or EngineUnsupported; paths exist."""

    @abstractmethod
    def describe_place(self) -> str:
        """For a Test: what the area can do. Raises what makes it unfit."""

    def left_out(self) -> frozenset[tuple[int, int]]:
        """(device, inode) of directories that are no part of any content."""
        return frozenset()

    def validate_content(self, content: Sequence[str]) -> None:
        paths = checked_content(content)
        refuse_missing(paths)
        self.require_fit(paths)

    def create(self, name: SnapshotName, content: Sequence[str], control: Control) -> SnapshotRef:
        paths = checked_content(content)
        for path in paths:
            require_directory(path)
        self.area.owned(name)
        self.require_fit(paths)
        return self._create(name, paths, control)

    def replicate(
        self, ref: SnapshotRef, source: SnapshotEngine, base: SnapshotRef | None, control: Control
    ) -> Replicated:
        """See :class:`~jobs.engine.snapshots.base.Replicator`. A complete copy each time; ``base`` is not looked at."""
        self.area.prepare()
        if isinstance(source, CopyingEngine) and os.path.realpath(source.area.path) == os.path.realpath(self.area.path):
            raise InvalidOptions("A snapshot cannot be copied to the area it lies in.", field="area")
        with source.open(ref) as roots:
            if self.exists(ref):
                return Replicated(ref=self.area.read_ref(ref.name), sent_bytes=0)
            return self._take_over(ref, roots, control)

    def _take_over(self, ref: SnapshotRef, roots: Sequence[SnapshotRoot], control: Control) -> Replicated:
        report = CopyReport()
        with self.area.staged(ref.name) as staging:
            copier = TreeCopier(WorkQueue(control), report)
            for number, root in enumerate(roots):
                self._copy(copier, str(root.directory), staging / str(number))
            if report.unread:
                raise SourceUnavailable(
                    f"{len(report.unread)} files of the snapshot “{ref.name}” cannot be read: {report.warnings[0]}",
                    hint="Run the access node as root, or give its account the right to read the snapshot area.",
                )
            for table in {root.origins for root in roots if root.origins is not None}:
                report.origins.pass_on(Origins(table))
            with self.area.errors("write to the snapshot area"):
                report.origins.write(staging / ORIGINS)
            copied = replace(
                ref,
                engine=self.name,
                handle={"path": str(self.area.directory(ref.name))},
                exclusive_bytes=report.bytes_copied,
                unread=(),
            )
            self.area.write_manifest(copied, staging)
        return Replicated(ref=copied, sent_bytes=report.bytes_copied)

    @contextlib.contextmanager
    def open(self, ref: SnapshotRef) -> Iterator[tuple[SnapshotRoot, ...]]:
        with self.area.held(ref.name) as directory:
            roots = tuple(
                SnapshotRoot(content_path=path, directory=directory / str(number), origins=directory / ORIGINS)
                for number, path in enumerate(ref.content)
            )
            for root in roots:
                if not root.directory.is_dir():
                    raise SnapshotMissing(f"Snapshot “{ref.name}” does not hold “{root.content_path}”.")
            yield roots

    def exists(self, ref: SnapshotRef) -> bool:
        return os.path.isdir(self.area.directory(ref.name))

    def list(self) -> Sequence[SnapshotRef]:
        """Those with a manifest of this engine; another engine may keep its own in the same area."""
        found = []
        for name in self.area.names():
            with contextlib.suppress(SnapshotMissing):
                ref = self.area.read_ref(name)
                if ref.engine == self.name:
                    found.append(ref)
        return found

    def delete(self, ref: SnapshotRef) -> None:
        self.area.remove(ref.name)

    def plan_revert(self, ref: SnapshotRef, control: Control, *, seconds: float) -> RevertPlan:
        """See :class:`~jobs.engine.snapshots.base.Reverter`."""
        self._require_revertible(ref)
        with self.open(ref) as roots:
            return look_in_place(
                roots,
                control,
                self._clock,
                seconds=seconds,
                keep=self.left_out(),
                cross_file_systems=self.cross_file_systems,
            )

    def revert(self, ref: SnapshotRef, control: Control) -> Reverted:
        """See :class:`~jobs.engine.snapshots.base.Reverter`. Every file takes the place of the live one when whole."""
        self._require_revertible(ref)
        with self.open(ref) as roots:
            make_missing(ref.content)
            self.require_fit(ref.content)
            return revert_in_place(roots, control, keep=self.left_out(), cross_file_systems=self.cross_file_systems)

    def was_exchanged_since(self, ref: SnapshotRef) -> bool | None:
        """A copy does not know what it was made from any more."""
        return None

    def _require_revertible(self, ref: SnapshotRef) -> None:
        require_parents(ref.content)
        self.require_fit([path for path in ref.content if os.path.lexists(path)])
        require_nobody_writes(ref.content)

    def test(self) -> TestReport:
        """The probe's file lies in the area, so that nothing is written where users' files are."""
        with contextlib.ExitStack() as stack:
            folder: list[Path] = []

            def reach() -> str:
                self.area.prepare()
                folder.append(stack.enter_context(self._probe_folder()))
                return f"snapshots go to “{self.area.path}”"

            def probe() -> Probe:
                if not probes:
                    probes.append(Probe(self, self.area.install, folder[0]))
                    stack.callback(probes[0].clean_up)
                return probes[0]

            def take() -> str:
                return probe().take(lambda name: self._create(name, (str(folder[0]),), FreeRun()))

            probes: list[Probe] = []
            return run_steps(
                [
                    ("area", reach),
                    ("storage", self.describe_place),
                    ("write", lambda: probe().write()),
                    ("snapshot", take),
                    ("open", lambda: probe().read()),
                    ("list", lambda: probe().find()),
                    ("delete", lambda: probe().delete()),
                ],
                self.area.path,
            )

    def clones(self) -> bool:
        """Whether the area's file system can share blocks between files. Raises the errors of the area."""
        self.area.prepare()
        with self.area.errors("try the snapshot area"):
            return supports_clone(str(self.area.path))

    def _create(self, name: SnapshotName, content: Sequence[str], control: Control) -> SnapshotRef:
        report = CopyReport()
        with self.area.staged(name) as staging:
            taken_at_ns = self._clock.now_ns()
            copier = TreeCopier(
                WorkQueue(control), report, skip=self.left_out(), cross_file_systems=self.cross_file_systems
            )
            for number, path in enumerate(content):
                self._copy(copier, path, staging / str(number))
            with self.area.errors("write to the snapshot area"):
                report.origins.write(staging / ORIGINS)
            if self.copied_warning and report.bytes_copied:
                report.warn(f"{self.copied_warning} ({report.bytes_copied} bytes)")
            ref = SnapshotRef(
                name=name,
                engine=self.name,
                taken_at_ns=taken_at_ns,
                content=tuple(content),
                handle={"path": str(self.area.directory(name))},
                exclusive_bytes=report.bytes_copied,
                warnings=report.warnings,
                unread=report.unread,
            )
            self.area.write_manifest(ref, staging)
        return ref

    def _copy(self, copier: TreeCopier, path: str, target: Path) -> None:
        try:
            with self.area.errors("write to the snapshot area"):
                copier.copy(path, str(target))
        except SourceReadError as error:
            raise source_error(OSError(error.number, ""), path) from error

    @contextlib.contextmanager
    def _probe_folder(self) -> Iterator[Path]:
        try:
            folder = tempfile.mkdtemp(prefix=".probe-", dir=self.area.path)
        except OSError as error:
            raise area_error(error, "write to the snapshot area", str(self.area.path)) from error
        try:
            yield Path(folder)
        finally:
            with contextlib.suppress(OSError):
                remove_tree(folder)
