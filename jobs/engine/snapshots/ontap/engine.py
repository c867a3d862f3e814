"""NetApp ONTAP: instant snapshots of volumes by the cluster's REST interface, read through the SVM's NFS namespace.

A snapshot has the same name on every volume that holds content; it is there on all of them or on none. Its comment
tells the job and the content paths. Volumes are found anew with each call, so that nothing here outlives a rename.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ...clock import Clock, SystemClock
from ...errors import EngineError, EngineUnsupported, InvalidOptions, SnapshotMissing
from ...events import Control, FreeRun
from ...ids import SnapshotName, owned_snapshot_name
from ...media.base import TestReport
from ..arrays.clients import load
from ..arrays.reading import held, refuse_while_read
from ..base import Capability, Replicated, Reverted, RevertPlan, SnapshotEngine, SnapshotRef, SnapshotRoot
from ..content import checked_content, refuse_missing, require_directory
from ..reverting import look_in_place, make_missing, require_nobody_writes, require_parents, revert_in_place
from .clone import clone_prefix, cloned, remove_clones
from .mirror import find_mirror, require_arrived
from .options import OntapOptions
from .revert import Cost, are_whole, cost, left_alone, refuse_read_only
from .snapshots import VOLUME, handle_of, places_of, ref_of, take
from .test import run_test
from .volumes import (
    Namespace,
    Placed,
    VolumeSnapshot,
    by_name,
    inside_mount,
    pattern,
)

if TYPE_CHECKING:
    from .client import OntapClient


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A snapshot as the cluster has it now, of the volumes that its reference names."""

    namespace: Namespace
    snapshots: dict[str, VolumeSnapshot]


class OntapEngine:
    """See :class:`~jobs.engine.snapshots.base.SnapshotEngine`."""

    name: ClassVar[str] = "ontap"
    label: ClassVar[str] = "NetApp ONTAP"
    summary: ClassVar[str] = (
        "Snapshots of ONTAP volumes, by the cluster’s REST interface. Instant, each volume of one moment. Needs a "
        "login to the cluster, and the SVM’s namespace mounted by NFS on the access nodes."
    )
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.INSTANT,
            Capability.ATOMIC,
            Capability.READ_ONLY,
            Capability.REVERT,
            Capability.REVERT_DELETES_NEWER,
            Capability.KEEPS_BASE_SNAPSHOT,
            Capability.REPLICATE,
        }
    )

    def __init__(self, options: OntapOptions, install: str, clock: Clock | None = None) -> None:
        self.options = options
        self.install = install
        self.clock = clock or SystemClock()

    def connect(self) -> OntapClient:
        """A connection of its own. Raises EngineUnsupported where the maker's client is not installed."""
        module = load(f"{__package__}.client", package="netapp-ontap")
        client: OntapClient = module.OntapClient(self.options, self.clock)
        return client

    def validate_content(self, content: Sequence[str]) -> None:
        """Asks nobody: which volume a path is on is found when the snapshot is taken."""
        paths = checked_content(content)
        refuse_missing(paths)
        for path in paths:
            inside_mount(path, self.options.namespace_mount)

    def create(self, name: SnapshotName, content: Sequence[str], control: Control) -> SnapshotRef:
        paths = checked_content(content)
        for path in paths:
            require_directory(path)
        owned_snapshot_name(name, self.install)
        with self.connect() as client:
            namespace = self._namespace(client)
            placed = namespace.place(paths)
            taken_at_ns = take(client, self.clock, name, placed, control)
        warnings = tuple(
            f"“{inner}” is another volume, so it is not in this snapshot."
            for one in placed
            for inner in namespace.inner(one)
        )
        return SnapshotRef(
            name=name,
            engine=self.name,
            taken_at_ns=taken_at_ns,
            content=paths,
            handle=handle_of(placed),
            warnings=warnings,
        )

    @contextlib.contextmanager
    def open(self, ref: SnapshotRef) -> Iterator[tuple[SnapshotRoot, ...]]:
        owned_snapshot_name(ref.name, self.install)
        with self.connect() as client:
            found = self._require(client, ref)
        with contextlib.ExitStack() as stack:
            tops: dict[str, Path] = {}
            for uuid in found.snapshots:
                volume = found.namespace.volumes[uuid]
                if volume.shows_snapshots:
                    tops[uuid] = found.namespace.snapshot_directory(volume, ref.name)
                else:
                    tops[uuid] = stack.enter_context(cloned(self.connect, found.namespace, volume, ref.name))
            roots = tuple(
                SnapshotRoot(content_path=path, directory=tops[uuid] / below)
                for path, (uuid, below) in zip(ref.content, places_of(ref), strict=True)
            )
            yield stack.enter_context(held(roots, tops.values(), ref.name))

    def exists(self, ref: SnapshotRef) -> bool:
        owned_snapshot_name(ref.name, self.install)
        wanted = {uuid for uuid, _below in places_of(ref)}
        with self.connect() as client:
            there = {one.volume for one in client.snapshots(ref.name)}
        return bool(wanted) and wanted <= there

    def list(self) -> Sequence[SnapshotRef]:
        with self.connect() as client:
            namespace = self._namespace(client)
            found = by_name(client.snapshots(pattern(self.install)))
        refs = []
        for name, parts in found.items():
            with contextlib.suppress(EngineError):
                owned_snapshot_name(name, self.install)
                refs.append(ref_of(name, self.name, parts, namespace.content_path))
        return refs

    def delete(self, ref: SnapshotRef) -> None:
        owned_snapshot_name(ref.name, self.install)
        wanted = {uuid for uuid, _below in places_of(ref)}
        with self.connect() as client:
            namespace = self._namespace(client)
            there = [one for one in client.snapshots(ref.name) if one.volume in wanted]
            refuse_while_read(_tops(namespace, there), ref.name)
            if any(not namespace.volumes[one.volume].shows_snapshots for one in there):
                remove_clones(client, f"{clone_prefix(ref.name)}*")
            for one in there:
                client.delete_snapshot(one, FreeRun())

    def test(self) -> TestReport:
        return run_test(self)

    def plan_revert(self, ref: SnapshotRef, control: Control, *, seconds: float) -> RevertPlan:
        """See :class:`~jobs.engine.snapshots.base.Reverter`."""
        placed, found, lost = self._revertible(ref)
        with self.open(ref) as roots:
            keep = left_alone(found.namespace, (one.volume for one in placed))
            plan = look_in_place(roots, control, self.clock, seconds=seconds, keep=keep)
        return plan if lost is None else lost.told(plan)

    def revert(self, ref: SnapshotRef, control: Control) -> Reverted:
        """See :class:`~jobs.engine.snapshots.base.Reverter`. Whole volumes at one moment each, else file by file."""
        placed, found, lost = self._revertible(ref)
        if lost is not None:
            with self.connect() as client:
                for uuid, snapshot in found.snapshots.items():
                    control.check()
                    client.restore(found.namespace.volumes[uuid], snapshot, control)
            return Reverted(is_exchanged=True, lost=lost.ours)
        with self.open(ref) as roots:
            make_missing(ref.content)
            keep = left_alone(found.namespace, (one.volume for one in placed))
            return revert_in_place(roots, control, keep=keep)

    def was_exchanged_since(self, ref: SnapshotRef) -> bool | None:
        """ONTAP does not tell what its live volume was restored from."""
        return None

    def replicate(
        self, ref: SnapshotRef, source: SnapshotEngine, base: SnapshotRef | None, control: Control
    ) -> Replicated:
        """See :class:`~jobs.engine.snapshots.base.Replicator`. SnapMirror knows itself what the two have in common."""
        if not isinstance(source, OntapEngine):
            raise EngineUnsupported(f"Snapshots of the engine “{source.label}” cannot be sent to ONTAP.")
        if (source.options.host, source.options.svm) == (self.options.host, self.options.svm) and (
            source.options.port == self.options.port
        ):
            raise InvalidOptions("A snapshot cannot be sent to the SVM it lies in.", field="svm")
        with source.connect() as client:
            theirs = source._require(client, ref)
        sent, handle = 0, dict(ref.handle)
        with self.connect() as client:
            here = self._namespace(client)
            for uuid in theirs.snapshots:
                origin = theirs.namespace.volumes[uuid]
                mirror = find_mirror(client, f"{source.options.svm}:{origin.name}", here.volumes.values())
                there = mirror.destination.uuid
                if not client.snapshots(ref.name, volume=there):
                    control.check()
                    sent += mirror.send(client, ref.name, control)
                    require_arrived(ref.name, bool(client.snapshots(ref.name, volume=there)))
                for key, value in ref.handle.items():
                    if key.startswith(VOLUME) and value == uuid:
                        handle[key] = there
        arrived = SnapshotRef(
            name=ref.name,
            engine=self.name,
            taken_at_ns=ref.taken_at_ns,
            content=ref.content,
            handle=handle,
            warnings=ref.warnings,
        )
        return Replicated(ref=arrived, sent_bytes=sent)

    def _namespace(self, client: OntapClient) -> Namespace:
        return Namespace(self.options.namespace_mount, client.volumes())

    def _require(self, client: OntapClient, ref: SnapshotRef) -> _Found:
        """Raises SnapshotMissing where one of its volumes lacks it."""
        wanted = {uuid for uuid, _below in places_of(ref)}
        namespace = self._namespace(client)
        there = {one.volume: one for one in client.snapshots(ref.name) if one.volume in wanted}
        missing = [uuid for uuid in wanted if uuid not in there or uuid not in namespace.volumes]
        if missing or not wanted:
            names = ", ".join(namespace.volumes[uuid].name for uuid in missing if uuid in namespace.volumes)
            where = f"the volume “{names}”" if names else f"the SVM “{self.options.svm}”"
            raise SnapshotMissing(f"Snapshot “{ref.name}” is not on {where} any more.")
        return _Found(namespace=namespace, snapshots=there)

    def _revertible(self, ref: SnapshotRef) -> tuple[tuple[Placed, ...], _Found, Cost | None]:
        """What is reverted, and what it costs where whole volumes are; None = file by file, which costs nothing."""
        owned_snapshot_name(ref.name, self.install)
        require_parents(ref.content)
        with self.connect() as client:
            found = self._require(client, ref)
            placed = found.namespace.place(ref.content)
            refuse_read_only(placed)
            require_nobody_writes(ref.content)
            if not are_whole(placed) or {one.volume.uuid for one in placed} != set(found.snapshots):
                return placed, found, None
            by_volume = [
                (found.namespace.volumes[uuid], client.snapshots("*", volume=uuid)) for uuid in found.snapshots
            ]
        mine = [one.name for _volume, snapshots in by_volume for one in snapshots if self._is_ours(one.name)]
        return placed, found, cost(ref.name, by_volume, mine)

    def _is_ours(self, name: str) -> bool:
        try:
            owned_snapshot_name(name, self.install)
        except EngineError:
            return False
        return True


def _tops(namespace: Namespace, found: Iterable[VolumeSnapshot]) -> list[Path]:
    """Where the snapshots are seen on this node, for those that are."""
    volumes = [(namespace.volumes.get(one.volume), one.name) for one in found]
    return [
        namespace.snapshot_directory(volume, name) for volume, name in volumes if volume is not None and volume.path
    ]
