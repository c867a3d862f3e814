"""Mounting and unmounting jobs: a snapshot's content made visible below the node's home, and taken away again (V4)."""

from __future__ import annotations

import contextlib
import os
from functools import partial
from pathlib import Path
from typing import Final

from django.utils import timezone

from jobs.engine.errors import EngineError, EngineUnsupported
from jobs.engine.events import Level, PhaseName
from jobs.engine.snapshots.base import Capability, SnapshotRoot
from jobs.engine.snapshots.binding import bind_read_only, is_seen_by_others, link, mounted_below, release
from jobs.engine.snapshots.content import is_inside
from jobs.models import MountState, MountWay, Snapshot, SnapshotMount, SnapshotState
from jobs.runner.references import ref_from_row
from jobs.runner.task import Task
from jobs.services.failures import ConfigurationDeleted
from jobs.services.mounts import MOUNT, end_mount
from jobs.services.outcomes import Done, Failed, Outcome
from policies import audit
from policies.models import AccessNode
from policies.resolve import build_engine
from snapcopy_site.lib.home import Home

_FOUND_GONE: Final = "The host was restarted, or somebody unmounted it there."


def mount(task: Task) -> Outcome:
    """Mount every content path below a directory of its own; all of them or none."""
    row = _row(task)
    snapshot = row.snapshot
    if snapshot.state != SnapshotState.PRESENT:
        return Failed(code="snapshot-missing", sentence=f"{snapshot.name} is not on the storage any more.")
    task.phase(PhaseName.PREPARE)
    engine = build_engine(snapshot.subclient.file_server)
    place = _place(row)
    _clear(place)
    task.phase(PhaseName.MOUNT)
    with engine.open(ref_from_row(snapshot)) as roots:
        way = _show(roots, place, may_link=Capability.READ_ONLY in engine.capabilities)
    if way is MountWay.BIND and not is_seen_by_others():
        task.tell(
            "mount-hidden",
            "This access node has mounts of its own (a service with a private mount namespace, or a container): "
            "other programs of the host do not see them.",
            level=Level.WARNING,
        )
    words = "is linked" if way is MountWay.LINK else "is mounted read-only"
    task.tell("snapshot-mounted", f"{snapshot.name} {words} at {place} until {row.expires_at:%Y-%m-%d %H:%M} UTC.")
    return Done(
        result={"snapshot": snapshot.name, "path": str(place), "way": way.value},
        record=partial(_record, row.pk, task, place, way),
    )


def unmount(task: Task) -> Outcome:
    """Take it away; one that is gone already, by a restart or by hand, counts as unmounted."""
    row = _row(task)
    task.phase(PhaseName.UNMOUNT)
    if row.path:
        _clear(Path(row.path))
        _remove_empty(Path(row.path), _base())
    reason = str(task.job.parameters.get("reason", "")) or f"Unmounted by {task.job.started_by_label or 'a script'}."
    task.tell("snapshot-unmounted", f"{row.snapshot.name} is not mounted any more. {reason}")
    return Done(
        result={"snapshot": row.snapshot.name, "path": row.path},
        record=partial(_record_end, row.pk, reason),
    )


def repair(node: AccessNode) -> int:
    """What rows say of this node against what is really mounted; how many were wrong. Quick; called by the node.

    A mount that is gone (the host was restarted, somebody unmounted it) is written down as gone; one that no row knows
    was left by a killed job and is taken away.
    """
    standing = list(SnapshotMount.objects.exclude(state=MountState.UNMOUNTED).select_related("snapshot"))
    wrong = 0
    for row in standing:
        if row.node_id == node.pk and row.state == MountState.MOUNTED and not _is_there(row):
            wrong += end_mount(row.pk, reason=_FOUND_GONE)
            audit.record(
                action=audit.Action.OPERATED,
                instance=row.snapshot,
                user=None,
                how=audit.How.SYSTEM,
                sentence=f"Found unmounted from {node}: {row.snapshot}. {_FOUND_GONE}",
            )
    if any(row.state == MountState.MOUNTING for row in standing):
        return wrong
    known = [row.path for row in standing if row.path]
    for point in mounted_below(_base()):
        if not any(is_inside(str(point), path) for path in known):
            with contextlib.suppress(EngineError):
                release(point)
                _remove_empty(point.parent, _base())
                wrong += 1
    return wrong


def _is_there(row: SnapshotMount) -> bool:
    place = Path(row.path)
    if row.way == MountWay.LINK:
        return all((place / path.lstrip("/")).is_symlink() for path in row.snapshot.content)
    return bool(mounted_below(place))


def _row(task: Task) -> SnapshotMount:
    rows = SnapshotMount.objects.select_related("snapshot__subclient__file_server", "node")
    row = rows.filter(pk=task.job.parameters.get(MOUNT)).first()
    if row is None:
        raise ConfigurationDeleted("What this job is to mount is not known any more.")
    return row


def _base() -> Path:
    return Home.current().path / "mounts"


def _place(row: SnapshotMount) -> Path:
    """``<home>/mounts/<file server>/<subclient>/<time>``; with the snapshot's number where that is taken."""
    snapshot: Snapshot = row.snapshot
    subclient = snapshot.subclient
    folder = _base() / subclient.file_server.name / subclient.name
    place = folder / f"{snapshot.taken_at:%Y-%m-%dT%H-%M-%SZ}"
    others = SnapshotMount.objects.filter(node=row.node, path=str(place)).exclude(state=MountState.UNMOUNTED)
    return place if not others.exclude(pk=row.pk).exists() else place.with_name(f"{place.name}.{snapshot.pk}")


def _show(roots: tuple[SnapshotRoot, ...], place: Path, *, may_link: bool) -> MountWay:
    """Each content path below ``place``; a node that may not mount links what nobody can write to."""
    way = MountWay.BIND
    try:
        os.makedirs(place, exist_ok=True)
        for root in roots:
            point = place / (root.content_path.lstrip("/") or "root")
            if way is MountWay.BIND:
                try:
                    bind_read_only(root.directory, point)
                    continue
                except EngineUnsupported:
                    if not may_link:
                        raise
                    way = MountWay.LINK
            link(root.directory, point)
    except BaseException:
        with contextlib.suppress(EngineError):
            _clear(place)
            _remove_empty(place, _base())
        raise
    return way


def _clear(place: Path) -> None:
    """Take away all that is mounted or linked below a place: also what a killed attempt left. Raises StorageBusy."""
    for point in mounted_below(place):
        release(point)
    for folder, names, files in os.walk(place, topdown=False):
        for name in (*names, *files):
            entry = Path(folder, name)
            if entry.is_symlink():
                release(entry)
            elif entry.is_dir():
                with contextlib.suppress(OSError):
                    entry.rmdir()


def _remove_empty(place: Path, base: Path) -> None:
    """The empty directories up to the common one."""
    while place != base and base in place.parents:
        with contextlib.suppress(FileNotFoundError):
            try:
                place.rmdir()
            except OSError:
                return
        place = place.parent


def _record(mount_id: int, task: Task, place: Path, way: MountWay) -> None:
    job = task.job
    SnapshotMount.objects.filter(pk=mount_id, state=MountState.MOUNTING).update(
        state=MountState.MOUNTED,
        way=way,
        path=str(place),
        node=job.node,
        node_label=job.node_label,
        mounted_at=timezone.now(),
    )


def _record_end(mount_id: int, reason: str) -> None:
    end_mount(mount_id, reason=reason)
