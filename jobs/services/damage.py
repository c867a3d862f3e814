"""What a verification or a repair found on a medium, kept until the next one: damaged packs, paths, backup copies.

Each verification reads again what was damaged before, so what it finds takes the place of all that was known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from django.db import transaction
from django.db.models import BigIntegerField, F, Func, QuerySet, Value
from django.utils import timezone

from jobs.engine.ids import BlobId, FileId
from jobs.engine.operations.check import CheckResult
from jobs.engine.operations.touching import Root
from jobs.engine.repository.layout import blob_id
from jobs.models import BackupCopy, DamagedPack, DamagedPath, Job, MediumReading
from jobs.progress import clean, display
from jobs.rules import states
from policies.models import Media

_AT_ONCE: Final = 2000


def expected_files(media: Media) -> list[Root]:
    """The snapshot files that must be on the medium: those of all backup copies on it."""
    rows = on_medium(media).values_list("snapshot_file_id", "tree_id")
    return [Root(file=FileId(file_id), tree=tree) for file_id, tree_id in rows if file_id and (tree := _tree(tree_id))]


def suspects(media: Media) -> frozenset[FileId]:
    """Packs that were found damaged, to be read first."""
    return frozenset(FileId(pack) for pack in media.damaged_packs.values_list("pack", flat=True))


def record_findings(media: Media, job: Job, found: CheckResult, *, tried: bool = False) -> None:
    """Keep what was found instead of what was known. ``tried``: a repair found it, and could do no better."""
    with transaction.atomic():
        reading = MediumReading.objects.get_or_create(media=media)[0]
        MediumReading.objects.select_for_update().get(pk=reading.pk)
        rows = {str(file_id): pk for pk, file_id in on_medium(media).values_list("pk", "snapshot_file_id")}
        _record_packs(media, job, found)
        _record_paths(media, job, found, rows, tried=tried)
        _mark_copies(media, found, rows)
        MediumReading.objects.filter(pk=reading.pk).update(
            job=job,
            problems=found.problem_count,
            lists_all_damage=found.touched_count == len(found.touched),
            verified_at=timezone.now(),
        )


def damaged_copies(media: Media) -> QuerySet[BackupCopy]:
    """Backup copies on a medium of which something cannot be restored whole."""
    return on_medium(media).exclude(damaged_files=0, damaged_folders=0)


def is_mended(media: Media) -> bool:
    """No damaged pack is left: what is lost is in no index, so that a copy that reads it again stores it again."""
    return not media.damaged_packs.exists()


def made_anew(row: BackupCopy) -> None:
    """Its snapshot file is another one now: what was found damaged in it was of the one before. Idempotent.

    While a damaged pack is left, the new one refers to the very same contents in it, and is not better.
    """
    if not is_mended(row.media):
        return
    BackupCopy.objects.filter(pk=row.pk).update(damaged_files=0, damaged_folders=0)
    of_it = DamagedPath.objects.filter(backup_copies__contains=[row.pk])
    of_it.update(
        backup_copies=Func(F("backup_copies"), Value(row.pk, output_field=BigIntegerField()), function="array_remove"),
        others=F("others") + 1,
    )


def on_medium(media: Media) -> QuerySet[BackupCopy]:
    """Backup copies on a medium that can be restored."""
    return BackupCopy.objects.filter(media=media, state__in=states.ON_MEDIA, snapshot_file_id__isnull=False)


def _record_packs(media: Media, job: Job, found: CheckResult) -> None:
    """One that was known already keeps its first moment."""
    known = dict(media.damaged_packs.values_list("pack", "found_at"))
    media.damaged_packs.all().delete()
    DamagedPack.objects.bulk_create(
        (
            DamagedPack(
                media=media,
                job=job,
                pack=one.pack,
                sentence=clean(one.sentence),
                blobs=one.blobs,
                blobs_bad=one.blobs_bad,
                found_at=known.get(one.pack, timezone.now()),
            )
            for one in found.damaged
        ),
        batch_size=_AT_ONCE,
    )


def _record_paths(media: Media, job: Job, found: CheckResult, rows: dict[str, int], *, tried: bool) -> None:
    before = media.damaged_paths.filter(tried_in__isnull=False)
    tried_before = {
        (bytes(path), is_folder): pk for path, is_folder, pk in before.values_list("path", "is_folder", "tried_in")
    }
    media.damaged_paths.all().delete()
    DamagedPath.objects.bulk_create(
        (
            DamagedPath(
                media=media,
                path=path,
                display_path=display(path),
                is_folder=is_folder,
                backup_copies=sorted(rows[file_id] for file_id in files if file_id in rows),
                others=sum(file_id not in rows for file_id in files),
                packs=list(packs),
                tried_in_id=job.pk if tried else tried_before.get((path, is_folder)),
            )
            for path, is_folder, files, packs in _paths(found)
        ),
        batch_size=_AT_ONCE,
    )


def _paths(found: CheckResult) -> Iterator[tuple[bytes, bool, tuple[FileId, ...], tuple[str, ...]]]:
    """A snapshot file that cannot be read touches everything in it."""
    if found.unreadable_files:
        yield b"/", True, found.unreadable_files, ()
    for one in found.touched:
        yield one.path, one.is_folder, one.files, one.packs


def _mark_copies(media: Media, found: CheckResult, rows: dict[str, int]) -> None:
    unreadable = set(found.unreadable_files)
    files = {rows[name]: count for name, count in found.files_touched.items() if name in rows}
    folders = {rows[name]: count for name, count in found.folders_touched.items() if name in rows}
    for name in unreadable & rows.keys():
        folders[rows[name]] = max(1, folders.get(rows[name], 0))
    damaged = files.keys() | folders.keys()
    marked = BackupCopy.objects.filter(media=media).exclude(damaged_files=0, damaged_folders=0)
    marked.exclude(pk__in=damaged).update(damaged_files=0, damaged_folders=0)
    BackupCopy.objects.bulk_update(
        [BackupCopy(pk=pk, damaged_files=files.get(pk, 0), damaged_folders=folders.get(pk, 0)) for pk in damaged],
        ["damaged_files", "damaged_folders"],
        batch_size=_AT_ONCE,
    )


def _tree(text: str | None) -> BlobId | None:
    try:
        return blob_id(text or "")
    except ValueError:
        return None
