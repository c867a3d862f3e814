"""Attachments: open a repository that is there, tell what it holds, and make points of its snapshot files (V1).

Nothing on the medium is changed. Each point is a transaction of its own: a job that is stopped goes on where it was.
"""

from __future__ import annotations

import re
from typing import Any, Final

from django.db.models import Q

from jobs.catalog.browsing import folder_at
from jobs.engine.errors import RepositoryDamaged
from jobs.engine.events import Counters, Level, PhaseName, Progress
from jobs.engine.operations.sealing import configurations, install_of, is_configuration, read_sealed
from jobs.engine.operations.survey import EVERYTHING, Group, Survey, content_of, groups_of, survey
from jobs.engine.operations.undumping.stored import FoundDumps, dumps_in
from jobs.engine.repository.index_load import load_index
from jobs.engine.repository.reader import BlobReader
from jobs.engine.repository.repository import Repository
from jobs.engine.repository.snapshot_file import SnapshotFile
from jobs.models import BackupCopy, CatalogState, Snapshot, SnapshotState
from jobs.progress import clean, display
from jobs.runner.cataloguing import Cataloguer, waiting_for_catalog
from jobs.runner.copy_record import usage_of
from jobs.runner.opened_media import open_media
from jobs.runner.task import Task
from jobs.services.attaching import IMPORT, OWN, Importer, known_files
from jobs.services.failures import ConfigurationDeleted
from jobs.services.outcomes import Done, Outcome
from policies.declared.sealed import counts, opened
from policies.models import IMPORTED, Media, Subclient
from policies.resolve import dump_stream_engines, media_password
from policies.services.imported import freeze_rebuilt
from policies.services.media import record_pruned_bytes, set_repository_id
from snapcopy_site.lib.home import Home

MOST_NAMED: Final = 200
"""So many hosts with their paths, and damaged files, stay with the job by name; the counts are of all."""

_INSTALL: Final = re.compile(r"[A-Za-z0-9]{1,32}\Z")
MOST_CONFIGURATIONS: Final = 4
"""So many installations' sealed configurations stay with the job."""


def run(task: Task) -> Outcome:
    """Look; with the parameter ``import`` take over what is there. Raises what keeps the repository from opening."""
    media = task.job.media
    if media is None:
        raise ConfigurationDeleted("The medium of this job was deleted.")
    task.phase(PhaseName.PREPARE)
    password, driver = media_password(media), open_media(task, media)
    try:
        repository = Repository.open(driver, password, clock=task.clock)
        task.phase(PhaseName.CHECK)
        found = survey(repository, task.orders.check)
        set_repository_id(media, repository.id)
        record_pruned_bytes(media, stored_bytes=found.packs_bytes, usage=usage_of(driver))
        _tell(task, media, found)
        result = _as_result(media, found) | {"configurations": _configurations(task, media, repository, found)}
        if not task.job.parameters.get(IMPORT):
            return Done(result=result)
        return _import(task, media, repository, found, result)
    finally:
        driver.close()


def _tell(task: Task, media: Media, found: Survey) -> None:
    task.tell(
        "repository-opened",
        f"The repository {found.repository_id[:8]} on {media.name} opens with the password; its format is version "
        f"{found.version}. It holds {len(found.files):,} snapshot files and {found.packs:,} packs.",
    )
    for name in found.damaged[:MOST_NAMED]:
        task.tell("snapshot-file-damaged", f"“{name}” cannot be read and is left out.", level=Level.ERROR)


def _as_result(media: Media, found: Survey) -> dict[str, object]:
    known = known_files(media)
    points = [file for file in found.files if not is_configuration(file)]
    groups = groups_of(points)
    return {
        "repository": found.repository_id,
        "version": found.version,
        "snapshot_files": len(points),
        "known": sum(file.id in known for file in points),
        "packs": found.packs,
        "packs_bytes": found.packs_bytes,
        "damaged": list(found.damaged[:MOST_NAMED]),
        "damaged_count": len(found.damaged),
        "groups": [_group(group, known) for group in groups[:MOST_NAMED]],
        "groups_count": len(groups),
    }


def _configurations(task: Task, media: Media, repository: Repository, found: Survey) -> list[dict[str, Any]]:
    """The newest configuration that each installation sealed there, newest first."""
    newest = {name: file for file in configurations(found.files) if _INSTALL.match(name := install_of(file))}
    if not newest:
        return []
    reader = BlobReader(repository, load_index(repository, cache_directory=Home.current().index_cache(media.pk)))
    sealed = []
    for file in sorted(newest.values(), key=lambda one: one.time_ns, reverse=True)[:MOST_CONFIGURATIONS]:
        try:
            kept = opened(read_sealed(reader, file))
        except RepositoryDamaged as error:
            task.tell("configuration-damaged", error.sentence, level=Level.WARNING)
            continue
        if kept is not None:
            sealed.append({"install": install_of(file), "at_ns": file.time_ns, "counts": counts(kept), "kept": kept})
    return sealed


def _group(group: Group, known: set[str]) -> dict[str, Any]:
    newest = group.files[-1]
    return {
        "host": clean(group.hostname),
        "paths": [display(path) for path in group.paths],
        "points": len(group.files),
        "known": sum(file.id in known for file in group.files),
        "first_ns": group.files[0].time_ns,
        "last_ns": newest.time_ns,
        "bytes": newest.summary.total_bytes_processed if newest.summary else None,
        "program": clean(newest.program_version),
    }


def _import(task: Task, media: Media, repository: Repository, found: Survey, result: dict[str, object]) -> Outcome:
    task.phase(PhaseName.COMMIT)
    reader = BlobReader(repository, load_index(repository, cache_directory=Home.current().index_cache(media.pk)))
    importer = Importer(media=media, own=str(task.job.parameters.get(OWN, "")), user=task.job.started_by)
    imported = 0
    for number, file in enumerate(found.files, 1):
        task.orders.check()
        if importer.leaves_out(file):
            continue
        imported += importer.take(file, _content(task, reader, file), dumps=_dumps(task, reader, file))
        task.recorder.emit(Progress(counters=Counters(files_total=len(found.files), files_done=number)))
    freeze_rebuilt(list(importer.rebuilt.values()), media)
    task.tell("imported", f"{imported:,} points were imported; what was known before was left as it is.")
    failures = sum(_catalogue(task, subclient, media) for subclient in _to_catalogue(media))
    return Done(
        exceptions=failures + len(found.damaged),
        result=result
        | {
            "imported": imported,
            "subclients": sorted(one.path for one in importer.subclients.values())[:MOST_NAMED],
            "subclients_count": len(importer.subclients),
            "rebuilt": len(importer.rebuilt),
            "uncatalogued": failures,
        },
    )


def _content(task: Task, reader: BlobReader, file: SnapshotFile) -> tuple[bytes, ...]:
    """Where its files lie; everything where the first folders are damaged: the catalog says what is wrong."""
    try:
        return content_of(reader, file)
    except RepositoryDamaged as error:
        task.tell("paths-unread", f"{(file.id or '')[:8]}: {error.sentence}", level=Level.WARNING)
        return (EVERYTHING,)


def _dumps(task: Task, reader: BlobReader, file: SnapshotFile) -> FoundDumps | None:
    """The dumps that it holds; none where what tells of them is damaged: then it is a point of plain files."""
    try:
        return dumps_in(reader, file)
    except RepositoryDamaged as error:
        task.tell("dumps-unread", f"{(file.id or '')[:8]}: {error.sentence}", level=Level.WARNING)
        return None


def _to_catalogue(media: Media) -> list[Subclient]:
    """Those with points that wait for it, also points of an attempt before."""
    waiting = Snapshot.objects.filter(
        Q(engine=IMPORTED) | Q(engine__in=dump_stream_engines(), state=SnapshotState.DELETED),
        backup_copies__media=media,
        catalog_state__in=(CatalogState.PENDING, CatalogState.FAILED),
    )
    return list(Subclient.objects.filter(pk__in=waiting.values("subclient")).order_by("pk"))


def _catalogue(task: Task, subclient: Subclient, media: Media) -> int:
    """Every point from its trees; returns how many could not be. Each is a transaction of its own (RULES S4)."""
    task.phase(PhaseName.CATALOG)
    with Cataloguer(task=task, media_only=True) as cataloguer:
        for snapshot in waiting_for_catalog(subclient.pk):
            task.orders.check()
            if cataloguer.catalogue(snapshot):
                _count(snapshot, media)
        return cataloguer.failures


def _count(snapshot: Snapshot, media: Media) -> None:
    """Older programs left no figures with their snapshot files: the catalog has counted them now."""
    totals = folder_at(snapshot.subclient_id, EVERYTHING, snapshot.taken_at)
    if totals is not None:
        rows = BackupCopy.objects.filter(snapshot=snapshot, media=media, files=0)
        rows.update(files=totals.files, logical_bytes=totals.size)
