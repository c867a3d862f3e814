"""Where a repair looks for what is lost on a medium: other media's repositories, and snapshots that are still held."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

from django.db.models import Count, Q, QuerySet

from jobs.engine import VERSION
from jobs.engine.errors import EngineError
from jobs.engine.events import Level
from jobs.engine.ids import BlobId, FileId
from jobs.engine.media.base import Media as MediaDriver
from jobs.engine.operations.copy_pipeline.comparison import PARTIAL
from jobs.engine.operations.mending.held_files import HeldFiles
from jobs.engine.operations.mending.held_snapshots import HeldSnapshot, HeldSnapshots
from jobs.engine.operations.mending.sources import BlobSource, OtherRepository
from jobs.engine.repository.layout import blob_id
from jobs.engine.repository.snapshot_file import SnapshotFile
from jobs.models import BackupCopy, CopyState, SnapshotState
from jobs.rules import states
from jobs.runner.held import open_held
from jobs.runner.opened_media import open_media
from jobs.runner.references import ref_from_row
from jobs.runner.task import Task
from jobs.services.damage import on_medium
from policies.models import Media
from policies.resolve import media_password
from snapcopy_site.lib.home import Home


@contextmanager
def blob_sources(task: Task, media: Media) -> Iterator[list[BlobSource]]:
    """Other media first, those with the most of the same snapshots before; then what is held, newest first.

    A medium that cannot be reached from this node is told and passed over.
    """
    with ExitStack() as stack:
        sources: list[BlobSource] = []
        for other in _other_media(media):
            try:
                driver, password = open_media(task, other), media_password(other)
            except EngineError as error:
                task.tell("source-passed-over", f"{other.name} was passed over: {error}", level=Level.WARNING)
                continue
            stack.callback(_close, driver)
            cache = Home.current().index_cache(other.pk)
            label = f"the medium {other.name}"
            sources.append(OtherRepository(label=label, media=driver, password=password, index_cache=cache))
        sources.append(_held(task, media))
        yield sources


def instead_of(media: Media) -> Mapping[FileId, SnapshotFile]:
    """What to write for snapshot files that cannot be read, from the rows of their backup copies."""
    rows = on_medium(media).select_related("snapshot__subclient__file_server")
    return {
        FileId(row.snapshot_file_id): _file_of(row, tree)
        for row in rows.iterator()
        if row.snapshot_file_id and (tree := _tree(row)) is not None
    }


def is_held() -> Q:
    """Backup copies whose snapshot is still on its storage, or on that of a secondary snap copy."""
    primary = Q(snapshot__state=SnapshotState.PRESENT)
    return primary | Q(snapshot__replicas__state__in=states.ON_MEDIA, snapshot__replicas__deleted_at__isnull=True)


def _other_media(media: Media) -> QuerySet[Media]:
    same = Q(
        backup_copies__state__in=states.ON_MEDIA,
        backup_copies__snapshot__in=on_medium(media).values("snapshot"),
    )
    others = Media.objects.filter(is_active=True, repository_id__isnull=False).exclude(pk=media.pk)
    return others.annotate(same=Count("backup_copies", filter=same)).order_by("-same", "name")


def _close(driver: MediaDriver) -> None:
    driver.close()


def _held(task: Task, media: Media) -> HeldSnapshots:
    rows = on_medium(media).filter(is_held()).distinct()
    rows = rows.select_related("snapshot__subclient__file_server", "snapshot__subclient__policy", "copy")
    held = [
        HeldSnapshot(file=FileId(row.snapshot_file_id), label=row.snapshot.name, open=partial(_open, task, row, tree))
        for row in rows.order_by("-snapshot__taken_at", "-pk")
        if row.snapshot_file_id and (tree := _tree(row)) is not None
    ]

    def failed(one: HeldSnapshot, error: EngineError) -> None:
        sentence = f"The snapshot {one.label} was passed over: {error}"
        task.tell("source-passed-over", sentence, level=Level.WARNING)

    return HeldSnapshots(label="held snapshots", snapshots=held, on_failed=failed)


@contextmanager
def _open(task: Task, row: BackupCopy, tree: BlobId) -> Iterator[HeldFiles]:
    with open_held(row.snapshot, node=task.job.node) as roots:
        yield HeldFiles(label=row.snapshot.name, file=FileId(row.snapshot_file_id or ""), tree=tree, roots=roots)


def _tree(row: BackupCopy) -> BlobId | None:
    try:
        return blob_id(row.tree_id or "")
    except ValueError:
        return None


def _file_of(row: BackupCopy, tree: BlobId) -> SnapshotFile:
    """As the copy wrote it, but for its figures."""
    snapshot, subclient = row.snapshot, row.snapshot.subclient
    tags: tuple[str, ...] = (f"subclient={subclient.path}", f"snapshot={snapshot.name}", f"job={row.job_id or 0}")
    if row.state == CopyState.PARTIAL:
        tags = (*tags, PARTIAL)
    return SnapshotFile(
        time_ns=ref_from_row(snapshot).taken_at_ns,
        tree=tree,
        paths=tuple(os.fsencode(path) for path in snapshot.content),
        hostname=subclient.file_server.name,
        username="snapcopy",
        tags=tags,
        program_version=f"snapcopy {VERSION}",
    )
