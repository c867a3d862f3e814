"""NetApp ONTAP by REST and NDMP: snapshots that the cluster takes, dumped from their own directory without any mount.

A content path is a volume as NDMP calls it, ``/SVM/volume`` or a directory in it. A backup copy is a dump of
``/SVM/volume/.snapshot/NAME``: of the moment of the snapshot, whenever it is made. Levels and tokens go by the content
path, so that a dump of one snapshot is built on a dump of the one before (RULES L5); that ONTAP accepts a token of
another snapshot's path as its base is not documented, and untried.
"""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from ...clock import Clock, SystemClock
from ...errors import EngineError, EngineUnsupported, InvalidOptions, SnapshotMissing
from ...events import Control, FreeRun
from ...ids import SnapshotName, owned_snapshot_name
from ...media.base import TestReport
from ...ndmp.dump_source import DumpSource
from ...ndmp.profiles import ONTAP
from ..arrays.clients import load
from ..arrays.description import Part
from ..base import Capability, SnapshotRef, SnapshotRoot
from ..content import checked_content
from ..ndmp.test import run_test
from ..probe import Probe, run_steps
from .ndmp_options import OntapNdmpOptions
from .snapshots import handle_of, places_of, ref_of, take
from .volumes import SNAPSHOT_DIRECTORY, Placed, Volume, by_name, pattern

if TYPE_CHECKING:
    from .client import OntapClient


class OntapNdmpEngine:
    """See :class:`~jobs.engine.snapshots.base.SnapshotEngine` and :class:`~jobs.engine.snapshots.base.DumpStreamer`."""

    name: ClassVar[str] = "ontap-ndmp"
    label: ClassVar[str] = "NetApp ONTAP by NDMP"
    summary: ClassVar[str] = (
        "Snapshots of ONTAP volumes by the cluster’s REST interface, copied as NDMP dumps of the snapshots. Nothing is "
        "mounted. Files come back through the filer, from media."
    )
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.INSTANT,
            Capability.ATOMIC,
            Capability.READ_ONLY,
            Capability.KEEPS_BASE_SNAPSHOT,
            Capability.DUMP_STREAM,
            Capability.DUMP_OF_SNAPSHOT,
        }
    )

    def __init__(self, options: OntapNdmpOptions, install: str, clock: Clock | None = None) -> None:
        self.options = options
        self.install = install
        self.clock = clock or SystemClock()

    def connect(self) -> OntapClient:
        """A connection of its own. Raises EngineUnsupported where the maker's client is not installed."""
        module = load(f"{__package__}.client", package="netapp-ontap")
        client: OntapClient = module.OntapClient(self.options.cluster(), self.clock)
        return client

    def validate_content(self, content: Sequence[str]) -> None:
        for path in checked_content(content):
            self._split(path)

    def create(self, name: SnapshotName, content: Sequence[str], control: Control) -> SnapshotRef:
        paths = checked_content(content)
        owned_snapshot_name(name, self.install)
        with self.connect() as client:
            placed = self._place(paths, client.volumes())
            taken_at_ns = take(client, self.clock, name, placed, control)
        return SnapshotRef(
            name=name, engine=self.name, taken_at_ns=taken_at_ns, content=paths, handle=handle_of(placed)
        )

    def open(self, ref: SnapshotRef) -> AbstractContextManager[tuple[SnapshotRoot, ...]]:
        raise EngineUnsupported(
            f"“{ref.name}” cannot be opened: its files are read by NDMP only.",
            hint="Restore from one of its backup copies, or add the cluster as a file server of “NetApp ONTAP” by NFS.",
        )

    def exists(self, ref: SnapshotRef) -> bool:
        owned_snapshot_name(ref.name, self.install)
        wanted = {uuid for uuid, _below in places_of(ref)}
        with self.connect() as client:
            there = {one.volume for one in client.snapshots(ref.name)}
        return bool(wanted) and wanted <= there

    def list(self) -> Sequence[SnapshotRef]:
        with self.connect() as client:
            names = {one.uuid: one.name for one in client.volumes()}
            found = by_name(client.snapshots(pattern(self.install)))
        refs = []
        for name, parts in found.items():
            with contextlib.suppress(EngineError):
                owned_snapshot_name(name, self.install)
                refs.append(
                    ref_of(name, self.name, parts, lambda uuid: self._path(names[uuid]) if uuid in names else "")
                )
        return refs

    def delete(self, ref: SnapshotRef) -> None:
        owned_snapshot_name(ref.name, self.install)
        wanted = {uuid for uuid, _below in places_of(ref)}
        with self.connect() as client:
            for one in client.snapshots(ref.name):
                if one.volume in wanted:
                    client.delete_snapshot(one, FreeRun())

    def test(self) -> TestReport:
        """The cluster first, then the NDMP service; what is offered are the volumes as NDMP calls them."""
        volumes: list[Volume] = []
        probe = Probe(self, self.install, self.options.cluster().namespace_mount)

        def log_in() -> str:
            with self.connect() as client:
                name, version = client.cluster()
                client.svm()
            return f"as “{self.options.account}” at {self.options.cluster().address}: {name}, {version}"

        def look() -> str:
            with self.connect() as client:
                volumes.extend(one for one in client.volumes() if one.is_writable and one.state == "online")
            if not volumes:
                raise EngineError(f"The SVM “{self.options.svm}” has no volume that can be written to.")
            return f"{len(volumes)}: {', '.join(one.name for one in volumes[:20])}"

        def take_probe() -> str:
            probed = min(volumes, key=lambda one: (one.snapshot_count, one.name))
            return probe.take(lambda name: self.create(name, [self._path(probed.name)], FreeRun()))

        try:
            steps = [
                ("cluster", log_in),
                ("volumes", look),
                ("snapshot", take_probe),
                ("list", probe.find),
                ("delete", probe.delete),
            ]
            report = replace(run_steps(steps, self.options.cluster().namespace_mount), usage=None)
        finally:
            probe.clean_up()
        if not report.ok:
            return report
        dumps = run_test(self.options.ndmp())
        found = [self._described(one) for one in volumes]
        return replace(
            report,
            steps=(*report.steps, *(replace(step, name=f"NDMP {step.name}") for step in dumps.steps)),
            facts=dict(dumps.facts) | {"profile": ONTAP.key, "file_systems": found},
            warnings=dumps.warnings,
        )

    def dump_source(self, control: Control, ref: SnapshotRef | None = None) -> DumpSource:
        """Raises SnapshotMissing where the snapshot is not on every volume any more."""
        ndmp = self.options.ndmp()
        return DumpSource(
            server=ndmp.server(),
            profile=ONTAP,
            type=ndmp.backup_type,
            history=ndmp.history,
            data_path=ndmp.data_path(),
            read_at=self._read_at(ref, control) if ref is not None else {},
        )

    def _read_at(self, ref: SnapshotRef, control: Control) -> dict[str, str]:
        """By content path, where the snapshot's files are for NDMP; a volume that was renamed since is found."""
        control.check()
        with self.connect() as client:
            names = {one.uuid: one.name for one in client.volumes()}
            there = {one.volume for one in client.snapshots(ref.name)}
        places = places_of(ref)
        if len(places) < len(ref.content) or any(uuid not in there or uuid not in names for uuid, _below in places):
            raise SnapshotMissing(f"Snapshot “{ref.name}” is not on the SVM “{self.options.svm}” any more.")
        return {
            path: posixpath.join(self._path(names[uuid]), SNAPSHOT_DIRECTORY, ref.name, below).rstrip("/")
            for path, (uuid, below) in zip(ref.content, places, strict=True)
        }

    def _path(self, volume: str) -> str:
        return f"/{self.options.svm}/{volume}"

    def _place(self, content: Sequence[str], volumes: Sequence[Volume]) -> tuple[Placed, ...]:
        known = {one.name: one for one in volumes}
        placed = []
        for number, path in enumerate(content):
            name, below = self._split(path)
            if name not in known:
                raise InvalidOptions(
                    f"The SVM “{self.options.svm}” has no volume “{name}”.",
                    field="content_paths",
                    hint="Test shows those it has.",
                )
            placed.append(Placed(part=Part(number=number, path=path, below=below), volume=known[name]))
        return tuple(placed)

    def _split(self, path: str) -> tuple[str, str]:
        """(volume, what is below it). Raises InvalidOptions (``content_paths``)."""
        svm, _, rest = path.lstrip("/").partition("/")
        volume, _, below = rest.partition("/")
        if svm != self.options.svm or not volume:
            raise InvalidOptions(
                f"“{path}” is no volume of the SVM “{self.options.svm}”.",
                field="content_paths",
                hint=f"Write it as NDMP calls it: /{self.options.svm}/volume, or a directory in it.",
            )
        if SNAPSHOT_DIRECTORY in below.split("/"):
            raise InvalidOptions(
                f"“{path}” is inside a snapshot.", field="content_paths", hint="Name the live directory instead."
            )
        return volume, below

    def _described(self, one: Volume) -> dict[str, object]:
        return {
            "path": self._path(one.name),
            "kind": one.style,
            "total_bytes": one.total_bytes,
            "used_bytes": one.used_bytes,
            "status": one.state,
            "snapshots": one.snapshot_count,
            "reading": "NDMP",
        }
