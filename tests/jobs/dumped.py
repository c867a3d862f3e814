"""Points of an NDMP file server in tests: real repositories with lists of files in them, rows as their jobs leave them.

No file server is asked: what it would tell is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from jobs.engine.clock import SystemClock
from jobs.engine.events import FreeRun, NullSink
from jobs.engine.operations import backup_copy
from jobs.engine.plan import CopyPlan, SourceRoot, StoredPath
from jobs.models import BackupCopy, CatalogState, Snapshot
from policies.models import Copy, FileServer, Subclient
from policies.resolve import media_password, resolve_media
from policies.services.media import ensure_repository
from tests.job_factories import make_backup_copy, make_snapshot
from tests.jobs.farm import backup_copy_of, configure

VOLUME = "/vol/vol1"
START = datetime(2026, 3, 30, 20, tzinfo=UTC)


class DumpedVolume:
    """A subclient whose volume is dumped once a day. ``copy`` None = the policy's only backup copy."""

    def __init__(self, folder: Path, *, catalog: str = "deferred", content: tuple[str, ...] = (VOLUME,)) -> None:
        self.subclient: Subclient = configure(folder, catalog=catalog)
        FileServer.objects.filter(pk=self.subclient.file_server_id).update(engine="ndmp", options={})
        self.subclient.content_paths = list(content)
        self.subclient.save()
        self.subclient.refresh_from_db()
        self._folder = folder
        self._days = 0

    def point(self, number: int) -> Snapshot:
        """Marked, and not copied yet."""
        day, self._days = self._days, self._days + 1
        return make_snapshot(
            self.subclient,
            n=day,
            taken_at=START + timedelta(days=day),
            engine="ndmp",
            content=self.subclient.content_paths,
            level_number=number,
            catalog_state=CatalogState.PENDING,
        )

    def dump(self, number: int, lists: bytes | Mapping[str, bytes | None], *, copy: Copy | None = None) -> BackupCopy:
        """A point and its dump of level ``number``; ``lists`` by content path, None = the file server gave none."""
        by_path = lists if isinstance(lists, Mapping) else {VOLUME: lists}
        return self.copy(self.point(number), by_path, copy=copy)

    def copy(self, point: Snapshot, lists: Mapping[str, bytes | None], *, copy: Copy | None = None) -> BackupCopy:
        copy = copy or backup_copy_of(self.subclient)
        assert copy.media is not None
        assert point.level_number is not None
        source = self._folder / f"ndmp-{point.pk}-{copy.pk}"
        for path, content in lists.items():
            where = source / path.strip("/")
            where.mkdir(parents=True)
            (where / f"{point.level_number}.image").write_bytes(b"an image")
            if content is not None:
                (where / f"{point.level_number}.history").write_bytes(content)
        ensure_repository(copy.media)
        driver = resolve_media(copy.media)
        try:
            plan = CopyPlan(
                roots=(SourceRoot(directory=source, stored_as=StoredPath(b"/ndmp")),),
                hostname="filer",
                username="tester",
                taken_at_ns=int(point.taken_at.timestamp() * 1e9),
            )
            done = backup_copy.run(plan, driver, media_password(copy.media), NullSink(), FreeRun(), SystemClock())
        finally:
            driver.close()
        return make_backup_copy(
            point,
            copy,
            snapshot_file_id=done.snapshot_file_id,
            tree_id=done.tree_id,
            level_number=point.level_number,
            ran_level=("full", "differential", "incremental")[min(point.level_number, 2)],
        )
