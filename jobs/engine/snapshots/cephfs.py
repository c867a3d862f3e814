"""Snapshots on CephFS: a directory made in ``.snap`` is a read-only snapshot of everything below, at one moment.

Ceph's documentation (“CephFS snapshots”, “Experimental features: snapshots”) gives the facts: mkdir and rmdir in the
hidden directory ``.snap`` take and remove one; at most ``mds_max_snaps_per_dir`` (100) of one directory; those of a
directory above show there as ``_name_inode`` and cannot be removed there. A snapshot is ``<directory>/.snap/<name>``;
``<directory>/.snapcopy/<name>.json`` describes it, and is locked while it is read.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from ..clock import Clock, SystemClock
from ..errors import (
    EngineError,
    EngineUnsupported,
    InvalidOptions,
    NoSpace,
    SnapshotMissing,
    SnapshotNotOurs,
    StorageBusy,
)
from ..events import Control, FreeRun
from ..ids import SnapshotName, owned_snapshot_name
from ..media.base import TestReport
from .area import DEFAULT_FOLDER, hold, read_manifest, require_unread, write_manifest
from .base import Capability, Reverted, RevertPlan, SnapshotRef, SnapshotRoot
from .content import checked_content, is_inside, refuse_missing, require_directory
from .mounts import file_system_type, mounts
from .probe import Probe, run_steps
from .reverting import look_in_place, make_missing, require_nobody_writes, require_parents, revert_in_place
from .storage_errors import area_error

MOST_SNAPSHOTS: Final = 100
"""``mds_max_snaps_per_dir``, unless the cluster's administrator set another."""
_KINDS: Final = frozenset({"ceph", "fuse.ceph-fuse", "fuse.ceph"})
_SNAP: Final = ".snap"
_MANIFEST: Final = ".json"
_INSIDE: Final = "inside."
"""Key of a content path, by its number, relative to the directory, in the handle."""
_FREE_RUN: Final = FreeRun()


@dataclass(frozen=True, slots=True, kw_only=True)
class CephfsOptions:
    """The directory that snapshots are taken of."""

    directory: Path = field(
        metadata={
            "label": "Directory",
            "help": "The directory on CephFS that snapshots are taken of: the mount point, or one below it. Content "
            "paths lie in it. Its snapshots also hold what is in none of them.",
        }
    )


class CephfsEngine:
    """See :class:`~jobs.engine.snapshots.base.SnapshotEngine`."""

    name: ClassVar[str] = "cephfs"
    label: ClassVar[str] = "CephFS"
    summary: ClassVar[str] = (
        "Ceph's own snapshots of a directory. Instant and of one moment; copies look at every file for what changed. "
        "Needs the right to make snapshots (the flag “s”) in the client's capabilities."
    )
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.INSTANT, Capability.ATOMIC, Capability.READ_ONLY, Capability.REVERT}
    )

    def __init__(self, options: CephfsOptions, install: str, clock: Clock | None = None) -> None:
        self.directory = options.directory
        self.install = install
        self._area = options.directory / DEFAULT_FOLDER
        self._clock = clock or SystemClock()

    def validate_content(self, content: Sequence[str]) -> None:
        paths = checked_content(content)
        refuse_missing(paths)
        self._fit(paths)

    def create(self, name: SnapshotName, content: Sequence[str], control: Control) -> SnapshotRef:
        """The description comes first, so that no snapshot is without; what a killed job left is swept here."""
        owned_snapshot_name(name, self.install)
        paths = checked_content(content)
        inside = self._fit(paths)
        if self._is_there(name):
            raise StorageBusy(f"There is already a snapshot “{name}”.", hint="Resubmit the job; it takes a new name.")
        self._sweep()
        control.check()
        ref = SnapshotRef(
            name=name,
            engine=self.name,
            taken_at_ns=self._clock.now_ns(),
            content=paths,
            handle={f"{_INSIDE}{number}": relative for number, relative in enumerate(inside)},
            warnings=tuple(self._left_out(paths)),
        )
        with self._errors("write to"):
            os.makedirs(self._area, 0o700, exist_ok=True)
            write_manifest(ref, self._manifest(name))
        try:
            os.mkdir(self._path(name))
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(self._manifest(name))
            raise self._refusal(error) from error
        return ref

    @contextlib.contextmanager
    def open(self, ref: SnapshotRef) -> Iterator[tuple[SnapshotRoot, ...]]:
        path = self._path(ref.name)
        with self._locked(ref.name) as lock:
            if lock is not None:
                hold(lock, ref.name)
            if not path.is_dir():
                raise SnapshotMissing(f"Snapshot “{ref.name}” is not in “{path.parent}” any more.")
            roots = tuple(
                SnapshotRoot(content_path=one, directory=path / ref.handle.get(f"{_INSIDE}{number}", "."))
                for number, one in enumerate(ref.content)
            )
            for root in roots:
                if not root.directory.is_dir():
                    raise SnapshotMissing(f"Snapshot “{ref.name}” does not hold “{root.content_path}”.")
            yield roots

    def exists(self, ref: SnapshotRef) -> bool:
        return self._is_there(ref.name)

    def list(self) -> Sequence[SnapshotRef]:
        """Those of a directory above (``_name_inode``) have no name of ours."""
        try:
            found = sorted(os.listdir(self.directory / _SNAP))
        except OSError as error:
            raise area_error(error, "list the snapshots of", str(self.directory)) from error
        refs = []
        for entry in found:
            with contextlib.suppress(SnapshotNotOurs):
                refs.append(self._read(owned_snapshot_name(entry, self.install)))
        return refs

    def delete(self, ref: SnapshotRef) -> None:
        path = self._path(ref.name)
        with self._locked(ref.name) as lock:
            if lock is not None:
                require_unread(lock, ref.name)
            try:
                os.rmdir(path)
            except FileNotFoundError:
                pass
            except OSError as error:
                raise self._refusal(error) from error
            with self._errors("remove a description from"), contextlib.suppress(FileNotFoundError):
                os.unlink(self._manifest(ref.name))

    def plan_revert(self, ref: SnapshotRef, control: Control, *, seconds: float) -> RevertPlan:
        """See :class:`~jobs.engine.snapshots.base.Reverter`."""
        self._require_revertible(ref)
        with self.open(ref) as roots:
            return look_in_place(roots, control, self._clock, seconds=seconds, keep=self._left_alone())

    def revert(self, ref: SnapshotRef, control: Control) -> Reverted:
        """See :class:`~jobs.engine.snapshots.base.Reverter`. File by file: CephFS has no other way."""
        self._require_revertible(ref)
        with self.open(ref) as roots:
            make_missing(ref.content)
            self._fit(ref.content)
            return revert_in_place(roots, control, keep=self._left_alone())

    def was_exchanged_since(self, ref: SnapshotRef) -> bool | None:
        """Nothing exchanges a directory of CephFS."""
        return None

    def test(self) -> TestReport:
        probe = Probe(self, self.install, self.directory)

        def look() -> str:
            return f"“{self.directory}” is on CephFS ({self._kind()})"

        def reach() -> str:
            with self._errors("make"):
                os.makedirs(self._area, 0o700, exist_ok=True)
            return f"snapshots are described in “{self._area}”"

        content = (str(self.directory),)
        try:
            return run_steps(
                [
                    ("storage", look),
                    ("area", reach),
                    ("write", probe.write),
                    ("snapshot", lambda: probe.take(lambda name: self.create(name, content, _FREE_RUN))),
                    ("open", probe.read),
                    ("list", probe.find),
                    ("delete", probe.delete),
                ],
                self.directory,
            )
        finally:
            probe.clean_up()

    def _kind(self) -> str:
        """Raises EngineUnsupported, SourceMissing, SourceUnavailable."""
        kind = file_system_type(require_directory(str(self.directory)).st_dev)
        if kind not in _KINDS:
            raise EngineUnsupported(
                f"“{self.directory}” is {kind or 'something else'}, not CephFS.",
                hint="Mount the file system with the kernel's client or with ceph-fuse on every access node.",
            )
        return kind

    def _fit(self, content: Sequence[str]) -> tuple[str, ...]:
        """Each content path relative to the directory."""
        self._kind()
        top = os.path.realpath(self.directory)
        device = require_directory(top).st_dev
        inside = []
        for path in content:
            real = os.path.realpath(path)
            if not is_inside(real, top) or _SNAP in real.split("/") or is_inside(real, os.path.realpath(self._area)):
                raise InvalidOptions(
                    f"“{path}” is not live data inside “{self.directory}”.",
                    field="content_paths",
                    hint="Make a file server for each directory whose snapshots are to be of one moment.",
                )
            if require_directory(real).st_dev != device:
                raise InvalidOptions(f"“{path}” is on another file system.", field="content_paths")
            inside.append(os.path.relpath(real, top))
        return tuple(inside)

    def _left_out(self, content: Sequence[str]) -> Iterator[str]:
        for mount in mounts():
            if any(is_inside(mount.point, real) and mount.point != real for real in map(os.path.realpath, content)):
                yield f"“{mount.point}” is another file system and is not in the snapshot."

    def _require_revertible(self, ref: SnapshotRef) -> None:
        require_parents(ref.content)
        self._fit([path for path in ref.content if os.path.lexists(path)])
        require_nobody_writes(ref.content)

    def _left_alone(self) -> frozenset[tuple[int, int]]:
        status = os.stat(self._area)
        return frozenset({(status.st_dev, status.st_ino)})

    def _path(self, name: str) -> Path:
        return self.directory / _SNAP / owned_snapshot_name(name, self.install)

    def _manifest(self, name: str) -> Path:
        return self._area / f"{owned_snapshot_name(name, self.install)}{_MANIFEST}"

    def _is_there(self, name: str) -> bool:
        return self._path(name).is_dir()

    def _read(self, name: SnapshotName) -> SnapshotRef:
        """One whose description is gone is told as one of the whole directory."""
        try:
            return read_manifest(self._manifest(name), name)
        except SnapshotMissing:
            return SnapshotRef(
                name=name,
                engine=self.name,
                taken_at_ns=os.stat(self._path(name)).st_ctime_ns,
                content=(str(self.directory),),
                warnings=("The description of this snapshot is gone.",),
            )

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[int | None]:
        """The open description, for a lock; None = there is none."""
        try:
            lock = os.open(self._manifest(name), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            yield None
            return
        try:
            yield lock
        finally:
            os.close(lock)

    def _sweep(self) -> None:
        """Descriptions whose snapshot was never taken, or was removed outside."""
        with contextlib.suppress(OSError):
            for entry in os.listdir(self._area):
                name = entry.removesuffix(_MANIFEST)
                with contextlib.suppress(SnapshotNotOurs, OSError):
                    if name != entry and not self._is_there(name):
                        os.unlink(self._manifest(name))

    @contextlib.contextmanager
    def _errors(self, action: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise area_error(error, action, str(self._area)) from error

    def _refusal(self, error: OSError) -> EngineError:
        """What mkdir and rmdir in ``.snap`` say: EMLINK at the limit, EPERM and EACCES without the right."""
        if error.errno == errno.EMLINK:
            return NoSpace(
                f"“{self.directory}” has as many snapshots as CephFS allows of one directory.",
                hint="Delete some, or raise mds_max_snaps_per_dir (100 by default).",
            )
        if error.errno in {errno.EPERM, errno.EACCES, errno.EROFS}:
            return InvalidOptions(
                f"This client may not make or remove snapshots of “{self.directory}”.",
                field="directory",
                hint="Give it the flag “s” (ceph fs authorize … rws), and allow snapshots: ceph fs set NAME "
                "allow_new_snaps true.",
            )
        if error.errno == errno.EEXIST:
            return StorageBusy(
                "There is already a snapshot of that name.", hint="Resubmit the job; it takes a new name."
            )
        return area_error(error, "make or remove a snapshot of", str(self.directory))
